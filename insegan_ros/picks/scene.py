"""A frame and its instances as picking sees them: points, windows, what hides what."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from insegan_ros.camera import points_from_depth
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.floor import floor_frame
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation

SAME_PLACE_M = 0.006  # nearer to a place that failed: the same place


@dataclass(frozen=True)
class Scene:
    """Everything about one frame that picks of all its instances need."""

    frame: DepthFrame
    found: Segmentation
    up: NDArray[np.float64]  # (3,) unit, away from the bin's floor, camera frame
    floor_offset_m: float  # height of p above the floor = up . p + floor_offset_m
    points: NDArray[np.float32]  # (H, W, 3) camera frame, NaN where unmeasured
    heights: NDArray[np.float32]  # (H, W) above the floor
    floor_axes: NDArray[np.float64]  # (2, 3) along the floor
    parts_bin: Bin
    failed: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))  # (F, 3) places

    @staticmethod
    def of(
        frame: DepthFrame,
        found: Segmentation,
        parts_bin: Bin,
        *,
        failed: NDArray[np.floating] | None = None,
    ) -> Scene:
        """What `failed` (F, 3), camera frame, holds are places where a gripper found no hold.

        Raises:
            ValueError: frame and segmentation differ in size.
        """
        if found.labels.shape != frame.depth_m.shape:
            raise ValueError(
                f'labels are {found.labels.shape} (H, W) but the frame is {frame.depth_m.shape}'
            )
        points = points_from_depth(frame.depth_m, frame.intrinsics)
        return Scene(
            frame=frame,
            found=found,
            up=np.asarray(parts_bin.floor.normal, np.float64),
            floor_offset_m=parts_bin.floor.offset,
            points=points,
            heights=parts_bin.floor.heights(points),
            floor_axes=floor_frame(parts_bin.floor)[1],
            parts_bin=parts_bin,
            failed=np.zeros((0, 3)) if failed is None else np.reshape(failed, (-1, 3)),
        )

    def untried(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(M,) which of (M, 3) points are not where a pick has failed before."""
        apart = np.linalg.norm(points[:, None] - self.failed[None], axis=-1)
        return np.asarray((apart > SAME_PLACE_M).all(axis=1))

    def tried(self) -> set[int]:
        """Labels of the instances seen where picks have failed: what was wrong may be so still."""
        k, labels = self.frame.intrinsics, self.found.labels
        x, y, z = self.failed[self.failed[:, 2] > 0].T
        columns = np.rint(k.fx * x / z + k.cx)
        rows = np.rint(k.fy * y / z + k.cy)
        height, width = labels.shape
        seen = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        return set(labels[rows[seen].astype(int), columns[seen].astype(int)].tolist()) - {0}

    def camera(self, window: tuple[slice, slice]) -> Intrinsics:
        """The camera of a window of the frame."""
        (top, bottom), (left, right) = ((side.start, side.stop) for side in window)
        return self.frame.intrinsics.crop(left, top, right - left, height=bottom - top)

    def windows(self, margin_px: int) -> list[tuple[slice, slice] | None]:
        """For each instance the rows and columns around it, so many more on each side.

        None where it has no pixel.
        """
        height, width = self.found.labels.shape
        boxes = ndimage.find_objects(self.found.labels, max_label=self.found.count)
        return [
            box
            and (
                slice(max(box[0].start - margin_px, 0), min(box[0].stop + margin_px, height)),
                slice(max(box[1].start - margin_px, 0), min(box[1].stop + margin_px, width)),
            )
            for box in boxes
        ]

    def posed(self, k: int) -> bool:
        """Whether instance `k` is rendered from a template: not with its measured depth."""
        return posed(self.frame, self.found, k)

    def rendered(self, k: int, window: tuple[slice, slice]) -> NDArray[np.float32]:
        """(h, w) metres: instance `k` alone inside a window; NaN elsewhere."""
        rows, columns, crop = self.found.depths.crops[k]
        top, bottom = max(rows.start, window[0].start), min(rows.stop, window[0].stop)
        left, right = max(columns.start, window[1].start), min(columns.stop, window[1].stop)
        size = (window[0].stop - window[0].start, window[1].stop - window[1].start)
        depth = np.full(size, np.nan, np.float32)
        if top < bottom and left < right:
            depth[
                top - window[0].start : bottom - window[0].start,
                left - window[1].start : right - window[1].start,
            ] = crop[
                top - rows.start : bottom - rows.start,
                left - columns.start : right - columns.start,
            ]
        return depth

    def noise_m(self, depth_m: float) -> float:
        """Standard deviation of a measured depth at that depth, metres."""
        return float(D435_NOISE.depth_sigma(np.array(depth_m), self.frame.intrinsics))

    @cached_property
    def _walls(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(W, 3) unit normals of the walls, into the bin, and (W,) their planes' offsets."""
        if self.parts_bin.corners is None:
            return np.zeros((0, 3)), np.zeros(0)
        corners = np.asarray(self.parts_bin.corners)
        inward = np.cross(self.up, np.roll(corners, -1, axis=0) - corners)
        into = ((corners.mean(axis=0) - corners) * inward).sum(axis=1)
        inward *= (np.sign(into) / np.linalg.norm(inward, axis=1))[:, None]
        return inward, (inward * corners).sum(axis=1)

    def wall_distance(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 3) points -> (...) metres to the nearest wall; infinite without walls."""
        inward, offsets = self._walls
        return np.asarray((points @ inward.T - offsets).min(axis=-1, initial=np.inf))


def posed(frame: DepthFrame, found: Segmentation, k: int) -> bool:
    """Whether instance `k` is rendered from a template: not with its measured depth."""
    rows, columns, rendered = found.depths.crops[k]
    measured = frame.depth_m[rows, columns]
    both = np.isfinite(rendered) & np.isfinite(measured)
    return bool((rendered != measured)[both].any())
