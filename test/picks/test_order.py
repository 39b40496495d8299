from __future__ import annotations

from dataclasses import replace

import numpy as np
from scenes import HEIGHT, boxes

from insegan_ros.picks.gripper import SuctionCup
from insegan_ros.picks.order import covered_by
from insegan_ros.picks.planner import plan_picks
from insegan_ros.picks.scene import Scene
from insegan_ros.types import InstanceImages

UNDER, OVER = (0, 0, 0.08, 0.04, 0.02), (0.03, 0, 0.04, 0.04, 0.045)


def test_a_part_that_another_one_lies_on_waits_for_it():
    frame, found, parts_bin = boxes(UNDER, OVER)
    shares = covered_by(Scene.of(frame, found, parts_bin))
    assert shares[0, 1] > 0.08
    assert shares[1, 0] == 0
    plan = plan_picks(frame, found, parts_bin, gripper=SuctionCup())
    assert [pick.label for pick in plan.picks] == [2, 1]
    assert plan.picks[1].waits_for == (2,)
    assert [pick.label for pick in plan.ready] == [2]


def test_parts_that_lie_side_by_side_wait_for_none():
    frame, found, parts_bin = boxes((-0.025, 0, 0.05, 0.04, 0.02), (0.025, 0, 0.05, 0.04, 0.021))
    assert not covered_by(Scene.of(frame, found, parts_bin)).any()


def test_a_rendering_tells_how_much_of_a_part_is_hidden():
    frame, found, parts_bin = boxes(UNDER, OVER)
    alone = boxes(UNDER)[0]
    depths = np.array(found.depths)
    depths[0] = np.where(alone.depth_m < HEIGHT - 0.01, alone.depth_m, np.nan)  # whole part
    held = InstanceImages.of(depths, found.labels.shape, np.float32(np.nan))
    shares = covered_by(Scene.of(frame, replace(found, depths=held), parts_bin))
    hidden = np.isfinite(depths[0]) & (found.labels == 2)
    assert shares[0, 1] == np.float32(hidden.sum() / np.isfinite(depths[0]).sum())
