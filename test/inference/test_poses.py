"""Poses by render and compare, on a shape that looks different from every side."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.inference.poses import (
    PoseEstimator,
    PoseFit,
    fit_kinds,
    posed_cues,
    with_poses,
)
from insegan_ros.model.template import Template, TemplateError
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(160, 140, 300.0, 300.0, 79.5, 69.5)
FLOOR = 0.5  # m


def chiral() -> Template:
    """Three unequal bars at right angles, 50 x 36 x 27 mm."""
    grid = np.zeros((24, 24, 24), bool)
    grid[3:20, 3:9, 3:9] = True
    grid[3:9, 3:16, 3:9] = True
    grid[3:9, 3:9, 3:12] = True
    return Template(np.where(grid, 6, -6).astype(np.float32), 0.003)


@pytest.fixture(scope='module')
def estimator() -> PoseEstimator:
    return PoseEstimator(chiral())


def scene(estimator: PoseEstimator, *poses: np.ndarray) -> tuple[DepthFrame, np.ndarray]:
    """The parts on a floor, with 0.5 mm of noise, and their visible masks."""
    alone = np.stack([estimator.render(pose, CAMERA) for pose in poses])
    nearest = np.nanmin(np.where(np.isnan(alone), FLOOR, alone), axis=0)
    masks = np.isfinite(alone) & (alone == nearest)
    noise = np.random.default_rng(0).normal(0, 0.0005, nearest.shape)
    return DepthFrame((nearest + noise).astype(np.float32), CAMERA), masks


def pose_at(x: float, y: float, z: float, seed: int) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    pose[:3, 3] = x, y, z
    return pose


def error(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Degrees and metres."""
    turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).magnitude()
    return float(np.degrees(turn)), float(np.linalg.norm(a[:3, 3] - b[:3, 3]))


def test_poses_are_found_from_masks_alone(estimator: PoseEstimator) -> None:
    right = 0
    for seed in range(8):
        true = pose_at(0.02, -0.01, 0.46, seed)
        frame, masks = scene(estimator, true)
        fit = estimator.fit(frame, masks)[0]
        assert fit is not None
        degrees, metres = error(fit.pose, true)
        if degrees < 8 and metres < 0.004:
            right += 1
            assert fit.cost < 0.45
            assert fit.visible > 0.85
    assert right >= 6  # some views hide two of the bars: nobody can tell


def test_what_hides_a_part_does_not_mislead_its_pose(estimator: PoseEstimator) -> None:
    below, above = pose_at(0.0, 0.0, 0.47, 3), pose_at(0.028, 0.01, 0.42, 5)
    frame, masks = scene(estimator, below, above)
    assert 0.4 < masks[0].sum() / np.isfinite(estimator.render(below, CAMERA)).sum() < 0.85
    fits = estimator.fit(frame, masks)
    for fit, true in zip(fits, (below, above)):
        assert fit is not None
        degrees, metres = error(fit.pose, true)
        assert degrees < 12
        assert metres < 0.005
    assert fits[0].visible < 0.9


def test_no_time_and_no_pixels_give_no_pose(estimator: PoseEstimator) -> None:
    frame, masks = scene(estimator, pose_at(0, 0, 0.46, 0))
    assert estimator.fit(frame, masks, seconds=-1.0) == [None]
    assert estimator.fit(frame, np.zeros_like(masks)) == [None]


def test_no_pose_is_begun_that_would_end_after_the_time_is_over(
    estimator: PoseEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)

    def slow(*_: object, **__: object) -> str:
        clock.now += 0.06
        return 'fitted'

    monkeypatch.setattr(estimator, 'clock', lambda: clock.now)
    monkeypatch.setattr(estimator, '_fit', slow)
    frame = DepthFrame(np.full((140, 160), FLOOR, np.float32), CAMERA)
    masks = np.zeros((6, 140, 160), bool)
    found = estimator.fit(frame, masks, seconds=0.2)
    assert found == 3 * ['fitted'] + 3 * [None]
    assert clock.now <= 0.2


def test_without_time_the_first_instance_of_each_kind_has_its_pose(
    estimator: PoseEstimator,
) -> None:
    frame, masks = scene(estimator, pose_at(0, 0, 0.46, 0))
    fits = fit_kinds(
        [estimator, estimator],
        frame,
        masks[[0, 0, 0, 0]],
        centres=np.tile([0, 0, 0.46], (4, 1)),
        kinds=np.array([2, 1, 1, 2]),
        seconds=0.0,
    )
    assert [fit is not None for fit in fits] == [True, True, False, False]


def test_a_part_beside_the_image_is_rendered_as_nothing(estimator: PoseEstimator) -> None:
    for x, z in ((1.0, 0.5), (-1.0, 0.5), (0.0, 9e3)):
        assert np.isnan(estimator.render(pose_at(x, 0, z, 0), CAMERA)).mean() > 0.999


def test_instances_take_on_their_renderings_best_score_first(estimator: PoseEstimator) -> None:
    poses = [pose_at(-0.04, 0, 0.46, 0), pose_at(0.04, 0, 0.46, 1)]
    frame, masks = scene(estimator, *poses)
    labels = masks[0] + 2 * masks[1].astype(int)
    plain = segmentation_from_labels(frame, labels, np.array([0.9, 0.8]))
    fits = [PoseFit(poses[0], 0.1, 0.9), PoseFit(poses[1], 0.1, 0.7)]
    found = with_poses(frame, plain, fits, scores=np.array([0.2, 0.6]), estimators=[estimator])
    assert found.scores.tolist() == pytest.approx([0.6, 0.2])
    assert found.visible_fraction.tolist() == pytest.approx([0.7, 0.9])
    assert (found.masks[0] == masks[1]).all()
    assert (found.labels[masks[1]] == 1).all()
    assert np.allclose(found.poses[0], poses[1])
    assert np.nanmax(np.abs(found.depths[0] - frame.depth_m)[masks[1]]) < 0.004
    assert np.isnan(found.rendered_depth[0, 0])


def test_cues_of_an_instance_without_a_pose_say_so() -> None:
    cues = posed_cues(np.array([[0.5, 0.5], [0.6, 0.7]]), [None, PoseFit(np.eye(4), 0.2, 0.8)])
    assert cues.tolist() == [[0.5, 0.5, 1.5, 0.0], [0.6, 0.7, 0.2, 0.8]]


def test_an_empty_template_is_refused() -> None:
    with pytest.raises(TemplateError, match='empty'):
        PoseEstimator(Template(np.full((8, 8, 8), -6, np.float32), 0.003))
