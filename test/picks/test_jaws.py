from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scenes import HEIGHT, boxes

from insegan_ros.picks.chance import Chance
from insegan_ros.picks.gripper import ParallelJaw
from insegan_ros.picks.holds import PLACES, Holds
from insegan_ros.picks.planner import plan_picks

JAW = ParallelJaw(stroke_m=0.05, finger_width_m=0.01, finger_thickness_m=0.006)


def test_fingers_close_on_the_narrow_sides():
    frame, found, parts_bin = boxes((0.01, 0.0, 0.03, 0.10, 0.03), rng=np.random.default_rng(0))
    (pick,) = plan_picks(frame, found, parts_bin, gripper=JAW).picks
    assert abs(pick.pose[0, 0]) > 0.97  # closes along x
    assert pick.width_m == pytest.approx(0.03, abs=0.003)
    np.testing.assert_allclose(pick.pose[:2, 3], [0.01, 0.0], atol=0.004)
    tip = HEIGHT - 0.03 + JAW.finger_depth_m
    assert pick.pose[2, 3] == pytest.approx(tip, abs=0.002)


def test_fingertips_stay_above_the_floor():
    frame, found, parts_bin = boxes((0, 0, 0.03, 0.06, 0.012))
    (pick,) = plan_picks(frame, found, parts_bin, gripper=JAW).picks
    assert pick.pose[2, 3] <= HEIGHT - 0.0019


def test_a_part_wider_than_the_stroke_cannot_be_held():
    frame, found, parts_bin = boxes((0, 0, 0.07, 0.07, 0.03))
    plan = plan_picks(frame, found, parts_bin, gripper=JAW)
    reason = plan.none[0].reason
    width = re.fullmatch(r'it is at least (\d+) mm wide, more than the fingers open', reason)[1]
    assert 50 < int(width) <= 70


def test_neighbours_on_both_sides_leave_no_room_for_fingers():
    middle = (0, 0, 0.03, 0.03, 0.03)
    walls = [(x, y, 0.03, 0.03, 0.03) for x in (-0.032, 0, 0.032) for y in (-0.032, 0, 0.032)]
    others = [wall for wall in walls if wall[:2] != (0, 0)]
    frame, found, parts_bin = boxes(middle, *others)
    plan = plan_picks(frame, found, parts_bin, gripper=JAW)
    reason = next(none.reason for none in plan.none if none.label == 1)
    assert 'where a finger has to go' in reason


def test_a_flat_part_leaves_the_fingers_nothing_to_hold():
    frame, found, parts_bin = boxes((0, 0, 0.03, 0.03, 0.004))
    plan = plan_picks(frame, found, parts_bin, gripper=JAW)
    assert 'too flat' in plan.none[0].reason


@pytest.mark.parametrize('count', [8, 60, 100, 240])
def test_a_part_is_as_wide_to_the_left_as_to_the_right(count):
    x = np.linspace(-0.015, 0.015, count)
    holds = Holds.of(np.stack([x, np.zeros(count), np.full(count, 0.03)], axis=1), JAW)
    m = len(PLACES) // 2  # closes along x, above the middle
    np.testing.assert_allclose(holds.centres[m], 0, atol=1e-9)
    assert holds.widths[m] == pytest.approx(0.03, rel=0.04)


def test_of_holds_with_equal_chances_the_one_above_the_middle_is_taken():
    jaw = replace(JAW, chance=Chance(weights=(0.0,) * 8, bias=0.0))
    (pick,) = plan_picks(*boxes((0.01, 0.0, 0.03, 0.10, 0.03)), gripper=jaw).picks
    np.testing.assert_allclose(pick.pose[:2, 3], [0.01, 0.0], atol=0.004)
