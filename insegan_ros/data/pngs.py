"""A folder of 16-bit depth PNGs beside a ROS camera_info YAML, as image tools write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from insegan_ros.data.store import DatasetError, to_metres
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA_FILE = 'camera_info.yaml'


def read_camera_info(path: Path | str) -> Intrinsics:
    """Intrinsics from a file in the format of ROS's camera_calibration.

    Raises:
        DatasetError: no such file, no YAML, a key is missing, or no usable camera matrix.
    """
    try:
        loaded = yaml.safe_load(Path(path).read_text())
        k = [float(value) for value in loaded['camera_matrix']['data']]
        size = int(loaded['image_width']), int(loaded['image_height'])
        return Intrinsics(*size, fx=k[0], fy=k[4], cx=k[2], cy=k[5])
    except FileNotFoundError:
        raise DatasetError(f'there is no {path}: the camera of the images is not known') from None
    except (KeyError, TypeError, IndexError) as error:
        raise DatasetError(
            f'{path} is no camera_info file ({error!r}); it needs image_width, image_height and '
            'camera_matrix: {data: [fx, 0, cx, 0, fy, cy, 0, 0, 1]}'
        ) from None
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise DatasetError(f'{path}: {error}') from None


def read_depth_png(file: Path, intrinsics: Intrinsics, depth_scale: float = 0.001) -> DepthFrame:
    """A 16-bit depth image, 0 unmeasured; `depth_scale` is metres a unit.

    Raises:
        DatasetError: a file that is no depth image of this camera.
    """
    try:
        raw = np.fromfile(file, np.uint8)
    except OSError as error:
        raise DatasetError(f'{file} cannot be read: {error}') from None
    units: Any = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
    expected = (intrinsics.height, intrinsics.width)
    if units is None:
        raise DatasetError(f'{file} is damaged: not a PNG')
    if units.shape != expected or units.dtype != np.uint16:
        raise DatasetError(f'{file} is {units.shape} {units.dtype}; {expected} uint16 is expected')
    return DepthFrame(to_metres(units, depth_scale), intrinsics)


class PngFolder:
    """Depth frames in the order of their names; 0 is unmeasured."""

    def __init__(
        self, path: Path | str, depth_scale: float = 0.001, camera_info: Path | None = None
    ) -> None:
        """Open a folder; `depth_scale` is metres a unit.

        Args:
            camera_info: the camera's file; None: camera_info.yaml in the folder.

        Raises:
            DatasetError: no folder, no PNG in it, or no usable camera_info.yaml.
        """
        self.path, self.depth_scale = Path(path), depth_scale
        if not self.path.is_dir():
            raise DatasetError(f'there is no folder {self.path}')
        self.files = sorted(self.path.glob('*.png'))
        if not self.files:
            raise DatasetError(f'{self.path} holds no .png')
        self.intrinsics = read_camera_info(camera_info or self.path / CAMERA_FILE)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> DepthFrame:
        """Raises: DatasetError for a file that is no depth image of this camera."""
        return read_depth_png(self.files[index], self.intrinsics, self.depth_scale)

    def __iter__(self) -> Iterator[DepthFrame]:
        return (self[index] for index in range(len(self)))
