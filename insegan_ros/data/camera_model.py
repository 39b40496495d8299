"""The camera of a depth image, from what a camera_info says of it: K or P, ROI, binning, lens.

A depth image is either rectified, and then P describes it, or it is as the lens saw it, and then
K and the distortion do. What is not rectified is undistorted here: every pixel takes the depth of
the nearest pixel that saw its ray. Depth is measured along the axis, so it stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.camera_doubts import doubts, require_pinhole
from insegan_ros.data.depth_messages import MILLIMETRES, MessageError, depth_from_message, stamp_ns
from insegan_ros.types import DepthFrame, FloatImage, Intrinsics

FISHEYE = ('equidistant', 'fisheye', 'kannala_brandt4')
# OpenCV takes 4, 5, 8, 12 or 14 coefficients of these
BROWN = ('plumb_bob', 'rational_polynomial', 'brown_conrady', 'thin_prism')
MODELS = (*BROWN, *FISHEYE)
NO_MODEL = ('', 'none', 'pinhole', 'distortion.none')
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
LEFT_OF_P = (0, 1, 2, 4, 5, 6, 8, 9, 10)  # all but its last column
SAME = 0.002  # relative: K and P that differ by less are the same camera
BENT_PX = 0.5  # a lens that moves no pixel farther counts as none


@dataclass(frozen=True)
class CameraInfo:
    """What is known of a camera: the fields of sensor_msgs CameraInfo, from wherever they come."""

    width: int  # of the whole image, before ROI and binning; 0: unknown
    height: int
    k: tuple[float, ...]  # 9, row by row; zeros or the identity: not filled in
    d: tuple[float, ...] = ()
    distortion_model: str = ''
    r: tuple[float, ...] = IDENTITY
    p: tuple[float, ...] = ()  # 12
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)  # x, y, width, height; width 0: the whole image
    frame_id: str = ''
    depth_scale: float | None = None  # metres a unit of 16-bit images, where the file says it


def info_from_message(message: Any) -> CameraInfo:
    """sensor_msgs CameraInfo of ROS 2 or ROS 1."""
    lower = hasattr(message, 'k')
    d, k, r, p = (getattr(message, name if lower else name.upper()) for name in 'dkrp')
    roi = message.roi
    return CameraInfo(
        int(message.width),
        int(message.height),
        tuple(map(float, k)),
        tuple(map(float, d)),
        str(message.distortion_model),
        tuple(map(float, r)),
        tuple(map(float, p)),
        (int(message.binning_x) or 1, int(message.binning_y) or 1),
        (int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
        str(message.header.frame_id),
    )


@dataclass(frozen=True)
class CameraModel:
    """A pinhole camera and, where images are as the lens saw them, how they are undistorted."""

    intrinsics: Intrinsics
    distortion: tuple[float, ...] = ()  # () where images are rectified
    fisheye: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False)  # what the user should know

    def frame(self, depth_m: FloatImage, stamp: int = 0, frame_id: str = '') -> DepthFrame:
        """(H, W) metres -> the frame that a pinhole camera would have taken.

        Raises:
            MessageError: the image is of another size than the camera.
        """
        size = (self.intrinsics.height, self.intrinsics.width)
        if depth_m.shape != size:
            raise MessageError(
                f'the depth image is {depth_m.shape[1]} x {depth_m.shape[0]} px but its camera '
                f'takes {size[1]} x {size[0]}; are they of the same stream?'
            )
        if self.distortion:
            columns, rows = self._sources
            inside = (columns >= 0) & (rows >= 0) & (columns < size[1]) & (rows < size[0])
            taken = depth_m[np.where(inside, rows, 0), np.where(inside, columns, 0)]
            depth_m = np.where(inside, taken, np.float32(np.nan))
        return DepthFrame(depth_m, self.intrinsics, stamp, frame_id)

    @cached_property
    def _sources(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(H, W) columns and rows: which pixel of the lens's image each pixel takes."""
        x, y = _bent(self.intrinsics, self.distortion, self.fisheye)
        return _pixels(x), _pixels(y)


