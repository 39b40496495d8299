"""Images of a public benchmark, with masks and poses, stored as a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import DepthFrame

DEPTH_SCALE = 0.0001  # metres a unit of what is written: finer than most cameras measure
MOST_INSTANCES = 255
LEAST_PIXELS = 60  # of an instance by which poses are checked


@dataclass(frozen=True)
class BenchmarkImage:
    """One image with its ground truth."""

    name: str  # unique in the benchmark's folder
    frame: DepthFrame
    labels: NDArray[np.uint8]  # (H, W)
    poses: NDArray[np.float32]  # (N, 4, 4) camera_T_part
    visible: list[float] | None  # (N,) of each instance's outline; None: not told


@dataclass(frozen=True)
class BenchmarkRequest:
    """What becomes of the images."""

    out: Path
    part: str
    source: str  # the benchmark's name
    instances: int | None = None  # in every image, if it is known
    depth_scale: float | None = None  # metres a unit as stored; None: DEPTH_SCALE


@dataclass
class PoseCheck:
    """Whether instances lie where their poses say; another convention would show."""

    inside: int = 0
    seen: int = 0

    def add(self, image: BenchmarkImage) -> None:
        """Count instances whose origin is drawn within the box around their mask."""
        k = image.frame.intrinsics
        for number, pose in enumerate(image.poses, 1):
            rows, columns = np.nonzero(image.labels == number)
            if len(rows) < LEAST_PIXELS or pose[2, 3] <= 0:
                continue
            self.seen += 1
            margin = max(np.ptp(rows), np.ptp(columns)) / 2  # the origin need not be the middle
            column = k.fx * pose[0, 3] / pose[2, 3] + k.cx
            row = k.fy * pose[1, 3] / pose[2, 3] + k.cy
            self.inside += bool(
                rows.min() - margin <= row <= rows.max() + margin
                and columns.min() - margin <= column <= columns.max() + margin
            )

    @property
    def warning(self) -> str | None:
        """In words, where most instances lie elsewhere than their poses say."""
        if 2 * self.inside >= self.seen:
            return None
        return (
            f'only {self.inside} of {self.seen} instances lie where their poses say; the folder '
            'may be of another edition than this program knows: do not judge poses with it'
        )


def store_benchmark(
    images: Iterator[BenchmarkImage], request: BenchmarkRequest, left_out: LeftOut
) -> tuple[int, PoseCheck]:
    """Append the images that are not there yet; how many those are, and whether poses fit.

    Raises:
        DatasetError: no image can be read, or the folder holds something else.
    """
    first = next(images, None)
    if first is None:
        reasons = '; '.join(left_out.reasons[:3])
        raise DatasetError(f'no image can be read: {reasons or "the folder holds none"}')
    info = DatasetInfo(
        part=request.part,
        intrinsics=first.frame.intrinsics,
        source=request.source,
        instances=request.instances,
        depth_scale=DEPTH_SCALE if request.depth_scale is None else request.depth_scale,
    )
    check, added = PoseCheck(), 0
    with DatasetWriter(request.out, info) as writer:
        known = {record.get('file') for record in writer.records.values()}
        for image in chain([first], images):
            if image.name in known:
                continue
            if image.frame.intrinsics != info.intrinsics:  # a dataset has one camera
                left_out.add(image.name, 'another camera than that of the first image')
                continue
            visible = {} if image.visible is None else {'visible': image.visible}
            record: dict[str, Any] = {'file': image.name, 'instances': len(image.poses)}
            units = to_units(image.frame.depth_m, info.depth_scale)
            writer.append(units, image.labels, image.poses, record=record | visible)
            check.add(image)
            added += 1
    return added, check


def stored_count(out: Path) -> int:
    """How many images a dataset holds."""
    return len(Dataset(out))


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
