"""A frame and its instances -> picks in the order in which they may be lifted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from insegan_ros.parts_bin import Bin
from insegan_ros.picks.gripper import Gripper, ParallelJaw, SuctionCup
from insegan_ros.picks.jaws import jaw_pick
from insegan_ros.picks.order import covered_by
from insegan_ros.picks.pick import NoPick, Pick
from insegan_ros.picks.scene import Scene
from insegan_ros.picks.suction import suction_pick
from insegan_ros.types import DepthFrame, Segmentation

CUP_MARGIN_PX = 6  # beside an instance: what its lip might touch besides it
JAW_MARGIN_PX = 40  # beside an instance: what stands in its fingers' way


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
    gripper: Gripper,
) -> Plan:
    """Where to take hold of each instance, in the order in which they may be lifted.

    An instance that another one lies on waits for it, however good its surface is.

    Raises:
        ValueError: the gripper is wider than the bin, or frame and segmentation differ in size.
    """
    _check_fits(gripper, parts_bin)
    scene = Scene.of(frame, found, parts_bin)
    covered = covered_by(scene) if found.count else np.zeros((0, 0), np.float32)
    picks: list[Pick] = []
    none: list[NoPick] = []
    for k, window in enumerate(
        scene.windows(CUP_MARGIN_PX if isinstance(gripper, SuctionCup) else JAW_MARGIN_PX)
    ):
        if window is None:
            none.append(NoPick(label=k + 1, reason='no pixel shows it'))
            continue
        pick = _one(scene, k, window, gripper=gripper)
        if isinstance(pick, NoPick):
            none.append(pick)
            continue
        waits = tuple((np.flatnonzero(covered[k]) + 1).tolist())
        picks.append(replace(pick, chance=gripper.chance(pick.cues), waits_for=waits))
    picks.sort(key=lambda pick: (len(pick.waits_for) > 0, -pick.chance))
    return Plan(tuple(picks), tuple(none))


def _one(
    scene: Scene,
    k: int,
    window: tuple[slice, slice],
    *,
    gripper: Gripper,
) -> Pick | NoPick:
    if isinstance(gripper, SuctionCup):
        return suction_pick(scene, k, window, cup=gripper)
    return jaw_pick(scene, k, window, jaw=gripper)


def _check_fits(gripper: Gripper, parts_bin: Bin) -> None:
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
