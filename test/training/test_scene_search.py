"""The search for a scene's poses: it explains what it is shown, and never gets worse."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from insegan_ros.crop import CropConfig
from insegan_ros.model.contact import drop
from insegan_ros.model.explicit_scene import SceneView, Solid, compose
from insegan_ros.model.set_predictor import Slots
from insegan_ros.training.scene_search import Shape, descend, fit_scene, sweep

sys.path.insert(0, str(Path(__file__).parents[1] / 'model'))
from ell_template import VOXEL_M, ell

VIEW = SceneView(CropConfig(0.14, 0.09, 64), (0.0, 0.0, 0.5))
LOGITS = torch.from_numpy(ell().logits)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


SHAPE = Shape(LOGITS.sigmoid(), VOXEL_M, Solid.of(LOGITS, VOXEL_M, generator()), VIEW, 16)


def scenes(count: int) -> torch.Tensor:
    poses = drop(SHAPE.solid, VIEW, torch.full((count,), 2), 2, generator(4))
    return compose(SHAPE.render(poses))[0]


def nothing(count: int) -> Slots:
    turns = torch.eye(3).repeat(count, 3, 1, 1)
    return Slots(turns, torch.zeros(count, 3, 3), torch.full((count, 3), -3.0))


def test_scenes_are_explained_from_nothing() -> None:
    real = scenes(3)
    empty = nothing(3)
    found = fit_scene(SHAPE, empty, real, generator(1), sweeps=6, trials=150, steps=10)
    before, after = SHAPE.loss(empty, real, True), SHAPE.loss(found, real, True)
    assert (after / before).mean() < 0.6
    assert (after < 0.85 * before).all()
    assert ((found.score > 0).sum(dim=1) >= 1).all()


@pytest.mark.parametrize('seed', [0, 1])
def test_a_fit_is_never_worse_than_what_it_began_with(seed: int) -> None:
    real = scenes(2)
    good = fit_scene(SHAPE, nothing(2), real, generator(1), sweeps=2, trials=18, steps=6)
    again = fit_scene(SHAPE, good, real, generator(seed), sweeps=1, trials=3, steps=2)
    assert (SHAPE.loss(again, real, True) <= SHAPE.loss(good, real, True)).all()


def test_an_empty_bin_is_left_empty() -> None:
    bare = torch.zeros(1, 64, 64)
    full = Slots(nothing(1).rotation, torch.zeros(1, 3, 3), torch.full((1, 3), 3.0))
    found = sweep(SHAPE, full, bare, 6, generator())
    assert (found.score < 0).all()


def test_descent_leaves_the_template_without_gradients() -> None:
    shape = LOGITS.clone().requires_grad_()
    one = Shape(shape.sigmoid(), VOXEL_M, SHAPE.solid, VIEW, 12)
    descend(one, nothing(1), scenes(1), 2)
    assert shape.grad is None
