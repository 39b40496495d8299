from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insegan_ros.picks.gripper import ParallelJaw, SuctionCup
from insegan_ros.synthetic.bin_world import BinSpec, Physics
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.pick_cell import LOOSE, Outcome, PickCell, UnstableError

CUP = SuctionCup(cup_radius_m=0.005, tube_radius_m=0.006, tube_length_m=0.08, lip_gap_m=0.0008)
JAW = ParallelJaw()
SIDES = (0.06, 0.03, 0.02)


def cell(tool, density=1000.0):
    block = trimesh.creation.box(SIDES)
    spec = BinSpec(width=0.2, wall_height=0.06)
    made = PickCell(
        Part('block', block, [block]),
        spec,
        capacity=2,
        tool=tool,
        physics=Physics(density=density),
    )
    made.fill(1, np.random.default_rng(3))
    return made


def above(made, along=0.0, across=0.0, tilt=0.0):
    """A tool that comes down on the top of the only part, off its middle by metres."""
    part = made.poses()[0]
    top = part[2, 3] + np.abs(part[2, :3]) @ np.array(SIDES) / 2
    flat = part[:2, int(np.argmin(np.abs(part[2, :3])))]  # an edge that lies level
    flat = flat / np.linalg.norm(flat)
    pose = np.diag([1.0, -1, -1, 1])
    turn = trimesh.transformations.rotation_matrix(tilt, (1, 0, 0))
    pose = turn @ pose
    side = np.array([-flat[1], flat[0]])
    pose[:3, 3] = [*(part[:2, 3] + along * flat + across * side), top]
    return pose


def test_a_cup_on_the_middle_of_a_flat_top_lifts_the_part_out():
    made = cell(CUP)
    assert made.pick(above(made), meant=0) is Outcome.LIFTED
    assert len(made.present) == 0


def test_the_vacuum_is_on_when_the_lip_closes():
    made = cell(CUP)
    pose = above(made)
    start = made._start(pose)
    made.tool.place(start, opening=0.0)
    assert made._approach(start, pose)[1]
    assert made._data.ctrl[0] == 1


def test_a_cup_that_is_not_closed_by_the_part_lifts_nothing():
    made = cell(CUP)
    beside = above(made)
    beside[:2, 3] += 0.08 * np.sign(-beside[:2, 3])
    assert made.pick(beside, meant=0) in (Outcome.NO_HOLD, Outcome.BLOCKED)
    assert len(made.present) == 1


def test_a_part_too_heavy_for_the_cup_is_dropped():
    made = cell(CUP, density=20000.0)
    assert made.pick(above(made), meant=0) is Outcome.DROPPED
    assert len(made.present) == 1


def test_a_cup_at_a_steep_slant_does_not_seal_on_a_level_top():
    made = cell(CUP)
    assert made.pick(above(made, tilt=0.7), meant=0) is not Outcome.LIFTED


def test_another_part_than_the_meant_one_is_told_apart():
    made = cell(CUP)
    assert made.pick(above(made), meant=1) is Outcome.WRONG


def test_fingers_hold_a_part_by_friction():
    made = cell(JAW)
    part = made.poses()[0]
    level = [k for k in range(3) if abs(part[2, k]) < 0.5]
    closing = min(level, key=lambda k: SIDES[k])
    x = part[:3, closing] * [1, 1, 0]
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 2] = x / np.linalg.norm(x), [0, 0, -1]
    pose[:3, 1] = np.cross(pose[:3, 2], pose[:3, 0])
    pose[:3, 3] = [*part[:2, 3], 0.004]
    assert made.pick(pose, meant=0, width_m=SIDES[closing]) is Outcome.LIFTED


@pytest.mark.parametrize(('radius', 'outcome'), [(0.016, Outcome.LIFTED), (0.06, Outcome.DROPPED)])
def test_fingers_hold_a_standing_cone_as_far_as_friction_lets(radius, outcome):
    """Their friction is 0.8; the sides' slopes are 0.28 and 1.03."""
    cone = trimesh.creation.cone(radius, 0.058)
    spec = BinSpec(width=0.3, wall_height=0.06)
    made = PickCell(Part('cone', cone, [cone]), spec, capacity=1, tool=JAW, physics=Physics())
    made._part_qpos()[0] = [0, 0, 0.0005, 1, 0, 0, 0]
    made._present[:] = True
    made._apply_presence()
    assert made.settle()
    pose = np.diag([1.0, -1, -1, 1])
    pose[2, 3] = 0.04
    assert made.pick(pose, meant=0, width_m=0.025) is outcome
    assert (made._model.opt.cone, made._model.opt.impratio) == LOOSE  # parts fall as before


def test_a_simulation_that_becomes_unstable_knows_no_outcome():
    made = cell(JAW)
    pose = above(made)
    made._part_qvel()[0] = np.nan
    with pytest.raises(UnstableError, match='unstable'):
        made.pick(pose, meant=0, width_m=0.03)


def test_more_parts_than_the_cell_holds_are_refused():
    with pytest.raises(ValueError, match='holds 0 to 2'):
        cell(CUP).fill(3, np.random.default_rng(0))
