"""An image of a public benchmark with its masks and poses, and how such files are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.store import DatasetError
from insegan_ros.types import DepthFrame

MOST_INSTANCES = 255
# what values of another kind than expected raise where they are used
DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True)
class BenchmarkImage:
    """One image with its ground truth."""

    name: str  # unique in the benchmark's folder
    frame: DepthFrame
    labels: NDArray[np.uint8]  # (H, W)
    poses: NDArray[np.float32]  # (N, 4, 4) camera_T_part
    visible: list[float] | None  # (N,) of each instance's outline; None: unknown
    doubts: tuple[str, ...] = ()  # what is odd about its camera, in words

    def __post_init__(self) -> None:
        if not np.isfinite(self.poses).all() or np.isinf(self.frame.depth_m).any():
            raise DatasetError('a pose or the depth is not finite')


def read_grey(file: Path) -> NDArray[Any]:
    """(H, W) of an image file as it is; of equal channels one.

    Raises:
        DatasetError: it is absent, damaged or in colour.
    """
    if not file.is_file():
        raise DatasetError(f'there is no {file}')
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DatasetError(f'{file} is damaged')
    if image.ndim == 3:
        if (image[..., :3] != image[..., :1]).any():
            raise DatasetError(f'{file} is a colour image; one channel is expected')
        image = image[..., 0]
    return image


def clipped_depth(
    values: NDArray[Any], near_m: float, far_m: float, *, file: Path
) -> NDArray[np.float32]:
    """(H, W) of 16 bits, 0 at one clipping plane and 65535 at the other -> metres, NaN unmeasured.

    Nothing was measured where the value is the far plane's (white) or 0.

    Raises:
        DatasetError: other values than 16 bits, or clipping planes that are none.
    """
    if values.dtype != np.uint16:
        raise DatasetError(f'{file} is {values.dtype}; 16 bits are expected')
    if not 0 < near_m < far_m:
        raise DatasetError(f'clipping planes at {near_m} and {far_m} m: 0 < near < far is valid')
    depth_m = near_m + (far_m - near_m) * (values / np.float64(65535))
    depth_m[(values == 65535) | (values == 0)] = np.nan
    return depth_m.astype(np.float32)
