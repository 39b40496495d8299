"""The bin in a frame: what its walls enclose, and which pixels show parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros import config
from insegan_ros.camera import Plane, height_map, pixel_rays, points_from_depth
from insegan_ros.deadline import check_time
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.floor import (
    FloorNotFoundError,
    find_floor,
    floor_frame,
    floor_tolerance,
    levelled,
)
from insegan_ros.types import DepthFrame, Intrinsics


@dataclass(frozen=True)
class Bin:
    """Where the bin is for a camera that does not move."""

    floor: Plane
    region: tuple[int, int, int, int] | None = None  # x, y, width, height of its window, px
    corners: tuple[tuple[float, float, float], ...] | None = None  # of its floor, camera frame, m
    # of the parts in it, their longest side, for models that have to be told; None: not known
    part_length_m: float | None = None

    def within(self, region: tuple[int, int, int, int] | None) -> Bin:
        """The same, its window no larger than x, y, width, height."""
        if region is None or self.region is None:
            return self if region is None else replace(self, region=region)
        low = [max(self.region[k], region[k]) for k in (0, 1)]
        high = [
            min(self.region[k] + self.region[k + 2], region[k] + region[k + 2]) for k in (0, 1)
        ]
        size = [max(b - a, 1) for a, b in zip(low, high, strict=True)]
        return replace(self, region=(low[0], low[1], size[0], size[1]))


MIN_INSIDE = 0.05  # of a bin's area in the image is lower than its walls
BOX_SHARE = 0.93  # of the hull around it a bin fills
CORNER = 0.04  # of a hull's length: what is less blunt is no corner
MIN_ENCLOSED = 0.3  # of the walls' own area in the image; the holes in parts make up less
WALL_MARGIN_M = 0.004  # from the walls' inner faces: measured walls waver by as much,
WALL_LEAN = 0.06  # and the more the higher above the floor

TOLD_STRIDE = 3  # px skipped where noise is measured
HIDDEN_M = 0.008  # a rim further out than the floor's end: more than walls lean outwards


def restricted(
    frame: DepthFrame,
    region: tuple[int, int, int, int] | None = None,
    max_depth_m: float | None = None,
) -> DepthFrame:
    """The frame without what lies outside a window or too far away.

    Raises:
        ValueError: the window lies outside the image, or nothing is left.
    """
    depth = frame.depth_m.copy()
    if region is not None:
        x, y, width, height = region
        if x + width > depth.shape[1] or y + height > depth.shape[0]:
            raise ValueError(
                f'region {region}: a window of the image, {depth.shape[1]} x {depth.shape[0]} px, '
                'is expected'
            )
        inside = np.zeros(depth.shape, bool)
        inside[y : y + height, x : x + width] = True
        depth[~inside] = np.nan
    if max_depth_m is not None:
        depth[depth > max_depth_m] = np.nan
    if not np.isfinite(depth).any():
        raise ValueError(
            f'nothing is measured in region {region} up to {max_depth_m} m; choose a larger '
            'window or distance'
        )
    return DepthFrame(depth, frame.intrinsics, frame.stamp_ns, frame.frame_id)


def find_bin(frame: DepthFrame, rng: np.random.Generator, floor: Plane | None = None) -> Bin:
    """The floor and what the walls enclose, from one frame.

    Walls are taken to be at least half as tall as the tallest thing in sight. Without walls all
    that is seen is the inside.

    Raises:
        FloorNotFoundError: as `find_floor`, where `floor` is not given.
    """
    floor = find_floor(frame, rng) if floor is None else floor
    heights = height_map(frame, floor)
    measured = np.isfinite(heights)
    if not measured.any():
        raise FloorNotFoundError('no pixel is measured; check that the camera sees the bin')
    tallest = float(np.percentile(heights[measured], 99))
    inside = _enclosed(heights, ~measured | (heights > 0.5 * tallest))
    low = inside & measured & (heights < 0.3 * tallest)
    rim = measured & (heights > 0.85 * tallest) & ~inside
    corners = _floor_rectangle(frame, floor, low, rim=rim)
    if corners is None:
        return Bin(floor, _window(measured), None)
    top = corners - np.asarray(floor.normal) * -tallest  # the walls lean outwards in the image
    region = _project(np.concatenate([corners, top]), frame.intrinsics)
    return Bin(floor, region, tuple(tuple(c) for c in corners.tolist()))


def _enclosed(heights: NDArray, tall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) what tall or unmeasured pixels surround, tall things that stand in it included."""
    closed = cv2.morphologyEx(tall.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    low_areas = cv2.connectedComponents((closed == 0).astype(np.uint8), connectivity=4)[1]
    outside = np.isin(low_areas, np.setdiff1d(_at_edge(low_areas), 0))
    tall_areas = cv2.connectedComponents(closed, connectivity=8)[1]
    beside = cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    walls = np.union1d(_at_edge(tall_areas), tall_areas[beside])
    surrounded = ~outside & ~np.isin(tall_areas, np.setdiff1d(walls, 0))
    if outside.any():
        _, areas, stats, _ = cv2.connectedComponentsWithStats((~outside).astype(np.uint8))
        block = areas == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]) if len(stats) > 1 else tall
        walled = _is_box(block) and (surrounded & block).sum() > MIN_INSIDE * block.sum()
    else:
        around = (closed > 0) & ~surrounded & np.isfinite(heights)
        walled = surrounded.sum() > MIN_ENCLOSED * around.sum()
    return surrounded if walled else np.ones_like(tall)


