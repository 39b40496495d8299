"""The coarse search proposes places that an alignment can start from."""

from __future__ import annotations

import numpy as np
import pytest
from test_poses import CAMERA, chiral, error, pose_at, scene

from insegan_ros.inference.pose_search import PoseSearch, PoseSettings
from insegan_ros.inference.poses import PoseEstimator


@pytest.fixture(scope='module')
def estimator() -> PoseEstimator:
    return PoseEstimator(chiral(), PoseSettings(rotations=4))  # for its renderings


def test_a_start_is_near_the_truth_and_no_rotation_is_given_out_twice(
    estimator: PoseEstimator,
) -> None:
    mesh = chiral().mesh()
    mesh.apply_translation(-mesh.center_mass)
    search = PoseSearch(mesh, estimator.diameter, 0.003, settings=PoseSettings(refined=6), seed=0)
    near = 0
    for seed in range(8):
        true = pose_at(0.02, -0.01, 0.46, seed)
        frame, masks = scene(estimator, true)
        starts = search(frame, masks[0], true[:3, 3] + [0.004, -0.003, 0.005])
        assert len({start[:3, :3].tobytes() for start in starts}) == 6
        off = [error(start, true) for start in starts]
        near += any(degrees < 35 and metres < 0.01 for degrees, metres in off)
    assert near >= 6


def test_a_mask_at_the_edge_of_the_image_is_searched_too(estimator: PoseEstimator) -> None:
    mesh = chiral().mesh()
    mesh.apply_translation(-mesh.center_mass)
    search = PoseSearch(mesh, estimator.diameter, 0.003, settings=PoseSettings(), seed=0)
    left = -(CAMERA.cx / CAMERA.fx) * 0.46
    true = pose_at(left, 0.0, 0.46, 0)
    frame, masks = scene(estimator, true)
    starts = search(frame, masks[0], true[:3, 3])
    assert all(np.isfinite(start).all() for start in starts)
    assert min(error(start, true)[1] for start in starts) < 0.01
