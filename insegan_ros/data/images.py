"""Depth images as files beside their camera's file, and organised point clouds.

Images are PNG, TIFF, NPY, NPZ, EXR and PGM, clouds PLY and PCD. Where a folder holds images, a
cloud in it is no frame: a mesh may lie beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.bags import Reading
from insegan_ros.data.camera_files import CAMERA_FILES, find_camera_file, read_camera_file
from insegan_ros.data.camera_model import CameraInfo, cached_camera
from insegan_ros.data.cloud_depth import camera_of_cloud, frame_of_cloud
from insegan_ros.data.cloud_files import PointCloud, decode_pcd, decode_ply
from insegan_ros.data.depth_messages import MILLIMETRES, MessageError, decode_picture, metres
from insegan_ros.data.exr import decode_exr
from insegan_ros.data.npy import decode_npy, decode_npz
from insegan_ros.data.store import DatasetError
from insegan_ros.types import DepthFrame

MAX_FILE_BYTES = 1 << 30


def read_depth_values(file: Path) -> NDArray[Any]:
    """(H, W): 16-bit units, or floats.

    Raises:
        DatasetError: a file that is no depth image; the message says what it is.
    """
    try:
        values = DECODERS[file.suffix.lower()](_content(file), str(file))
    except ValueError as error:
        raise DatasetError(str(error)) from None
    return _one_channel(values, file)


def read_cloud(file: Path) -> PointCloud:
    """The points of a PLY or PCD file.

    Raises:
        DatasetError: it is damaged or holds no points.
    """
    try:
        return CLOUDS[file.suffix.lower()](_content(file), str(file))
    except ValueError as error:
        raise DatasetError(str(error)) from None


def _content(file: Path) -> bytes:
    """Raises: DatasetError, for a file that is absent or too large."""
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DatasetError(f'{file} has {size >> 20} MiB; a depth image has less')
        return file.read_bytes()
    except OSError as error:
        raise DatasetError(f'{file} cannot be read: {error}') from None


def _one_channel(values: NDArray[Any], file: Path) -> NDArray[Any]:
    if values.ndim == 3 and values.shape[2] in (3, 4):
        if (values[..., :3] != values[..., :1]).any():
            raise DatasetError(f'{file} is a colour image; a depth image has one channel')
        values = values[..., 0]
    elif values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.reshape([side for side in values.shape if side != 1] or [1, 1])
    if values.ndim != 2 or not values.size:
        raise DatasetError(f'{file} is {values.shape}; (H, W) is expected')
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder('='))
    if values.dtype in (np.int32, np.uint32, np.int64, np.uint64, np.int16):
        if values.max() > 65535:
            raise DatasetError(f'{file} is {values.dtype} and leaves 16 bits')
        values = np.maximum(values, 0).astype(np.uint16)  # some mark with -1 what is unmeasured
    if values.dtype != np.uint16 and values.dtype.kind != 'f':
        bits = 8 * values.dtype.itemsize
        raise DatasetError(
            f'{file} is {values.shape} {values.dtype}: of {bits} bits; a depth image has 16, or '
            'floats. Is it a picture of the depth made to be looked at?'
        )
    return values


DECODERS: dict[str, Callable[[bytes, str], NDArray[Any]]] = {
    '.png': decode_picture,
    '.tif': decode_picture,
    '.tiff': decode_picture,
    '.pgm': decode_picture,
    '.npy': decode_npy,
    '.npz': decode_npz,
    '.exr': decode_exr,
}
CLOUDS: dict[str, Callable[[bytes, str], PointCloud]] = {'.ply': decode_ply, '.pcd': decode_pcd}
ENDINGS = ', '.join([*DECODERS, *CLOUDS])


class ImageFolder:
    """Depth frames in the order of their names, or one image; 0 is unmeasured."""

    def __init__(
        self,
        path: Path | str,
        reading: Reading | None = None,
        camera_file: Path | None = None,
    ) -> None:
        """Open a folder of images, or one image.

        Args:
            camera_file: None: the one in the folder, by its usual names.

        Raises:
            DatasetError: no folder, no image in it, or no usable camera file.
        """
        self.path, self.reading = Path(path), reading or Reading()
        self.left_out = self.reading.left_out
        self.notes: list[str] = []
        if not self.path.exists():
            raise DatasetError(f'there is no folder {self.path}')
        self.files = list_images(self.path)
        if not self.files:
            raise DatasetError(f'{self.path} holds no depth image ({ENDINGS})')
        folder = self.path if self.path.is_dir() else self.path.parent
        self._camera_file = camera_file or find_camera_file(folder)
        if self.reading.camera is None and self._camera_file is None:
            if self.files[0].suffix.lower() not in CLOUDS:
                raise DatasetError(
                    f'{folder} does not say which camera took it; put its {CAMERA_FILES[0]} '
                    'there, or give --camera-info FILE'
                )
            self._info = _camera_of_clouds(self.files)
        else:
            self._info = self._camera(self.files[0])

    @property
    def depth_scale(self) -> float:
        """Metres a unit of 16-bit images."""
        return self.reading.depth_scale or self._info.depth_scale or MILLIMETRES

    @cached_property
    def names(self) -> list[str]:
        """The names of the images, without their endings."""
        return [file.stem for file in self.files]

    @cached_property
    def identity(self) -> str:
        """What distinguishes this folder from others."""
        return str(self.path.resolve())

    def _camera(self, file: Path) -> CameraInfo:
        if self.reading.camera is not None:
            return self.reading.camera
        if self._camera_file is None:
            return self._info
        if self._camera_file.name == 'scene_camera.json':  # BOP's has one for each image
            return read_camera_file(self._camera_file, file.stem)
        if not hasattr(self, '_info'):
            return read_camera_file(self._camera_file)
        return self._info

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> DepthFrame:
        """Raises: DatasetError for a file that is no depth image of this camera."""
        file = self.files[index]
        if file.suffix.lower() in CLOUDS:
            return self._of_cloud(file)
        values = read_depth_values(file)
        info = self._camera(file)
        scale = self.reading.depth_scale or info.depth_scale or MILLIMETRES
        depth_m = metres(values, scale, self.reading.float_scale)
        try:
            camera = cached_camera(
                replace(info, depth_scale=None),
                depth_m.shape[::-1],
                self.reading.rectified,
                topic='image_raw',
            )
            frame = camera.frame(depth_m)
        except MessageError as error:
            raise DatasetError(f'{file}: {error}') from None
        for note in camera.notes:
            if note not in self.notes:
                self.notes.append(note)
        return frame

    def _of_cloud(self, file: Path) -> DepthFrame:
        cloud, info = read_cloud(file), self._camera(file)
        unit, rectified = self.reading.float_scale, self.reading.rectified
        try:
            return frame_of_cloud(cloud, info, unit=unit, rectified=rectified)
        except ValueError as error:
            raise DatasetError(f'{file}: {error}') from None

    def frames(self, limit: int | None = None) -> Iterator[tuple[str, DepthFrame]]:
        """Names and frames; a file that cannot be used is left out."""
        for index, file in enumerate(self.files[:limit]):
            try:
                frame = self[index]
            except DatasetError as error:
                self.left_out.add(file.name, error)
                continue
            yield file.stem, frame

    def __iter__(self) -> Iterator[DepthFrame]:
        return (frame for _, frame in self.frames())


def list_images(path: Path) -> list[Path]:
    """The depth images of a folder by name, one of each stem; ._ companions are none.

    Of a folder without images, its point clouds.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in {*DECODERS, *CLOUDS} else []
    return _listed(path, list(DECODERS)) or _listed(path, list(CLOUDS))


def _listed(path: Path, endings: list[str]) -> list[Path]:
    found: dict[str, Path] = {}
    for ending in endings:
        for file in path.iterdir():
            # a link that leads nowhere is named once it is read
            named = file.suffix.lower() == ending and not file.name.startswith('.')
            if named and (file.is_file() or file.is_symlink()):
                found.setdefault(file.stem, file)
    return [found[stem] for stem in sorted(found)]


def _camera_of_clouds(files: list[Path]) -> CameraInfo:
    """The camera of the first cloud that shows it, for all.

    Raises:
        DatasetError: none does; the message says why the first does not.
    """
    reasons = []
    for file in files:
        try:
            return camera_of_cloud(read_cloud(file))
        except DatasetError as error:
            reasons.append(str(error))
        except ValueError as error:
            reasons.append(f'{file}: {error}')
    raise DatasetError(reasons[0])
