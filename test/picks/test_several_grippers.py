from __future__ import annotations

from dataclasses import replace

import pytest
from scenes import boxes

from insegan_ros.picks.chance import UNCALIBRATED, Chance
from insegan_ros.picks.gripper import ParallelJaw, SuctionCup
from insegan_ros.picks.planner import plan_picks

BLOCK = (0, 0, 0.03, 0.06, 0.03)  # flat on top, and narrow enough for fingers
NARROW = (0, 0, 0.008, 0.06, 0.03)  # too narrow for the cup
CUP, JAW = SuctionCup(), ParallelJaw()


def promising(gripper, chance):
    """The gripper with a calibrated chance that the cues do not change."""
    return replace(gripper, chance=Chance(weights=(0.0,) * 8, bias=chance))


@pytest.mark.parametrize(('cup', 'jaw', 'tool'), [(1.0, 2.0, 1), (2.0, 1.0, 0)])
def test_the_gripper_with_the_better_chance_takes_a_part(cup, jaw, tool):
    grippers = promising(CUP, cup), promising(JAW, jaw)
    (pick,) = plan_picks(*boxes(BLOCK), gripper=grippers).picks
    assert pick.tool == tool
    assert pick.kind == ('suction', 'parallel')[tool]


def test_a_chance_that_was_never_calibrated_is_not_compared():
    assert JAW.chance == UNCALIBRATED
    grippers = promising(CUP, -3.0), JAW
    assert plan_picks(*boxes(BLOCK), gripper=grippers).picks[0].tool == 0


def test_what_one_gripper_cannot_hold_is_left_to_the_next():
    plan = plan_picks(*boxes(NARROW), gripper=(CUP, JAW))
    assert [pick.tool for pick in plan.picks] == [1]
    assert not plan.none


def test_a_part_that_waits_is_planned_for_the_first_gripper_alone():
    under, over = (0, 0, 0.008, 0.10, 0.02), (0.0, 0, 0.03, 0.03, 0.045)
    plan = plan_picks(*boxes(under, over), gripper=(CUP, JAW))
    assert [pick.label for pick in plan.picks] == [2]
    assert [none.label for none in plan.none] == [1]
