"""Camera geometry: depth <-> points, the bin's floor, height above it, a view straight down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.types import DepthFrame, FloatImage, Intrinsics, Segmentation


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


def points_from_depth(depth_m: FloatImage, intrinsics: Intrinsics) -> NDArray[np.float32]:
    """(H, W) depth in metres -> (H, W, 3) points in metres, NaN where unmeasured."""
    v, u = np.mgrid[: intrinsics.height, : intrinsics.width].astype(np.float32)
    x = (u - intrinsics.cx) / intrinsics.fx * depth_m
    y = (v - intrinsics.cy) / intrinsics.fy * depth_m
    return np.stack([x, y, depth_m], axis=-1).astype(np.float32)


def height_map(frame: DepthFrame, floor: Plane) -> FloatImage:
    """(H, W) height above the floor in metres, NaN where unmeasured."""
    return floor.heights(points_from_depth(frame.depth_m, frame.intrinsics))


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
    ids = np.unique(labels)
    ids = ids[ids > 0]
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    measured = np.isfinite(frame.depth_m)
    masks = labels == ids[:, None, None]  # (N, H, W)
    poses = np.array([_principal_pose(points[mask & measured]) for mask in masks], np.float32)
    poses = poses.reshape(-1, 4, 4)
    if scores is None:
        distance = poses[:, 2, 3]
        scores = distance.min(initial=np.inf) / np.maximum(distance, 1e-6)
    order = np.argsort(-np.asarray(scores), kind='stable')
    masks = masks[order]
    ordered = np.zeros(labels.shape, np.uint16)
    for k, mask in enumerate(masks, 1):
        ordered[mask] = k
    return Segmentation(
        labels=ordered,
        masks=masks,
        depths=np.where(masks, frame.depth_m, np.float32(np.nan)),
        rendered_depth=np.where(ordered > 0, frame.depth_m, np.float32(np.nan)),
        poses=poses[order],
        scores=np.clip(np.asarray(scores, np.float32)[order], 0, 1),
        visible_fraction=np.ones(len(ids), np.float32),
    )


def _principal_pose(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """(M, 3) points -> (4, 4) pose: their centroid and right-handed principal axes."""
    pose = np.eye(4)
    if len(points) < 3:
        return pose
    centre = points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((points - centre).T))  # ascending variance
    rotation = axes[:, ::-1]
    if np.linalg.det(rotation) < 0:
        rotation = rotation * np.array([1, 1, -1])
    pose[:3, :3], pose[:3, 3] = rotation, centre
    return pose
