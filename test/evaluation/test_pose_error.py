"""MSSD under symmetries, ADD-S, and the one transform between two frames of a part."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from insegan_ros.data.store import Sample
from insegan_ros.evaluation.pose_error import Match, PartModel, fit_frame, match_poses, recall
from insegan_ros.types import DepthFrame, InstanceImages, Intrinsics, Segmentation


@pytest.fixture(scope='module')
def brick() -> PartModel:
    return PartModel.of(trimesh.creation.box((0.05, 0.03, 0.02)), starts=60)


def motion(seed: int, scale: float = 0.1) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    pose[:3, 3] = np.random.default_rng(seed).normal(0, scale, 3)
    return pose


def test_a_brick_has_four_symmetries_and_a_bent_one_has_one(brick: PartModel) -> None:
    assert len(brick.symmetries) == 4
    bars = [trimesh.creation.box((0.05, 0.01, 0.01)), trimesh.creation.box((0.01, 0.03, 0.01))]
    bars[1].apply_translation((0.02, 0.02, 0))
    third = trimesh.creation.box((0.01, 0.01, 0.02))
    third.apply_translation((-0.02, 0, 0.015))
    assert len(PartModel.of(trimesh.boolean.union([*bars, third]), starts=60).symmetries) == 1


def test_a_cylinder_may_turn_and_tip_over() -> None:
    part = PartModel.of(trimesh.creation.cylinder(0.01, 0.05), starts=200)
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler('zx', [0.7, np.pi]).as_matrix()
    assert part.mssd(turned, np.eye(4)) < 0.002


def test_a_shift_is_its_length_and_a_symmetry_nothing(brick: PartModel) -> None:
    true = motion(0)
    shifted = true.copy()
    shifted[:3, 3] += [0.003, 0, 0.004]
    assert brick.mssd(shifted, true) == pytest.approx(0.005, abs=1e-3)
    half = np.diag([-1.0, -1, 1, 1])
    assert brick.mssd(true @ half, true) < 1e-3
    quarter = np.eye(4)
    quarter[:3, :3] = Rotation.from_euler('z', 90, degrees=True).as_matrix()
    assert brick.mssd(true @ quarter, true) > 0.008


def test_add_s_asks_where_the_surface_is_and_not_which_way_round() -> None:
    bar, knob = trimesh.creation.box((0.05, 0.03, 0.02)), trimesh.creation.box((0.004,) * 3)
    knob.apply_translation((0.02, 0, 0.012))
    part = PartModel.of(trimesh.boolean.union([bar, knob]), starts=60)
    true = motion(0)
    half = true @ np.diag([-1.0, -1, 1, 1])  # only the knob is elsewhere
    assert part.mssd(half, true) > 0.03
    assert part.add_s(half, true) < 0.001
    assert part.add_s(true, true) < 0.0005
    lifted = true.copy()
    lifted[:3, 3] += 0.02 * true[:3, 2]  # by its thickness: one side then lies on the other
    assert 0.002 < part.add_s(lifted, true) < part.mssd(lifted, true) == pytest.approx(0.02)


def test_one_frame_is_fitted_though_poses_differ_by_symmetries_and_some_are_wrong(
    brick: PartModel,
) -> None:
    frame = motion(7, 0.01)  # template_T_part
    rng = np.random.default_rng(0)
    matches = []
    for seed in range(20):
        true = motion(seed)
        symmetry = brick.symmetries[rng.integers(len(brick.symmetries))]
        estimated = true @ symmetry @ np.linalg.inv(frame)
        matches.append(Match(motion(100 + seed) if seed % 4 == 0 else estimated, true))
    found = fit_frame(brick, matches)
    errors = [brick.mssd(m.estimated @ found, m.true) for m in matches]
    assert recall(errors, 20, 0.1 * brick.diameter) == pytest.approx(15 / 20)
    assert recall(errors, 30, 0.1 * brick.diameter) == pytest.approx(15 / 30)
    with pytest.raises(ValueError, match='no instance'):
        fit_frame(brick, [])


def test_matches_go_by_mask_and_count_what_is_missing() -> None:
    camera = Intrinsics(30, 20, 50.0, 50.0, 15.0, 10.0)
    labels = np.zeros((20, 30), np.uint8)
    labels[2:8, 2:8], labels[2:8, 12:18], labels[12:18, 2:8] = 1, 2, 3
    found_labels = np.zeros((20, 30), np.uint16)
    found_labels[2:8, 12:18] = 1  # the true 2
    poses = np.stack([motion(k) for k in range(3)]).astype(np.float32)
    frame = DepthFrame(np.ones((20, 30), np.float32), camera)
    none = np.zeros((20, 30), np.float32)
    depths = InstanceImages.of([none], none.shape, np.float32(np.nan))
    ours = motion(9).astype(np.float32)[None]
    one = np.ones(1, np.float32)
    found = Segmentation(found_labels, depths, none, ours, one, one)
    sample = Sample(0, frame, labels, poses, {'visible': [0.9, 0.8, 0.3]})
    matches, wanted = match_poses(found, sample)
    assert wanted == 2
    assert len(matches) == 1
    assert np.allclose(matches[0].true, poses[1])
    assert np.allclose(matches[0].estimated, ours[0])
    with pytest.raises(ValueError, match='visible'):
        match_poses(found, Sample(0, frame, labels, poses, {}))
