"""A depth image from a point cloud: of an organised one as it is, of another by projection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.camera_model import CameraInfo, cached_camera
from insegan_ros.data.cloud_files import PointCloud
from insegan_ros.types import DepthFrame, FloatImage

LEAST_POINTS = 100  # by which a camera is found
OFF_PX = 1.0  # by which points may miss their pixels' rays, in the median


def camera_of_cloud(cloud: PointCloud) -> CameraInfo:
    """The pinhole camera whose pixels see an organised cloud's points.

    Raises:
        ValueError: the cloud is not organised, or its points are not those of such a camera.
    """
    if cloud.size is None:
        raise ValueError(
            f'its {len(cloud.points)} points are in no order of pixels (unorganised); give the '
            'camera by which they are projected (--camera-info FILE), or store the cloud '
            'organised: PCD with HEIGHT above 1, or PLY with `comment width W` and `height H`'
        )
    points = in_front(cloud.points)
    seen = np.isfinite(points[:, 2])
    if seen.sum() < LEAST_POINTS:
        raise ValueError(
            f'{int(seen.sum())} of its points are measured, which show no camera; give it: '
            '--camera-info FILE'
        )
    pixels = _pixels(cloud.size)[seen]
    axes = []
    for k in (0, 1):
        along = np.stack([points[seen, k] / points[seen, 2], np.ones(int(seen.sum()))], axis=1)
        solution = np.linalg.lstsq(along, pixels[:, k], rcond=None)[0]
        off = float(np.median(np.abs(along @ solution - pixels[:, k])))
        if off > OFF_PX or solution[0] <= 0:
            raise ValueError(
                f'its points miss the rays of a pinhole camera by {off:.1f} px; a cloud in the '
                "camera's own frame is expected: x to the right, y down, z away from the camera"
            )
        axes.append([round(float(v), 3) for v in solution])
    (fx, cx), (fy, cy) = axes
    return CameraInfo(*cloud.size, (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0))


def frame_of_cloud(
    cloud: PointCloud, info: CameraInfo, *, unit: float = 1.0, rectified: bool | None = None
) -> DepthFrame:
    """The depth frame of a camera that took, or sees, the cloud.

    Args:
        unit: metres a unit of the points.
        rectified: whether the pixels of an organised cloud are; None: judged by the camera.

    Raises:
        ValueError: no point before the camera, or an organised cloud of another camera.
    """
    points = in_front(cloud.points) * unit
    if not np.isfinite(points[:, 2]).any():
        raise ValueError(
            f'none of its {len(points)} points lies before the camera; z away from it is expected'
        )
    told = (info.width, info.height)
    size = cloud.size or (told if told[0] * told[1] == len(points) else None)
    if size is not None:
        camera = cached_camera(replace(info, depth_scale=None), size, rectified)
        depth_m = points[:, 2].reshape(size[::-1]).astype(np.float32)
        off = 0.0 if camera.distortion else _off_rays(points, size, camera.intrinsics.matrix)
        if off <= OFF_PX:
            return camera.frame(depth_m)
        if cloud.size is not None:
            raise ValueError(
                f'its points miss the rays of the camera by {off:.1f} px; is it of another '
                "camera, or in another frame than the camera's?"
            )
    if not (info.width and info.height):
        raise ValueError('its camera has no width and height; they are needed to project it')
    camera = cached_camera(replace(info, depth_scale=None), told, True)
    return camera.frame(_projected(points, camera.intrinsics.matrix, told))


def in_front(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 3), NaN for what is not measured: not finite, or with z of 0 or behind the camera."""
    measured = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    return np.where(measured[:, None], points, np.nan)


def _pixels(size: tuple[int, int]) -> NDArray[np.float64]:
    """(N, 2) column and row of each pixel, row by row."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    return np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)


def _off_rays(points: NDArray, size: tuple[int, int], matrix: NDArray) -> float:
    """By how many pixels points miss the rays of their pixels, in the median."""
    seen = np.isfinite(points[:, 2])
    drawn = points[seen] @ np.asarray(matrix).T
    off = np.abs(drawn[:, :2] / drawn[:, 2:] - _pixels(size)[seen])
    return float(np.median(off.max(axis=1)))


def _projected(points: NDArray, matrix: NDArray, size: tuple[int, int]) -> FloatImage:
    """(H, W) metres: the nearest point of each pixel, NaN where there is none."""
    drawn = points[np.isfinite(points[:, 2])] @ np.asarray(matrix).T
    pixels = np.rint(drawn[:, :2] / drawn[:, 2:])
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
    columns, rows = pixels[inside].astype(np.int64).T
    depth_m = np.full(size[::-1], np.inf, np.float32)
    np.minimum.at(depth_m, (rows, columns), drawn[inside, 2].astype(np.float32))
    depth_m[np.isinf(depth_m)] = np.nan
    if not np.isfinite(depth_m).any():
        raise ValueError('none of its points lies in the image of the camera')
    return depth_m
