"""Each loss is zero where it should be."""

from __future__ import annotations

import math

import pytest
import torch

from insegan_ros.model import losses
from insegan_ros.model.matching import match


def test_a_sure_and_right_discriminator_has_no_loss_and_an_unsure_one_two_log_two() -> None:
    sure = torch.full((4,), 100.0)
    assert losses.discriminator_loss(sure, -sure).item() == pytest.approx(0, abs=1e-6)
    unsure = torch.zeros(4)
    assert losses.discriminator_loss(unsure, unsure).item() == pytest.approx(2 * math.log(2))


def test_the_losses_are_the_papers_logarithms() -> None:
    real, fake = torch.randn(2, 6)
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    expected = -d_real.log().mean() - (1 - d_fake).log().mean()
    assert losses.discriminator_loss(real, fake).item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses.generator_loss(fake).item() == pytest.approx(-d_fake.log().mean().item(), 1e-5)


def test_a_generator_that_is_believed_has_no_loss() -> None:
    assert losses.generator_loss(torch.full((4,), 100.0)).item() == pytest.approx(0, abs=1e-6)


def test_a_permuted_set_is_aligned_without_loss() -> None:
    z = torch.randn(3, 5, 8)
    z_hat = z[:, [4, 2, 0, 1, 3]]
    assert losses.alignment_loss(z, z_hat, match(z, z_hat)).item() == 0
    unaligned = torch.arange(5).expand(3, 5)
    assert losses.alignment_loss(z, z_hat, unaligned).item() > 0.5


@pytest.mark.parametrize('norm', ['l1', 'l2'])
def test_equal_images_and_features_have_no_loss(norm: str) -> None:
    image = torch.randn(2, 1, 8, 8)
    assert losses.pose_loss(image, image.clone(), norm).item() == 0
    assert losses.pose_loss(image, image + 0.5, norm).item() == pytest.approx(
        {'l1': 0.5, 'l2': 0.25}[norm], rel=1e-5
    )
    assert losses.intermediate_loss(image, image.clone()).item() == 0


def test_the_papers_pose_loss_is_the_mean_of_absolute_differences() -> None:
    image = torch.zeros(1, 1, 2, 2)
    assert losses.pose_loss(image, image + 0.5).item() == 0.5
