"""The network's input and output."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from insegan_ros.distillation.network import (
    OUTPUTS,
    STRIDE,
    NetworkConfig,
    VoteNetwork,
    network_input,
    vote_loss,
)

CONFIG = NetworkConfig(part_length_m=0.04, part_thickness_m=0.02, pixel_m=0.002)


@pytest.mark.parametrize('size', [(STRIDE, STRIDE), (48, 80)])
def test_the_network_answers_at_the_size_of_its_input(size: tuple[int, int]) -> None:
    network = VoteNetwork(CONFIG).eval()
    heights = np.zeros(size, np.float32)
    output = network(torch.from_numpy(network_input(heights, CONFIG))[None])
    assert output.shape == (1, OUTPUTS, *size)


def test_unmeasured_pixels_are_marked_and_finite() -> None:
    heights = np.array([[0.02, np.nan]], np.float32)
    image = network_input(heights, CONFIG)
    assert image[:, 0, 0].tolist() == pytest.approx([0.5, 1.0])
    assert image[:, 0, 1].tolist() == [0.0, 0.0]


def pixel_loss(off: float, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the votes of one pixel `off` vote units beside its centre, and its slope by that."""
    output = torch.zeros(1, OUTPUTS, 1, 1)
    output[0, 4] = spread
    vote = torch.tensor(off, requires_grad=True)
    output = torch.cat([output[:, :1], vote.view(1, 1, 1, 1), output[:, 2:]], dim=1)
    target = torch.zeros(1, 6, 1, 1)
    target[0, 0] = target[0, 5] = 1
    loss = vote_loss(output, target)['votes']
    (slope,) = torch.autograd.grad(loss, vote)
    return loss.detach(), slope


@pytest.mark.parametrize('spread', [-1.0, 0.0, 2.0])
def test_votes_cost_half_their_likelihood_and_their_distance(spread: float) -> None:
    loss, slope = pixel_loss(1.5, spread)
    scale = math.exp(-spread)
    assert loss.item() == pytest.approx(0.5 * (1.5 * scale + spread) + 1.5, rel=1e-5)
    assert slope.item() == pytest.approx(0.5 * scale + 1, rel=1e-5)


def test_an_unsure_vote_is_still_drawn_to_its_centre() -> None:
    """The likelihood alone lets a pixel that calls itself unsure vote for anything."""
    assert pixel_loss(1.0, 2.0)[1].item() > 1
    assert pixel_loss(3.0, 2.0)[1].item() < 0.1  # a vote for another part does not count for more


def test_each_loss_looks_at_its_own_answer() -> None:
    right = torch.zeros(1, 6, 2, 2)
    right[:, 0, :, 0] = right[:, 4] = right[:, 5] = 1
    output = torch.zeros(1, OUTPUTS, 2, 2)
    output[:, 0, :, 0], output[:, 0, :, 1], output[:, 5] = 30.0, -30.0, 30.0
    good = vote_loss(output, right)
    assert [value.item() for value in good.values()] == pytest.approx([0, 0, 0], abs=1e-5)
    for channel, name in ((0, 'part'), (3, 'votes'), (5, 'visible')):
        wrong = output.clone()
        wrong[:, channel] = 1 - wrong[:, channel]
        changed = vote_loss(wrong, right)
        assert [key for key in good if changed[key] > good[key] + 0.1] == [name]
