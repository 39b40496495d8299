"""The set predictor's matching, distances and existence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from insegan_ros.crop import CropConfig
from insegan_ros.model.explicit import random_rotations
from insegan_ros.model.explicit_scene import Poses, SceneView, Solid, render_instances
from insegan_ros.model.set_predictor import (
    SetPredictor,
    assign,
    existence_loss,
    nearest_slots,
    rotation_from_six,
    surface_distance,
)

sys.path.insert(0, str(Path(__file__).parent))
from ell_template import VOXEL_M, ell

VIEW = SceneView(CropConfig(0.2, 0.09, 32), (0.0, 0.0, 0.5))
SHAPE = torch.from_numpy(ell().logits)
SOLID = Solid.of(SHAPE, VOXEL_M, torch.Generator().manual_seed(0))


def poses(count: int, seed: int) -> Poses:
    generator = torch.Generator().manual_seed(seed)
    turns = random_rotations(count, generator)[None]
    xy = torch.rand(1, count, 2, generator=generator) * 0.14 - 0.07
    place = torch.cat([xy, SOLID.support(turns)[..., None]], dim=-1)
    return Poses(turns, place, torch.ones(1, count))


def alone(some: Poses) -> object:
    return render_instances(SHAPE.sigmoid(), VOXEL_M, some, SOLID.radius_m, VIEW, 12)


def test_an_instance_is_given_the_slot_that_looks_like_it_whatever_their_order() -> None:
    truth = poses(4, 1)
    order = torch.tensor([2, 0, 3, 1])
    found = Poses(truth.rotation[:, order], truth.position[:, order], truth.present)
    candidates = torch.arange(4).expand(1, 4, 4)  # every slot for every instance
    shown = alone(
        Poses(
            found.rotation.repeat(1, 4, 1, 1),
            found.position.repeat(1, 4, 1),
            torch.ones(1, 16),
        )
    )
    wanted = torch.ones(1, 4, dtype=torch.bool)
    result = assign(alone(truth), shown, candidates, wanted, torch.zeros(1, 4), 0.007)
    assert order[result[0]].tolist() == [0, 1, 2, 3]


def test_slots_are_never_given_twice() -> None:
    truth = poses(3, 2)
    same = Poses(
        truth.rotation.repeat_interleave(2, dim=1),
        truth.position.repeat_interleave(2, dim=1),
        torch.ones(1, 6),
    )
    candidates = torch.tensor([[[5, 6], [6, 5], [6, 7]]])
    wanted = torch.ones(1, 3, dtype=torch.bool)
    result = assign(alone(truth), alone(same), candidates, wanted, torch.zeros(1, 9), 0.007)
    assert len(set(result[0].tolist())) == 3
    assert set(result[0].tolist()) <= {5, 6, 7}


def test_surfaces_are_apart_by_what_they_are_moved_and_symmetry_costs_nothing() -> None:
    a = poses(2, 3)
    moved = Poses(a.rotation, a.position + torch.tensor([0, 0, 0.5]), a.present)
    assert surface_distance(SOLID.surface, a, a).max() < 1e-5
    assert surface_distance(SOLID.surface, a, moved).min() > 0.4
    ball = torch.nn.functional.normalize(torch.randn(800, 3), dim=1) * 0.02
    turned = Poses(random_rotations(2, torch.Generator())[None], a.position, a.present)
    assert surface_distance(ball, a, turned).max() < 0.0025  # the points' own distance


def test_hidden_instances_are_neither_asked_for_nor_punished() -> None:
    score = torch.zeros(1, 4, requires_grad=True)
    matched, wanted = torch.tensor([[0, 2]]), torch.tensor([[1.0, float('nan')]])
    existence_loss(score, matched, wanted).backward()
    assert score.grad is not None
    assert score.grad[0, 0] < 0
    assert score.grad[0, 2] == 0
    assert (score.grad[0, [1, 3]] > 0).all()


def test_untrained_slots_stand_at_their_own_places_up_and_right_as_in_the_image() -> None:
    torch.manual_seed(0)
    encoder = SetPredictor(32, 4, 8)
    slots = encoder(torch.zeros(1, 32, 32))
    assert torch.allclose(slots.raw[0, :, :2].tanh(), encoder.places, atol=0.15)
    assert encoder.places[0].tolist() == pytest.approx([-0.75, 0.75])  # the upper left pixel
    near = nearest_slots(encoder.places, torch.tensor([[[0.08, -0.08, 0.0]]]), 0.2, 1)
    assert near.item() == 15  # the lower right
    turns = slots.rotation[0].detach()
    assert np.allclose(turns @ turns.mT, np.eye(3), atol=1e-5)


def test_six_numbers_are_a_rotation() -> None:
    turns = rotation_from_six(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(turns @ turns.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(50), atol=1e-5)
