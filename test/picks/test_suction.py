from __future__ import annotations

import numpy as np
import pytest
from scenes import FLOOR, HEIGHT, as_posed, boxes

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.picks.gripper import ParallelJaw, SuctionCup
from insegan_ros.picks.planner import plan_picks

CUP = SuctionCup(cup_radius_m=0.006, tube_radius_m=0.008)


def test_the_cup_comes_down_on_the_middle_of_the_top_from_above():
    frame, found, parts_bin = boxes((0.02, -0.01, 0.06, 0.04, 0.03), rng=np.random.default_rng(0))
    (pick,) = plan_picks(frame, found, parts_bin, gripper=CUP).picks
    np.testing.assert_allclose(pick.pose[:3, 3], [0.02, -0.01, HEIGHT - 0.03], atol=0.004)
    np.testing.assert_allclose(pick.pose[:3, 2], [0, 0, 1], atol=0.05)  # down, into the bin
    rotation = pick.pose[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize('lean', [0.05, 1.0])
def test_a_template_that_agrees_turns_most_of_the_direction_and_another_none_of_it(lean):
    frame, found, parts_bin = boxes((0.0, 0.0, 0.04, 0.04, 0.03), rng=np.random.default_rng(0))
    (pick,) = plan_picks(frame, as_posed(found, lean), parts_bin, gripper=CUP).picks
    turned = -pick.pose[0, 2] / pick.pose[2, 2]
    agrees = lean < 0.1  # within what camera and template may be off
    assert pick.cues.known == agrees
    assert turned == pytest.approx(0.75 * lean if agrees else 0.0, abs=0.01)


def test_a_top_smaller_than_the_cup_cannot_be_taken():
    frame, found, parts_bin = boxes((0, 0, 0.008, 0.008, 0.03))
    plan = plan_picks(frame, found, parts_bin, gripper=CUP)
    assert not plan.picks
    assert 'closed over a disc' in plan.none[0].reason


def test_a_rough_top_cannot_be_taken():
    frame, found, parts_bin = boxes((0, 0, 0.06, 0.06, 0.03))
    ribs = np.where(np.arange(frame.depth_m.shape[1]) % 6 < 3, 0.012, 0).astype(np.float32)
    np.add(frame.depth_m, ribs, out=frame.depth_m, where=found.labels > 0)
    plan = plan_picks(frame, found, parts_bin, gripper=CUP)
    assert 'rougher' in plan.none[0].reason


def test_a_place_that_is_too_rough_is_tried_only_where_nothing_else_is_left():
    smooth, rough = (-0.05, 0, 0.04, 0.04, 0.03), (0.05, 0, 0.04, 0.04, 0.03)
    frame, found, parts_bin = boxes(smooth, rough)
    ribs = np.where(np.arange(frame.depth_m.shape[1]) % 6 < 3, 0.003, 0).astype(np.float32)
    np.add(frame.depth_m, ribs, out=frame.depth_m, where=found.labels == 2)
    plan = plan_picks(frame, found, parts_bin, gripper=CUP)
    assert [pick.label for pick in plan.picks] == [1]
    assert 'rougher' in plan.none[0].reason
    alone = found.best(2).labels.copy()
    alone[found.labels == 1] = 0
    (last,) = plan_picks(
        frame, segmentation_from_labels(frame, alone), parts_bin, gripper=CUP
    ).picks
    assert last.cues.smooth < 0
    assert last.chance < plan.picks[0].chance


def test_where_a_pick_failed_another_place_comes_first_and_none_is_given_up():
    frame, found, parts_bin = boxes((0, 0, 0.04, 0.04, 0.03))
    (first,) = plan_picks(frame, found, parts_bin, gripper=CUP).picks
    failed = [first.pose[:3, 3]]
    (second,) = plan_picks(frame, found, parts_bin, gripper=CUP, failed=np.array(failed)).picks
    assert np.linalg.norm(second.pose[:3, 3] - first.pose[:3, 3]) > 0.006
    everywhere = np.stack(np.meshgrid(*2 * [np.arange(-0.03, 0.03, 0.004)]), -1).reshape(-1, 2)
    everywhere = np.c_[everywhere, np.full(len(everywhere), HEIGHT - 0.03)]
    assert plan_picks(frame, found, parts_bin, gripper=CUP, failed=everywhere).picks


def test_an_instance_on_which_a_pick_failed_comes_after_the_others():
    better, worse = (-0.05, 0, 0.05, 0.05, 0.03), (0.05, 0, 0.03, 0.03, 0.03)
    frame, found, parts_bin = boxes(better, worse)
    picks = plan_picks(frame, found, parts_bin, gripper=CUP).picks
    failed = np.array([picks[0].pose[:3, 3], [9, 9, 0.5], [0, 0, -1]])
    again = plan_picks(frame, found, parts_bin, gripper=CUP, failed=failed).picks
    assert [pick.label for pick in again] == [pick.label for pick in picks][::-1]
    assert picks[0].chance > picks[1].chance


def test_each_part_is_given_to_a_gripper_that_holds_it():
    wide, narrow = (-0.05, 0, 0.05, 0.05, 0.03), (0.05, 0, 0.010, 0.05, 0.03)
    frame, found, parts_bin = boxes(wide, narrow)
    plan = plan_picks(frame, found, parts_bin, gripper=(CUP, ParallelJaw()))
    assert {pick.label: pick.tool for pick in plan.picks} == {1: 0, 2: 1}
    assert {pick.label: pick.kind for pick in plan.picks} == {1: 'suction', 2: 'parallel'}


def test_planning_for_no_gripper_is_refused_in_words():
    with pytest.raises(ValueError, match='at least one'):
        plan_picks(*boxes((0, 0, 0.04, 0.04, 0.03)), gripper=())


def test_a_taller_neighbour_moves_the_pick_out_of_the_tube_s_way():
    low = (0.0, 0.0, 0.03, 0.03, 0.01)
    tall = (0.02, 0.0, 0.01, 0.05, 0.06)
    frame, found, parts_bin = boxes(low)
    alone = plan_picks(frame, found, parts_bin, gripper=CUP).picks[0]
    frame, found, parts_bin = boxes(low, tall)
    beside = next(
        p for p in plan_picks(frame, found, parts_bin, gripper=CUP).picks if p.label == 1
    )
    tall_edge = tall[0] - tall[2] / 2
    assert abs(alone.pose[0, 3]) < 0.003
    assert beside.pose[0, 3] < tall_edge - CUP.tube_radius_m + 0.0015  # a pixel


def test_a_wall_keeps_the_tube_at_its_distance():
    wall_x = 0.012  # of the inner face; the part touches it
    corners = [[-0.1, -0.1, HEIGHT], [wall_x, -0.1, HEIGHT], [wall_x, 0.1, HEIGHT]]
    corners = tuple(map(tuple, [*corners, [-0.1, 0.1, HEIGHT]]))
    frame, found, parts_bin = boxes((-0.012, 0, 0.048, 0.06, 0.02), corners=corners)
    wide = SuctionCup(cup_radius_m=0.004, tube_radius_m=0.015)
    (pick,) = plan_picks(frame, found, parts_bin, gripper=wide).picks
    assert pick.pose[0, 3] <= wall_x - wide.tube_radius_m + 1e-6


def test_nothing_in_the_bin_gives_no_picks():
    frame, found, parts_bin = boxes()
    plan = plan_picks(frame, found, parts_bin, gripper=CUP)
    assert plan.picks == plan.none == ()


def test_a_gripper_wider_than_the_bin_is_refused_in_words():
    corners = tuple((x, y, HEIGHT) for x, y in [(-0.01, -0.01), (0.01, -0.01), (0.01, 0.01)])
    corners = (*corners, (-0.01, 0.01, HEIGHT))
    frame, found, parts_bin = boxes((0, 0, 0.01, 0.01, 0.01), corners=corners)
    with pytest.raises(ValueError, match='60 mm wide but the bin only 20 mm'):
        plan_picks(frame, found, parts_bin, gripper=SuctionCup(tube_radius_m=0.03))
    assert parts_bin.floor == FLOOR