def _pixels(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.rint(np.nan_to_num(values, nan=-1).clip(-1, 2**30)).astype(np.int32)


def _bent(
    intrinsics: Intrinsics, distortion: Sequence[float], fisheye: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, W) x and y in the lens's image of each pixel of the pinhole's."""
    k, size = intrinsics.matrix, (intrinsics.width, intrinsics.height)
    d = np.asarray(distortion, np.float64)
    make = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
    x, y = make(k, d, np.eye(3), k, size, cv2.CV_32FC1)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def camera_of(
    info: CameraInfo,
    size: tuple[int, int],
    rectified: bool | None = None,
    *,
    topic: str = '',
) -> CameraModel:
    """The camera of images of this size.

    Args:
        size: width and height of the images in pixels.
        rectified: whether they are; None: judged by the topic's name and by K and P.
        topic: of the images; `image_rect` in it says that they are rectified.

    Raises:
        MessageError: no focal length, a size that fits neither the whole image nor its ROI and
            binning, or a lens that cannot be undistorted.
    """
    notes: list[str] = []
    k, p = _matrix(info.k), _projection(info.p)
    if k is None and p is None:
        raise MessageError(
            f'camera_info cannot be used: K is {_listed(info.k)} and P {_listed(info.p)}; one of '
            'them must hold focal lengths: is the camera calibrated?'
        )
    differ = k is not None and p is not None and not np.allclose(k, p, rtol=SAME, atol=0.5)
    bent = _is_bent(info, k if k is not None else p)
    if rectified is None:
        named = re.search('[/_]rect', topic) is not None
        rectified = not bent or (named and (p is None or differ))
    if rectified or k is None:
        chosen = p if p is not None else k
        if bent:
            notes.append('the images are taken to be rectified; the distortion is not used')
        elif differ:
            notes.append(f'K ({_focal(k)}) and P ({_focal(p)}) differ; P is taken')
        bent = False
    else:
        chosen = k
    assert chosen is not None
    if bent:
        _require_model(info)
        notes.append(
            f'the images are not rectified (distortion {info.distortion_model or "plumb_bob"}, '
            f'{_listed(info.d)}): they are undistorted'
        )
    try:
        if chosen is k:
            require_pinhole('K', info.k)
        else:
            require_pinhole('P without its last column', [info.p[j] for j in LEFT_OF_P])
        whole = Intrinsics(info.width or size[0], info.height or size[1], *chosen)
        notes += _unused(info, whole, size)
        notes += doubts(whole, skew=info.k[1] if chosen is k else info.p[1])
        intrinsics = _window(whole, info, size)
    except ValueError as error:
        raise MessageError(f'camera_info cannot be used: {error}') from None
    fisheye = info.distortion_model.lower() in FISHEYE
    return CameraModel(intrinsics, info.d if bent else (), bent and fisheye, tuple(notes))


def _unused(info: CameraInfo, whole: Intrinsics, size: tuple[int, int]) -> list[str]:
    """What it says of images other than these, which are as large as the whole."""
    if size != (whole.width, whole.height):
        return []
    x, y, width, height = info.roi
    said = []
    if (width, height) not in ((0, 0), size):
        said.append(f'the ROI of camera_info, {width} x {height} at {x}, {y}, is not used')
    if info.binning != (1, 1):
        said.append(f'the binning of camera_info, {info.binning}, is not used')
    return [f'{what}: the images have its whole size' for what in said]


def _window(whole: Intrinsics, info: CameraInfo, size: tuple[int, int]) -> Intrinsics:
    """The camera of the part of the image that was read out, and of its binned pixels."""
    if size == (whole.width, whole.height):  # many drivers describe the image as it is
        return whole
    x, y, width, height = info.roi
    if not width or not height:
        width, height = whole.width, whole.height
    seen = whole.crop(x, y, width, height=height)
    across, down = info.binning
    if size != (width // across, height // down):
        raise MessageError(
            f'the depth image is {size[0]} x {size[1]} px but camera_info is for {whole.width} x '
            f'{whole.height}'
            + (f', ROI {width} x {height} at {x}, {y}' if info.roi[2] else '')
            + (f', binning {across} x {down}' if info.binning != (1, 1) else '')
            + '; are they of the same stream?'
        )
    cx, cy = (seen.cx + 0.5) / across - 0.5, (seen.cy + 0.5) / down - 0.5
    return Intrinsics(*size, seen.fx / across, seen.fy / down, cx, cy)


def _matrix(k: Sequence[float]) -> tuple[float, ...] | None:
    """fx, fy, cx, cy; None where K is not filled in."""
    if len(k) != 9 or k[0] == 0 or tuple(k) == IDENTITY:
        return None
    return k[0], k[4], k[2], k[5]


def _projection(p: Sequence[float]) -> tuple[float, ...] | None:
    if len(p) != 12 or p[0] == 0 or (p[0], p[5], p[2], p[6]) == (1, 1, 0, 0):
        return None
    return p[0], p[5], p[2], p[6]


def _is_bent(info: CameraInfo, matrix: tuple[float, ...] | None) -> bool:
    """Whether the lens moves a pixel by more than half a pixel, or might."""
    if not any(info.d) or info.distortion_model.lower() in NO_MODEL[1:] or matrix is None:
        return False
    if not np.isfinite(info.d).all():
        raise MessageError(f'camera_info cannot be used: its distortion is {_listed(info.d)}')
    try:
        camera = Intrinsics(info.width or 640, info.height or 480, *matrix)
        small = camera.scaled(min(1.0, 64 / max(camera.width, camera.height)))
        x, y = _bent(small, info.d, info.distortion_model.lower() in FISHEYE)
    except (ValueError, cv2.error):  # of an unknown model: _require_model says which are known
        return True
    columns, rows = np.meshgrid(np.arange(small.width), np.arange(small.height))
    moved = np.maximum(np.abs(x - columns), np.abs(y - rows)) * camera.width / small.width
    return bool(not np.isfinite(moved).all() or moved.max() > BENT_PX)


def _require_model(info: CameraInfo) -> None:
    model = info.distortion_model.lower()
    lengths = (4,) if model in FISHEYE else (4, 5, 8, 12, 14)
    if model not in ('', *MODELS) or len(info.d) not in lengths:
        raise MessageError(
            f'the images are not rectified, and the distortion model {info.distortion_model!r} '
            f'with {len(info.d)} coefficients is not known; valid: {", ".join(MODELS)}. Record '
            'rectified images (image_proc), or say that they are rectified'
        )


def _listed(values: Sequence[float]) -> str:
    return '[' + ', '.join(f'{value:g}' for value in values) + ']'


def _focal(matrix: tuple[float, ...] | None) -> str:
    return 'unknown' if matrix is None else f'fx {matrix[0]:g}, cx {matrix[2]:g}'


def frame_from_messages(
    image: Any,
    info: Any,
    *,
    depth_scale: float = MILLIMETRES,
    float_scale: float = 1.0,
    rectified: bool | None = None,
    topic: str = '',
) -> DepthFrame:
    """A depth image's message and its camera_info's -> the frame.

    Raises:
        MessageError: an image that is no depth or is damaged, or a camera that cannot be its.
    """
    depth_m = depth_from_message(image, depth_scale, float_scale)
    known = info if isinstance(info, CameraInfo) else info_from_message(info)
    camera = cached_camera(known, depth_m.shape[::-1], rectified, topic=topic)
    return camera.frame(depth_m, stamp_ns(image.header), image.header.frame_id)


_CAMERAS: dict[tuple[Any, ...], CameraModel] = {}


def cached_camera(
    info: CameraInfo, size: Sequence[int], rectified: bool | None = None, *, topic: str = ''
) -> CameraModel:
    """`camera_of`, worked out once for a camera that does not change."""
    width, height = size
    key = (replace(info, frame_id=''), width, height, rectified, topic)
    if key not in _CAMERAS:
        _CAMERAS.clear()  # a camera that changes with each message must not fill the memory
        _CAMERAS[key] = camera_of(info, (width, height), rectified, topic=topic)
    return _CAMERAS[key]
