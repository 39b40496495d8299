"""Camera geometry: depth <-> points, height above a plane, a view straight down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from insegan_ros.types import DepthFrame, FloatImage, InstanceImages, Intrinsics, Segmentation


@dataclass(frozen=True)
class Plane:
    """A plane in the camera's optical frame: height of p above it = normal . p + offset."""

    normal: tuple[float, float, float]  # unit, from the floor towards the camera: normal[2] < 0
    offset: float  # metres: the camera's own height above the plane

    def heights(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., 3) points in metres -> (...) signed heights in metres."""
        return (points @ np.asarray(self.normal, np.float32) + np.float32(self.offset)).astype(
            np.float32
        )


@lru_cache(maxsize=4)  # 60 MB for an image of 5 megapixels
def pixel_rays(intrinsics: Intrinsics) -> NDArray[np.float32]:
    """(H, W, 3) points at depth 1 through every pixel's centre; read only, one for all callers."""
    v, u = np.mgrid[: intrinsics.height, : intrinsics.width].astype(np.float32)
    x, y = (u - intrinsics.cx) / intrinsics.fx, (v - intrinsics.cy) / intrinsics.fy
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32)
    rays.setflags(write=False)
    return rays


def points_from_depth(depth_m: FloatImage, intrinsics: Intrinsics) -> NDArray[np.float32]:
    """(H, W) depth in metres -> (H, W, 3) points in metres, NaN where unmeasured."""
    return pixel_rays(intrinsics) * depth_m[..., None]


def height_map(frame: DepthFrame, floor: Plane) -> FloatImage:
    """(H, W) height above the floor in metres, NaN where unmeasured."""
    rise = floor.heights(pixel_rays(frame.intrinsics)) - np.float32(floor.offset)
    return (rise * frame.depth_m + np.float32(floor.offset)).astype(np.float32)


@dataclass(frozen=True)
class TopDownView:
    """A virtual camera at the real one's optical centre that looks straight down at the floor.

    Only the direction of view differs, so pixels correspond by a homography whatever the scene's
    depth: nothing is hidden or uncovered by going there and back.
    """

    source: Intrinsics  # of the real camera
    intrinsics: Intrinsics  # of the virtual one
    rotation: tuple[tuple[float, ...], ...]  # (3, 3) virtual_R_real

    @staticmethod
    def of(
        source: Intrinsics, floor: Plane, region: tuple[int, int, int, int] | None = None
    ) -> TopDownView:
        """The view that holds `region` (x, y, width, height in px; None: all) of the real image.

        The focal length is kept, so that parts keep about their size in pixels.
        """
        down = -np.asarray(floor.normal)
        x = np.array([1.0, 0, 0]) - down[0] * down  # the image's x axis stays as it is seen
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(down, x), down])
        left, top, width, height = region or (0, 0, source.width, source.height)
        corners = np.array([[left, top], [left + width - 1, top], [left, top + height - 1]])
        corners = np.concatenate([corners, [[left + width - 1, top + height - 1]]])
        rays = np.concatenate([corners, np.ones((4, 1))], axis=1) @ np.linalg.inv(source.matrix).T
        seen = rays @ rotation.T
        seen = seen[:, :2] / np.maximum(seen[:, 2:], 0.2) * [source.fx, source.fy]
        low, high = np.floor(seen.min(axis=0)), np.ceil(seen.max(axis=0))
        size = np.minimum(high - low + 1, 3 * max(width, height)).astype(int)
        virtual = Intrinsics(int(size[0]), int(size[1]), source.fx, source.fy, -low[0], -low[1])
        return TopDownView(source, virtual, tuple(map(tuple, rotation.tolist())))

    @property
    def homography(self) -> NDArray[np.float64]:
        """(3, 3): pixels of the virtual view -> pixels of the real image."""
        rotation = np.asarray(self.rotation)
        return self.source.matrix @ rotation.T @ np.linalg.inv(self.intrinsics.matrix)

    def rectify(self, frame: DepthFrame) -> DepthFrame:
        """The frame as the virtual camera sees it: depths are along its own axis."""
        along = _along(frame.depth_m, self.source, np.asarray(self.rotation)[2])
        size = (self.intrinsics.width, self.intrinsics.height)
        depth = _warp(along, np.linalg.inv(self.homography), size, fill=np.nan)
        return replace(frame, depth_m=depth, intrinsics=self.intrinsics)

    def restore(self, image: NDArray, fill: float) -> NDArray:
        """(h, w) labels of the virtual view -> (H, W) of the real image, nearest pixel."""
        return _warp(image, self.homography, (self.source.width, self.source.height), fill=fill)


