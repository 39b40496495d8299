"""Where a suction cup takes hold: a place where it seals, and a free way to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.gripper import SuctionCup
from insegan_ros.picks.pick import Cues, NoPick, Pick, tool_pose
from insegan_ros.picks.places import STRICT, Limits, Places, sealing_places
from insegan_ros.picks.scene import Scene

LIFT_OFF_M = 0.004  # above the lip: what is lower than this beside the cup is not in its way
CANDIDATES = 24  # of an instance whose way is checked, best ones first


def suction_pick(
    scene: Scene,
    k: int,
    window: tuple[slice, slice],
    *,
    cup: SuctionCup,
    limits: Limits = STRICT,
) -> Pick | NoPick:
    """The best place on instance `k` for a cup, or why there is none.

    Whether the lip is closed and how deep the place is comes from the measured surface, the
    direction from the posed template's rendering where there is one and it agrees. The chance of
    success is left at 0: `planner` fills it in from the cues.
    """
    places = sealing_places(scene, k, window, cup=cup, limits=limits)
    return places if isinstance(places, NoPick) else _first_free(scene, k, places, cup=cup)


def _first_free(scene: Scene, k: int, places: Places, *, cup: SuctionCup) -> Pick | NoPick:
    """The first place that nothing keeps the cup from; beside a blocked one all are blocked."""
    left = scene.untried(places.points)
    if not left.any():
        return NoPick(label=k + 1, reason='each of its places has failed before')
    blocked = None
    for _ in range(CANDIDATES):
        if not left.any():
            break
        m = int(np.argmax(left))
        blocked = _in_the_way(scene, k, places.points[m], normal=places.normals[m], cup=cup)
        if blocked is None:
            return _pick_at(scene, k, places, m=m)
        apart = np.linalg.norm(places.points - places.points[m], axis=1)
        left &= apart >= cup.cup_radius_m / 2
    return NoPick(label=k + 1, reason=f'the way to it is blocked by {blocked}')


def _pick_at(scene: Scene, k: int, places: Places, *, m: int) -> Pick:
    seal, smooth, level, centred, room, known = places.cues[m].tolist()
    cues = Cues(
        seal=seal,
        smooth=smooth,
        level=level,
        centred=centred,
        room=room,
        known=known,
        visible=float(scene.found.visible_fraction[k]),
        score=float(scene.found.scores[k]),
    )
    return Pick(
        label=k + 1,
        kind='suction',
        pose=tool_pose(places.points[m], -places.normals[m], scene.floor_axes[0]),
        chance=0.0,
        cues=cues,
        width_m=float(places.radii_m[m]),
    )


def _in_the_way(
    scene: Scene,
    k: int,
    point: NDArray[np.float64],
    *,
    normal: NDArray[np.float64],
    cup: SuctionCup,
) -> str | None:
    """What stands inside the tube's cylinder above the lip, or None."""
    intrinsics = scene.frame.intrinsics
    top = point + normal * cup.tube_length_m
    ends = np.stack([point, top])
    pixels = ends[:, :2] / np.maximum(ends[:, 2:], 0.05) * [intrinsics.fx, intrinsics.fy]
    pixels += [intrinsics.cx, intrinsics.cy]
    reach = cup.tube_radius_m * intrinsics.fx / max(float(ends[:, 2].min()), 0.05) + 1
    low = np.floor(pixels.min(axis=0) - reach).astype(int)
    high = np.ceil(pixels.max(axis=0) + reach).astype(int) + 1
    height, width = scene.found.labels.shape
    rows = slice(max(low[1], 0), min(max(high[1], 0), height))
    columns = slice(max(low[0], 0), min(max(high[0], 0), width))
    offset = scene.points[rows, columns] - point
    along = offset @ normal
    across = np.sqrt(np.maximum(np.einsum('ijk,ijk->ij', offset, offset) - along**2, 0))
    with np.errstate(invalid='ignore'):
        inside = (across < cup.tube_radius_m) & (along < cup.tube_length_m)
        inside &= along > LIFT_OFF_M + 3 * scene.noise_m(float(point[2]))
    if inside.sum() > 3:  # single pixels are flying ones
        labels = scene.found.labels[rows, columns][inside]
        label = int(np.bincount(labels).argmax())
        if label == k + 1:
            return 'the part itself'
        return f'instance {label}' if label else 'the bin'
    lip = scene.wall_distance(point)
    return 'a wall' if lip < cup.tube_radius_m else None
