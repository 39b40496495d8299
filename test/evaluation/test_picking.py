from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from insegan_ros.evaluation.picking import CellConfig, Sight, SimulatedCell, looker, outcomes
from insegan_ros.parts_bin import Bin
from insegan_ros.picks.gripper import SuctionCup
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.pick_cell import Outcome
from insegan_ros.types import DepthFrame

CUP = SuctionCup(cup_radius_m=0.005, tube_radius_m=0.006)


@pytest.fixture(scope='module')
def cell() -> SimulatedCell:
    block = trimesh.creation.box((0.06, 0.04, 0.02))
    config = CellConfig(part=Part('block', block, [block]), count=3, filled=0.08)
    return SimulatedCell(config, CUP)


def test_a_bin_is_emptied_by_picks_planned_from_depth_alone(cell: SimulatedCell) -> None:
    from insegan_ros import baselines

    look = looker(lambda parts_bin, left: baselines.make('kmeans', left, parts_bin), CUP)
    run = cell.run(look, seed=1)
    assert run.left == 0
    assert outcomes([run])['lifted'] + outcomes([run])['wrong part'] == 3
    assert all(0 <= one.chance <= 1 for one in run.tries)


def test_a_gripper_that_does_not_fit_into_the_bin_is_refused_before_a_pick_is_tried(
    cell: SimulatedCell,
) -> None:
    wide = SuctionCup(cup_radius_m=0.005, tube_radius_m=0.3)
    with pytest.raises(ValueError, match='600 mm wide but the bin only'):
        SimulatedCell(cell.config, [CUP, wide])


def test_frames_without_a_pick_end_a_bin_and_are_counted(cell: SimulatedCell) -> None:
    def blind(
        frame: DepthFrame, parts_bin: Bin, left: int, *, failed: NDArray[np.floating]
    ) -> Sight:
        labels = np.zeros(frame.depth_m.shape, np.uint16)
        return Sight(labels=labels, picks=(), seconds=0.0)

    run = cell.run(blind, seed=0)
    assert (run.left, run.blind, run.tries) == (3, 3, [])


def test_the_same_seed_fills_the_same_bin(cell: SimulatedCell) -> None:
    frames: list[DepthFrame] = []

    def blind(
        frame: DepthFrame, parts_bin: Bin, left: int, *, failed: NDArray[np.floating]
    ) -> Sight:
        frames.append(frame)
        return Sight(labels=np.zeros(frame.depth_m.shape, np.uint16), picks=(), seconds=0.0)

    cell.run(blind, seed=5)
    first = frames[0].depth_m
    frames.clear()
    cell.run(blind, seed=5)
    np.testing.assert_array_equal(first, frames[0].depth_m)


def test_every_outcome_is_counted() -> None:
    assert set(outcomes([])) == {outcome.value for outcome in Outcome}
