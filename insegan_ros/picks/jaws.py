"""Where two fingers hold: opposite sides of one part, and room beside them to go down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.gripper import ParallelJaw
from insegan_ros.picks.pick import Cues, NoPick, Pick, tool_pose
from insegan_ros.picks.scene import Scene

DIRECTIONS = 12  # of closing, evenly over half a turn
PLACES = (-0.5, -0.25, 0.0, 0.25, 0.5)  # along the part, as a share of its half length
FLOOR_GAP_M = 0.002  # the fingertips stay that far above the bin's floor
NEAR_SIDE = 0.15  # of the hold's width: points that belong to a side


def jaw_pick(
    scene: Scene, k: int, window: tuple[slice, slice], *, jaw: ParallelJaw
) -> Pick | NoPick:
    """The best straight-down hold of instance `k`, or why there is none.

    The chance of success is left at 0: `planner` fills it in from the cues.
    """
    flat, own = _flat(scene, k, window)
    if own.sum() < 9:
        return NoPick(label=k + 1, reason='fewer than nine of its pixels are measured')
    part, others = flat[own], flat[~own]
    middle = np.median(part[:, :2], axis=0)
    best: tuple[float, Pick] | None = None
    reasons: list[str] = []
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        closing = np.array([np.cos(angle), np.sin(angle)])
        along = np.array([-closing[1], closing[0]])
        half = float(np.percentile(np.abs((part[:, :2] - middle) @ along), 95))
        for share in PLACES:
            place = middle + share * half * along
            axes = np.stack([closing, along])
            tried = _hold(scene, k, part, others=others, place=place, axes=axes, jaw=jaw)
            if isinstance(tried, str):
                reasons.append(tried)
                continue
            worth = float(tried.cues.vector() @ np.array([1, 0.5, 0, 1.5, 0.5, 0, 0, 0]))
            if best is None or worth > best[0]:
                best = worth, tried
    if best is not None:
        return best[1]
    return NoPick(label=k + 1, reason=max(set(reasons), key=reasons.count))


def _flat(
    scene: Scene, k: int, window: tuple[slice, slice]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(M, 3) measured points of the window: x, y along the floor and height; which are k's."""
    points, labels = scene.points[window].reshape(-1, 3), scene.found.labels[window].ravel()
    known = np.isfinite(points[:, 2])
    points = points[known].astype(np.float64)
    heights = points @ scene.up + scene.floor_offset_m
    flat = np.concatenate([points @ scene.floor_axes.T, heights[:, None]], axis=1)
    return flat, labels[known] == k + 1


def _hold(
    scene: Scene,
    k: int,
    part: NDArray[np.float64],
    *,
    others: NDArray[np.float64],
    place: NDArray[np.float64],
    axes: NDArray[np.float64],
    jaw: ParallelJaw,
) -> Pick | str:
    """The hold at `place` (2,) that closes along axes[0], or why it is none."""
    own = np.concatenate([(part[:, :2] - place) @ axes.T, part[:, 2:]], axis=1)
    strip = np.abs(own[:, 1]) < jaw.finger_width_m / 2
    if strip.sum() < 6:
        return 'the fingers find too little of it'
    top = float(np.percentile(own[strip, 2], 90))
    tip = max(top - jaw.finger_depth_m, FLOOR_GAP_M)
    depth = top - tip
    if depth < jaw.min_depth_m:
        return 'it lies too flat for the fingers'
    low, high = np.percentile(own[strip, 0], [1, 99]).tolist()
    width = high - low
    opening = width + 2 * jaw.clearance_m
    if opening > jaw.stroke_m:
        return f'it is {1000 * width:.0f} mm wide, more than the fingers open'
    slope = max(_slope(own[strip], low, width), _slope(own[strip], high, width))
    if slope > jaw.max_slope:
        return 'its sides are not parallel'
    around = np.concatenate([(others[:, :2] - place) @ axes.T, others[:, 2:]], axis=1)
    middle = (low + high) / 2
    room = _room(around, own, middle, half_opening=opening / 2, tip=tip, jaw=jaw)
    if room < 0:
        return 'something stands where a finger has to go'
    centre_2d = place + middle * axes[0]
    point = centre_2d @ scene.floor_axes + (tip - scene.floor_offset_m) * scene.up
    reach = opening / 2 + jaw.finger_thickness_m
    ends = point + np.outer([-reach, reach], axes[0] @ scene.floor_axes)
    if scene.wall_distance(ends).min() < 0:
        return 'a wall stands where a finger has to go'
    offset = float(np.linalg.norm(np.median(own[:, :2], axis=0) - [middle, 0]))
    size = float(np.percentile(np.linalg.norm(own[:, :2], axis=1), 98))
    cues = Cues(
        seal=min(depth / jaw.finger_depth_m, 1.0),
        smooth=1 - slope / jaw.max_slope,
        level=1.0,
        centred=float(np.clip(1 - offset / max(size, 1e-3), 0, 1)),
        room=min(room / (2 * jaw.clearance_m), 1.0),
        known=float(scene.posed(k)),
        visible=float(scene.found.visible_fraction[k]),
        score=float(scene.found.scores[k]),
    )
    if not scene.untried(point[None])[0]:
        return 'each of its places has failed before'
    pose = tool_pose(point, -scene.up, axes[0] @ scene.floor_axes)
    return Pick(
        label=k + 1, kind='parallel', pose=pose, chance=0.0, cues=cues, width_m=float(width)
    )


def _slope(strip: NDArray[np.float64], side: float, width: float) -> float:
    """How much a side leans against the finger's face: |dx / dy| of its outermost points."""
    near = np.abs(strip[:, 0] - side) < max(NEAR_SIDE * width, 0.002)
    x, y = strip[near, 0], strip[near, 1]
    rows = np.round(y / 0.001).astype(int)
    outer = [(r, x[rows == r].max() if side > 0 else x[rows == r].min()) for r in np.unique(rows)]
    if len(outer) < 3:
        return 0.0
    row, edge = np.array(outer, float).T
    return float(abs(np.polyfit(row * 0.001, edge, 1)[0]))


def _room(
    around: NDArray[np.float64],
    own: NDArray[np.float64],
    middle: float,
    *,
    half_opening: float,
    tip: float,
    jaw: ParallelJaw,
) -> float:
    """Metres of free space beyond both open fingers; negative where one would hit something."""
    free = 2 * jaw.clearance_m
    for points in (around, own):
        x, y, height = np.abs(points[:, 0] - middle), np.abs(points[:, 1]), points[:, 2]
        level = (y < jaw.finger_width_m / 2 + jaw.clearance_m) & (height > tip)
        beside = level & (x > half_opening - jaw.clearance_m / 2)
        outer = half_opening + jaw.finger_thickness_m
        if (beside & (x < outer)).sum() > 3:  # single pixels are flying ones
            return -1.0
        far = x[beside & (x >= outer)]
        if len(far) > 3:
            free = min(free, float(np.partition(far, 3)[3]) - outer)
    return free