def _is_box(block: NDArray[np.bool_]) -> bool:
    """Whether an area fills a quadrangle around it, as a bin does and scattered parts do not.

    Under a tilted camera a near bin is no rectangle.
    """
    if not block.any():
        return False
    hull = cv2.convexHull(np.argwhere(block).astype(np.float32))
    around = cv2.arcLength(hull, True)
    corners = cv2.approxPolyDP(hull, CORNER * around, True)
    size = cv2.contourArea(hull) + around / 2 + 1  # of its pixels, not of their middles alone
    return len(corners) == 4 and float(block.sum()) > BOX_SHARE * size


def _at_edge(areas: NDArray) -> NDArray:
    return np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))


def _floor_rectangle(
    frame: DepthFrame, floor: Plane, low: NDArray[np.bool_], *, rim: NDArray[np.bool_]
) -> NDArray | None:
    """(4, 3) corners of the bin's floor, camera frame, or None where too little of it is seen.

    The sides lie where low points end. Where parts or a wall hide the floor before it ends, the
    inner edge of the walls' rim tells how much further it goes.
    """
    if low.sum() < 100:
        return None
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    origin, axes = floor_frame(floor)
    flat = (points[low] - origin) @ axes.T  # (M, 2) metres along the floor
    middle = np.median(flat, axis=0)
    edge = (points[rim] - origin) @ axes.T - middle
    _, sides, degrees = cv2.minAreaRect(cv2.convexHull((flat - middle).astype(np.float32)))
    if len(edge) > 400:  # the rim is straight, what parts leave of the floor is not
        _, rim_sides, rim_degrees = cv2.minAreaRect(cv2.convexHull(edge.astype(np.float32)))
        if np.all(np.sort(rim_sides) > np.sort(sides)):  # else it is a part of it, or tall parts
            degrees = rim_degrees
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    ends = np.percentile((flat - middle) @ turn, [0.3, 99.7], axis=0)  # (2, 2) low, high of x, y
    edge = edge @ turn
    centre, half = ends.mean(axis=0), np.ptp(ends, axis=0) / 2
    for axis in (0, 1):
        beside = np.abs(edge[:, 1 - axis] - centre[1 - axis]) < 0.6 * half[1 - axis]
        for end, sign in ((0, -1), (1, 1)):
            beyond = sign * (edge[beside, axis] - ends[end, axis])
            beyond = beyond[beyond > 0]
            if len(beyond) > 20 and np.percentile(beyond, 3) > HIDDEN_M:
                ends[end, axis] += sign * np.percentile(beyond, 3)
    box = np.array([ends[0], [ends[1, 0], ends[0, 1]], ends[1], [ends[0, 0], ends[1, 1]]])
    return origin + (box @ turn.T + middle) @ axes


def _window(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1


def _project(points: NDArray, intrinsics: Intrinsics) -> tuple[int, int, int, int]:
    """The window of the image around (M, 3) points."""
    pixels = points @ intrinsics.matrix.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    size = [intrinsics.width, intrinsics.height]
    low = np.clip(np.floor(pixels.min(axis=0)), 0, np.array(size) - 1).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)), low, np.array(size) - 1).astype(int)
    return int(low[0]), int(low[1]), int(high[0] - low[0] + 1), int(high[1] - low[1] + 1)


def lowest_part(frame: DepthFrame, floor: Plane, heights: NDArray[np.floating]) -> float:
    """Metres above the floor from which on a part, and not the camera's noise, is seen.

    Args:
        heights: (H, W) of the frame above the floor.
    """
    expected = float(D435_NOISE.depth_sigma(np.array(floor.offset), frame.intrinsics))
    return floor_tolerance(heights[::TOLD_STRIDE, ::TOLD_STRIDE], expected)


def foreground(frame: DepthFrame, parts_bin: Bin) -> NDArray[np.bool_]:
    """(H, W) measured pixels of parts: above the floor by more than noise, inside the walls."""
    heights = height_map(frame, parts_bin.floor)
    above = heights > lowest_part(frame, parts_bin.floor, heights)  # False where NaN
    if parts_bin.region is not None:
        x, y, width, height = parts_bin.region
        inside = np.zeros(above.shape, bool)
        inside[y : y + height, x : x + width] = True
        above &= inside
    if parts_bin.corners is not None:
        above &= _within_walls(frame, heights, parts_bin)
    return above


