"""Axis-angle and translation become rigid motions."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from insegan_ros.model.pose import PoseDecoder, rigid_motion, rotation_matrix


def test_rotations_are_those_of_scipy() -> None:
    vectors = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = Rotation.from_rotvec(vectors.numpy()).as_matrix()
    assert torch.allclose(rotation_matrix(vectors), torch.from_numpy(expected), atol=1e-12)


@pytest.mark.parametrize('angle', [0.0, 1e-6, 1e-3, math.pi, 9.0])
def test_rotations_are_orthonormal_and_have_gradients_at_any_angle(angle: float) -> None:
    vector = torch.tensor([[angle, 0.0, 0.0]], requires_grad=True)
    rotation = rotation_matrix(vector)
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3), atol=1e-5)
    assert torch.linalg.det(rotation).item() == pytest.approx(1, abs=1e-5)
    rotation.sum().backward()
    assert vector.grad is not None
    assert torch.isfinite(vector.grad).all()


def test_a_latent_becomes_a_motion() -> None:
    motion = rigid_motion(PoseDecoder(16)(torch.randn(7, 16)))
    assert motion.shape == (7, 3, 4)
    assert torch.allclose(motion[:, :, :3] @ motion[:, :, :3].mT, torch.eye(3), atol=1e-5)


def test_the_decoder_has_no_biases_so_the_zero_latent_is_the_identity() -> None:
    motion = rigid_motion(PoseDecoder(16)(torch.zeros(1, 16)))
    assert torch.equal(motion[0], torch.eye(4)[:3])


def test_an_untrained_decoder_spreads_poses_as_it_is_told() -> None:
    torch.manual_seed(0)
    pose = PoseDecoder(128, (1.5, 0.35))(torch.randn(4000, 128))
    assert pose[:, :3].std(dim=0).tolist() == pytest.approx([1.5] * 3, rel=0.15)
    assert pose[:, 3:].std(dim=0).tolist() == pytest.approx([0.35] * 3, rel=0.15)
