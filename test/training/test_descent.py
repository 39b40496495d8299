"""Updates of one network: their rate, what they refuse, how they go on."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from insegan_ros.training.descent import Descent, DescentConfig


def descent(seed: int = 0, scale: float = 1.0) -> Descent[nn.Linear]:
    """Of a network that learns to say nothing."""
    torch.manual_seed(seed)
    network = nn.Linear(4, 3)

    def losses(images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        return {'total': scale * (network(images) + noise).square().mean()}

    return Descent(network, losses, DescentConfig(warm_up=2))


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 4, generator=generator), torch.randn(5, 3, generator=generator)


def test_the_rate_rises_over_the_warm_up_and_then_falls_by_half_lives() -> None:
    config = DescentConfig(learning_rate=1.0, warm_up=10, half_life=100)
    assert config.rate(0) == pytest.approx(0.1 * 0.5**0)
    assert config.rate(100) == pytest.approx(0.5)
    assert config.rate(200) == pytest.approx(0.25)


def test_a_loss_that_is_not_finite_changes_no_weight() -> None:
    broken = descent(scale=math.nan)
    before = [p.clone() for p in broken.network.parameters()]
    with pytest.raises(FloatingPointError, match='total'):
        broken.step(*batch())
    assert all(torch.equal(a, b) for a, b in zip(before, broken.network.parameters()))


def test_a_restored_descent_goes_on_as_the_first_one() -> None:
    first, second = descent(), descent(seed=5)
    first.step(*batch())
    second.restore(copy.deepcopy(first.state()))
    assert first.step(*batch())['total'] == second.step(*batch())['total']
    for a, b in zip(first.network.parameters(), second.network.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