def _along(depth_m: FloatImage, k: Intrinsics, axis: NDArray[np.floating]) -> FloatImage:
    """(H, W) depth along the camera's axis -> along `axis` (3,), a unit vector in its frame."""
    columns = axis[0] * (np.arange(k.width) - k.cx) / k.fx
    rows = axis[1] * (np.arange(k.height) - k.cy) / k.fy
    share = (columns[None] + rows[:, None] + axis[2]).astype(np.float32)
    return np.asarray(depth_m * share, np.float32)


def _warp(image: NDArray, homography: NDArray, size: tuple[int, int], *, fill: float) -> NDArray:
    """Nearest neighbour; `homography` maps pixels of `image` to pixels of the result."""
    return cv2.warpPerspective(
        image,
        homography,
        size,
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )


def median_frame(frames: Sequence[DepthFrame]) -> DepthFrame:
    """Of frames of one camera the median depth of each pixel, NaN where none measured it."""
    stack = np.stack([frame.depth_m for frame in frames])
    seen = np.isfinite(stack).any(axis=0)
    depth = np.full(stack.shape[1:], np.nan, np.float32)
    depth[seen] = np.nanmedian(stack[:, seen], axis=0)
    return DepthFrame(depth, frames[0].intrinsics)


def segmentation_from_labels(
    frame: DepthFrame, labels: NDArray[np.integer], scores: NDArray[np.floating] | None = None
) -> Segmentation:
    """The Segmentation of a method that knows only which pixels belong together.

    Single-instance depths are the measured ones, poses the visible points' centroid and principal
    axes (x along the longest), and without `scores` the nearest instance is the best pick.

    Args:
        labels: (H, W), 0 background; instance ids need not be consecutive.
        scores: one in [0, 1] for each id, in ascending order of the ids.
    """
    labelled = np.flatnonzero(labels > 0)
    values = np.ravel(labels)[labelled]
    ids, counts = np.unique(values, return_counts=True)
    together = labelled[np.argsort(values, kind='stable')]
    pixels = np.split(together, np.cumsum(counts))[:-1]  # of each instance, in the flat image
    depth, rays = frame.depth_m.ravel(), pixel_rays(frame.intrinsics).reshape(-1, 3)
    measured = [some[np.isfinite(depth[some])] for some in pixels]
    found = [_principal_pose(rays[some] * depth[some, None]) for some in measured]
    poses = np.array(found, np.float32).reshape(-1, 4, 4)
    if scores is None:
        distance = poses[:, 2, 3]
        scores = distance.min(initial=np.inf) / np.maximum(distance, 1e-6)
    order = np.argsort(-np.asarray(scores), kind='stable')
    ordered = np.zeros(labels.size, np.uint16)
    for k, instance in enumerate(order):
        ordered[pixels[instance]] = k + 1
    image = ordered.reshape(labels.shape)
    height, width = frame.depth_m.shape
    windows = ndimage.find_objects(image)
    crops = [
        (*window, np.where(image[window] == k, frame.depth_m[window], np.float32(np.nan)))
        for k, window in enumerate(windows, 1)
    ]
    return Segmentation(
        labels=image,
        depths=InstanceImages((height, width), tuple(crops), np.float32(np.nan)),
        rendered_depth=np.where(image > 0, frame.depth_m, np.float32(np.nan)),
        poses=poses[order],
        scores=np.clip(np.asarray(scores, np.float32)[order], 0, 1),
        visible_fraction=np.ones(len(ids), np.float32),
    )


def rigid(rotation: ArrayLike, place: ArrayLike) -> NDArray[np.float64]:
    """(4, 4) of a rotation (3, 3) and where it leaves the origin (3,)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, place
    return pose


def _principal_pose(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """(M, 3) points -> (4, 4) pose: their centroid and right-handed principal axes."""
    if len(points) < 3:
        return np.eye(4)
    centre = points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((points - centre).T))  # ascending variance
    rotation = axes[:, ::-1]
    if np.linalg.det(rotation) < 0:
        rotation = rotation * np.array([1, 1, -1])
    return rigid(rotation, centre)
