"""A frame and its instances -> picks in the order in which they may be lifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insegan_ros.parts_bin import Bin
from insegan_ros.picks.chance import UNCALIBRATED
from insegan_ros.picks.gripper import Gripper, ParallelJaw, SuctionCup
from insegan_ros.picks.jaws import jaw_pick
from insegan_ros.picks.order import covered_by
from insegan_ros.picks.pick import NoPick, Pick
from insegan_ros.picks.places import LAST_RESORT, STRICT, Limits
from insegan_ros.picks.scene import Scene
from insegan_ros.picks.suction import suction_pick
from insegan_ros.types import DepthFrame, Segmentation

CUP_MARGIN_PX = 6  # beside an instance: what its lip might touch besides it
JAW_MARGIN_PX = 40  # beside an instance: what stands in its fingers' way


Window = tuple[slice, slice]


@dataclass(frozen=True)
class Plan:
    """What a gripper can do about one frame."""

    picks: tuple[Pick, ...]  # best first; those that wait for others come last
    none: tuple[NoPick, ...]  # the instances without a pick, and why

    @property
    def ready(self) -> tuple[Pick, ...]:
        """Picks that wait for nothing."""
        return tuple(pick for pick in self.picks if not pick.waits_for)


def plan_picks(
    frame: DepthFrame,
    found: Segmentation,
    parts_bin: Bin,
    *,
    gripper: Gripper | Sequence[Gripper],
    failed: NDArray[np.floating] | None = None,
) -> Plan:
    """Where to take hold of each instance, in the order in which they may be lifted.

    An instance that another one lies on waits for it, however good its surface is. Instances on
    which picks have failed come after the others, and other places of them first. Where nothing
    can be taken hold of, worse places are given as a last resort, and also those that failed.

    Args:
        gripper: one, or several: that with the best chance takes an instance; the first that can
            where not all chances are calibrated. An instance that waits is planned for the first.
        failed: (F, 3) places, camera frame, where picks have failed.

    Raises:
        ValueError: a gripper is wider than the bin, none is given, or frame and segmentation
            differ in size.
    """
    grippers = (gripper,) if isinstance(gripper, SuctionCup | ParallelJaw) else tuple(gripper)
    if not grippers:
        raise ValueError('no gripper is given; at least one is needed to plan picks for')
    for one in grippers:
        require_fits(one, parts_bin)
    scene = Scene.of(frame, found, parts_bin, failed=failed)
    covered = covered_by(scene) if found.count else np.zeros((0, 0), np.float32)
    plan = _plan(scene, covered, grippers, limits=STRICT)
    if plan.picks or not found.count:
        return plan
    return _plan(Scene.of(frame, found, parts_bin), covered, grippers, limits=LAST_RESORT)


def _plan(
    scene: Scene, covered: NDArray[np.float32], grippers: tuple[Gripper, ...], *, limits: Limits
) -> Plan:
    picks: list[Pick] = []
    none: list[NoPick] = []  # by the first gripper
    comparable = all(gripper.chance != UNCALIBRATED for gripper in grippers)
    windows = scene.windows(CUP_MARGIN_PX), scene.windows(JAW_MARGIN_PX)
    for k in range(scene.found.count):
        waits = tuple((np.flatnonzero(covered[k]) + 1).tolist())
        # an instance that waits now is asked about again once it is free
        asked = grippers[:1] if waits and limits is STRICT else grippers
        found: list[Pick] = []
        for tool, gripper in enumerate(asked):
            window = windows[isinstance(gripper, ParallelJaw)][k]
            one = _one(scene, k, window, gripper=gripper, limits=limits)
            if isinstance(one, Pick):
                found.append(replace(one, tool=tool, waits_for=waits))
            elif not tool:
                none.append(one)
        if found:
            picks.append(max(found, key=lambda pick: pick.chance) if comparable else found[0])
    tried = scene.tried()
    picks.sort(key=lambda p: (len(p.waits_for) > 0, p.label in tried, -p.chance))
    taken = {pick.label for pick in picks}
    return Plan(tuple(picks), tuple(one for one in none if one.label not in taken))


def _one(
    scene: Scene,
    k: int,
    window: Window | None,
    *,
    gripper: Gripper,
    limits: Limits,
) -> Pick | NoPick:
    """The best pick of instance `k` by one gripper, its chance filled in, or why there is none."""
    if window is None:
        return NoPick(label=k + 1, reason='no pixel shows it')
    if isinstance(gripper, SuctionCup):
        pick = suction_pick(scene, k, window, cup=gripper, limits=limits)
    else:
        pick = jaw_pick(scene, k, window, jaw=gripper)
    return pick if isinstance(pick, NoPick) else replace(pick, chance=gripper.chance(pick.cues))


def require_fits(gripper: Gripper, parts_bin: Bin) -> None:
    """Raises: ValueError, where the gripper is wider than the bin."""
    if parts_bin.corners is None:
        return
    corners = np.asarray(parts_bin.corners)
    narrow = float(np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1).min())
    # a jaw may close before it goes down, a cup's tube cannot become thinner
    needed = gripper.widest_m
    if isinstance(gripper, ParallelJaw):
        needed = 2 * gripper.finger_thickness_m
    if needed > narrow:
        raise ValueError(
            f'the gripper is {1000 * needed:.0f} mm wide but the bin only {1000 * narrow:.0f} mm; '
            'choose a smaller gripper, or check the bin (`insegan calibrate`)'
        )
