"""Where two fingers hold: opposite sides of one part, and room beside them to go down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.gripper import ParallelJaw
from insegan_ros.picks.holds import Holds, Turned
from insegan_ros.picks.pick import Cues, NoPick, Pick, tool_pose
from insegan_ros.picks.scene import Scene

OWN_POINTS = 1200  # of an instance that are looked at, evenly chosen


def jaw_pick(
    scene: Scene, k: int, window: tuple[slice, slice], *, jaw: ParallelJaw
) -> Pick | NoPick:
    """The straight-down hold of instance `k` with the best chance, or why there is none.

    Widths and depths of all holds are found at once. What stands beside the fingers, and whether
    the sides are parallel, takes longer: it is asked of the most promising hold first, until those
    that are left cannot be better. The chance of success is left at 0: `planner` fills it in.
    """
    points, own = _flat(scene, k, window)
    if own.sum() < 9:
        return NoPick(label=k + 1, reason='fewer than nine of its pixels are measured')
    part = points[own][:: int(np.ceil(own.sum() / OWN_POINTS))]
    holds = Holds.of(part, jaw)
    tips = holds.centres @ scene.floor_axes
    tips += (holds.tips - scene.floor_offset_m)[:, None] * scene.up  # (H, 3) camera frame
    left, reasons = _reachable(scene, holds, tips, jaw=jaw)
    around, whole = Turned.of(_in_reach(points, holds, jaw)), Turned.of(points[own])
    weights = dict(zip(Cues.names(), jaw.chance.weights, strict=True))
    seal = np.minimum(holds.depths / jaw.finger_depth_m, 1)
    worth = seal * weights['seal'] + holds.centred * weights['centred']
    most = max(weights['smooth'], 0) + max(weights['room'], 0)  # that is added to it
    best: tuple[float, int, float, float] | None = None
    # of equal ones the best centred comes first
    for m in left[np.lexsort((-holds.centred[left], -worth[left]))].tolist():
        if best is not None and worth[m] + most <= best[0]:
            break
        room = holds.room(m, around, jaw)
        if room < 0:
            reasons.append('something stands where a finger has to go')
            continue
        smooth = 1 - holds.slope(m, whole, jaw) / jaw.max_slope
        if smooth < 0:
            reasons.append('its sides are not parallel')
            continue
        free = min(room / (2 * jaw.clearance_m), 1.0)
        value = float(worth[m] + smooth * weights['smooth'] + free * weights['room'])
        if best is None or value > best[0]:
            best = value, m, smooth, free
    if best is None:
        return NoPick(label=k + 1, reason=max(reasons, key=reasons.count))
    _, m, smooth, free = best
    cues = Cues(
        seal=float(seal[m]),
        smooth=smooth,
        level=1.0,
        centred=float(holds.centred[m]),
        room=free,
        known=float(scene.posed(k)),
        visible=float(scene.found.visible_fraction[k]),
        score=float(scene.found.scores[k]),
    )
    pose = tool_pose(tips[m], -scene.up, holds.closing[m] @ scene.floor_axes)
    width = float(holds.widths[m])
    return Pick(label=k + 1, kind='parallel', pose=pose, chance=0.0, cues=cues, width_m=width)


def _flat(
    scene: Scene, k: int, window: tuple[slice, slice]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(M, 3) measured points of the window: x, y along the floor and height; which are k's."""
    points, labels = scene.points[window].reshape(-1, 3), scene.found.labels[window].ravel()
    known = np.isfinite(points[:, 2])
    axes = np.concatenate([scene.floor_axes, scene.up[None]])
    flat = points[known].astype(np.float64) @ axes.T
    flat[:, 2] += scene.floor_offset_m
    return flat, labels[known] == k + 1


def _reachable(
    scene: Scene, holds: Holds, tips: NDArray[np.float64], *, jaw: ParallelJaw
) -> tuple[NDArray[np.int64], list[str]]:
    """Indices of the holds that nothing forbids so far, and why not the others."""
    opening = holds.widths + 2 * jaw.clearance_m
    reach = (opening / 2 + jaw.finger_thickness_m)[:, None] * (holds.closing @ scene.floor_axes)
    walls = np.minimum(scene.wall_distance(tips - reach), scene.wall_distance(tips + reach))
    wide = opening > jaw.stroke_m
    narrowest = 1000 * float(holds.widths[wide].min(initial=np.inf))  # of those that are too wide
    forbidden = {
        'the fingers find too little of it': ~holds.seen,
        'it lies too flat for the fingers': holds.depths < jaw.min_depth_m,
        f'it is at least {narrowest:.0f} mm wide, more than the fingers open': wide,
        'a wall stands where a finger has to go': walls < 0,
        'each of its places has failed before': ~scene.untried(tips),
    }
    left = np.ones(len(tips), bool)
    reasons: list[str] = []
    for reason, which in forbidden.items():
        reasons += [reason] * int((left & which).sum())
        left &= ~which
    return np.flatnonzero(left), reasons


def _in_reach(points: NDArray[np.float64], holds: Holds, jaw: ParallelJaw) -> NDArray[np.float64]:
    """Those of (M, 3) points that could stand in the way of one of the holds."""
    wide = min(float(holds.widths.max()), jaw.stroke_m) / 2
    wide += 3 * jaw.clearance_m + jaw.finger_thickness_m  # as far as free space counts
    low, high = holds.centres.min(axis=0) - wide, holds.centres.max(axis=0) + wide
    inside = (points[:, 2] > holds.tips.min()) & (points[:, :2] > low).all(axis=1)
    return points[inside & (points[:, :2] < high).all(axis=1)]