def _within_walls(frame: DepthFrame, heights: NDArray, parts_bin: Bin) -> NDArray[np.bool_]:
    """(H, W) points inside each of the four walls, by a margin that grows with the height."""
    rays = pixel_rays(frame.intrinsics)
    corners = np.asarray(parts_bin.corners)
    centre = corners.mean(axis=0)
    margin = WALL_MARGIN_M + WALL_LEAN * heights
    inside = np.ones(frame.depth_m.shape, bool)
    for a, b in zip(corners, np.roll(corners, -1, axis=0)):
        inward = np.cross(parts_bin.floor.normal, b - a)
        inward *= np.sign((centre - a) @ inward) / np.linalg.norm(inward)
        distance = (rays @ inward.astype(np.float32)) * frame.depth_m - np.float32(inward @ a)
        inside &= distance > margin
    return inside


def save_bin(path: Path, parts_bin: Bin) -> None:
    """Write what `insegan calibrate` found, as YAML."""
    path.write_text(config.dump(parts_bin))


def load_bin(path: Path) -> Bin:
    """Raises: ConfigError, for a file that is absent or holds something else."""
    return config.load(Bin, [path])


class BinTracker:
    """The bin of a camera that rarely moves: found again when it no longer fits.

    Parts hide the walls' feet in some frames, so it is looked for in the first few, and what most
    of them agree on is kept. The floor's distance is each frame's own: mounts give by millimetres.
    """

    LOOKS = 5  # frames
    STRIDE = 8  # pixels skipped when the fit is checked
    BELOW_M = 0.008  # under the floor by more than noise

    def __init__(self, parts_bin: Bin | None = None, seed: int = 0) -> None:
        """A given bin is kept whatever the frames show; None finds one in the frames."""
        self._given = parts_bin
        self._looks: list[tuple[Bin, float]] = []  # with the share of points on the floor
        self._rng = np.random.default_rng(seed)
        self._frame: DepthFrame | None = None  # looked at last
        self.last: Bin | None = parts_bin  # in the frame looked at last

    def __call__(self, frame: DepthFrame) -> Bin:
        """Raises: FloorNotFoundError, as `find_bin`."""
        if self.last is None or frame is not self._frame:
            self.last = self._in(frame)
            self._frame = frame
        return self.last

    def _in(self, frame: DepthFrame) -> Bin:
        if self._given is not None:
            return self._given
        if self._looks and not self._fits(frame):
            self._looks = []
        check_time()
        if len(self._looks) < self.LOOKS:
            try:
                seen = find_bin(frame, self._rng)
                self._looks.append((seen, self._shares(frame, seen)[0]))
            except FloorNotFoundError:
                if not self._looks:
                    raise
        found = self._agreed()[0]
        floor = levelled(frame, found.floor)
        lift = (found.floor.offset - floor.offset) * np.asarray(floor.normal)
        corners = found.corners and tuple(tuple((c + lift).tolist()) for c in found.corners)
        return replace(found, floor=floor, corners=corners)

    def _agreed(self) -> tuple[Bin, float]:
        """The look whose window overlaps most with all others'; of two, the first."""
        windows = [look[0].region for look in self._looks]
        return self._looks[int(np.argmax([sum(_overlap(a, b) for b in windows) for a in windows]))]

    def _fits(self, frame: DepthFrame) -> bool:
        agreed, then = self._agreed()
        on, below = self._shares(frame, agreed)
        return below < 0.02 and on > 0.3 * then

    def _shares(self, frame: DepthFrame, parts_bin: Bin) -> tuple[float, float]:
        """Of the measured points: the share on the floor, the share below it."""
        rays = pixel_rays(frame.intrinsics)[:: self.STRIDE, :: self.STRIDE]
        depth = frame.depth_m[:: self.STRIDE, :: self.STRIDE]
        heights = parts_bin.floor.heights(rays * depth[..., None])
        heights = heights[np.isfinite(heights)]
        if not len(heights):
            return 0.0, 0.0
        return float((np.abs(heights) < 0.004).mean()), float((heights < -self.BELOW_M).mean())


def _overlap(a: tuple[int, int, int, int] | None, b: tuple[int, int, int, int] | None) -> float:
    """Intersection over union of two windows x, y, width, height."""
    if a is None or b is None:
        return float(a is b)
    sides = [min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]) for k in (0, 1)]
    both = max(sides[0], 0) * max(sides[1], 0)
    return both / max(a[2] * a[3] + b[2] * b[3] - both, 1)
