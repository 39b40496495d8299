"""Where the bin is, from one frame: its floor, and what tall things around it enclose."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import Plane, height_map, points_from_depth
from insegan_ros.floor import FloorNotFoundError, find_floor, floor_frame
from insegan_ros.parts_bin import DEFAULT, Bin, FindingConfig
from insegan_ros.types import DepthFrame, Intrinsics


def find_bin(
    frame: DepthFrame,
    rng: np.random.Generator,
    floor: Plane | None = None,
    *,
    config: FindingConfig = DEFAULT,
) -> Bin:
    """The floor and what the walls enclose, from one frame.

    Walls are taken to be at least half as tall as the tallest thing in sight (`tall`). Without
    walls all that is seen is the inside.

    Raises:
        FloorNotFoundError: as `find_floor`, where `floor` is not given.
    """
    floor = find_floor(frame, rng, config=config.floor) if floor is None else floor
    heights = height_map(frame, floor)
    measured = np.isfinite(heights)
    if not measured.any():
        raise FloorNotFoundError('no pixel is measured; check that the camera sees the bin')
    raised = heights[measured & (heights > config.raised_m)]
    tallest = float(np.percentile(raised, config.tallest)) if len(raised) else 0.0
    x, y, width, height = _window(measured)
    window = np.s_[y : y + height, x : x + width]  # what a view is limited to has edges like it
    tall = ~measured | (heights > config.tall * tallest)
    inside = np.zeros(heights.shape, bool)
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    origin, axes = floor_frame(floor)
    places = (points - origin.astype(np.float32)) @ axes.T.astype(np.float32)  # (H, W, 2) m
    inside[window] = _enclosed(places[window], tall[window], config)
    low = inside & measured & (heights < config.low * tallest)
    rim = measured & (heights > config.rim * tallest) & ~inside
    hidden_m = min(config.hidden_m, config.hidden_lean * tallest)
    found = _floor_rectangle(frame, floor, low, rim=rim, hidden_m=hidden_m, config=config)
    if found is None:
        return Bin(floor, _window(measured), None, config.limits)
    corners, beyond = found
    top = corners - np.asarray(floor.normal) * -tallest  # the walls lean outwards in the image
    region = _project(np.concatenate([corners, top]), frame.intrinsics)
    opening = tuple((beyond / max(tallest, config.raised_m)).tolist())
    return Bin(floor, region, tuple(tuple(c) for c in corners.tolist()), config.limits, opening)


def _enclosed(
    places: NDArray[np.float32], tall: NDArray[np.bool_], config: FindingConfig
) -> NDArray[np.bool_]:
    """(H, W) what tall or unmeasured pixels surround, tall things that stand in it included.

    Args:
        places: (H, W, 2) along the floor, metres, NaN where unmeasured.
    """
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
        lower = (surrounded & block).sum()
        walled = _is_box(block, places, config) and lower > config.least_inside * block.sum()
    else:
        around = (closed > 0) & ~surrounded & np.isfinite(places[..., 0])
        walled = surrounded.sum() > config.least_enclosed * around.sum()
    return surrounded if walled else np.ones_like(tall)


def _is_box(block: NDArray[np.bool_], places: NDArray[np.float32], config: FindingConfig) -> bool:
    """Whether an area fills the hull around it, which is a quadrangle as seen from above.

    A bin's is, and that of scattered parts is not. A tilted camera sees the outer face of the near
    wall, too, which stands on the wall's own line.
    """
    if not block.any():
        return False
    hull = cv2.convexHull(np.argwhere(block).astype(np.float32))
    around = cv2.arcLength(hull, True)
    size = cv2.contourArea(hull) + around / 2 + 1  # of its pixels, not of their middles alone
    known = places[block & np.isfinite(places[..., 0])]
    if float(block.sum()) <= config.box_share * size or not len(known):
        return False
    above = cv2.convexHull(known)
    corners = cv2.approxPolyDP(above, config.corner * cv2.arcLength(above, True), True)
    return len(corners) == 4


def _at_edge(areas: NDArray) -> NDArray:
    return np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))


def _floor_rectangle(
    frame: DepthFrame,
    floor: Plane,
    low: NDArray[np.bool_],
    *,
    rim: NDArray[np.bool_],
    hidden_m: float,
    config: FindingConfig,
) -> tuple[NDArray, NDArray] | None:
    """The bin's floor and how much wider its rim is; None where too little of it is seen.

    The sides lie where low points end. Where parts or a wall hide the floor before it ends, the
    inner edge of the walls' rim shows how much further it goes.

    Args:
        hidden_m: how far the rim has to be from where low points end for that.

    Returns:
        (4, 3) corners of the floor, camera frame, and (4,) metres from the side that begins at
        each to the rim's inner edge.
    """
    if low.sum() < config.least_floor_px:
        return None
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    origin, axes = floor_frame(floor)
    flat = (points[low] - origin) @ axes.T  # (M, 2) metres along the floor
    middle = np.median(flat, axis=0)
    edge = (points[rim] - origin) @ axes.T - middle
    _, sides, degrees = cv2.minAreaRect(cv2.convexHull((flat - middle).astype(np.float32)))
    # the rim is straight, what parts leave of the floor is not
    if len(edge) > config.least_rim_px:
        _, rim_sides, rim_degrees = cv2.minAreaRect(cv2.convexHull(edge.astype(np.float32)))
        if np.all(np.sort(rim_sides) > np.sort(sides)):  # else it is a part of it, or tall parts
            degrees = rim_degrees
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    both = [config.floor_end, 100 - config.floor_end]
    ends = np.percentile((flat - middle) @ turn, both, axis=0)  # (2, 2) low, high of x, y
    edge = edge @ turn
    rims = np.zeros((2, 2))  # low, high of x, y
    centre, half = ends.mean(axis=0), np.ptp(ends, axis=0) / 2
    for axis in (0, 1):
        beside = np.abs(edge[:, 1 - axis] - centre[1 - axis]) < config.rim_middle * half[1 - axis]
        for end, sign in ((0, -1), (1, 1)):
            beyond = sign * (edge[beside, axis] - ends[end, axis])
            beyond = beyond[beyond > 0]
            if len(beyond) > config.least_beyond_px:
                farther = float(np.percentile(beyond, config.rim_edge))
                if farther > hidden_m:
                    ends[end, axis] += sign * farther
                else:
                    rims[end, axis] = farther
    box = np.array([ends[0], [ends[1, 0], ends[0, 1]], ends[1], [ends[0, 0], ends[1, 1]]])
    beyond = np.array([rims[0, 1], rims[1, 0], rims[1, 1], rims[0, 0]])
    return origin + (box @ turn.T + middle) @ axes, beyond


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
