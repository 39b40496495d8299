"""Updates of one network: their rate, what they refuse, how they go on."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor
from toys import discs

from insegan_ros.baselines.learned.decomposer import Decomposer
from insegan_ros.baselines.learned.registry import METHODS, build
from insegan_ros.training.descent import Descent, DescentConfig

SMALL = {
    'slot_attention': {'image_size': 8, 'channels': 8, 'width': 16, 'hidden': 16, 'stride': 1},
    'bo_qsa': {'image_size': 8, 'channels': 8, 'width': 16, 'hidden': 16, 'stride': 1},
    'iodine': {'image_size': 8, 'channels': 8, 'latent': 4, 'hidden': 16, 'refinements': 2},
    'wu': {'image_size': 16, 'points': 24, 'samples': 32},
}
every_method = pytest.mark.parametrize('name', METHODS)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def small(name: str, instances: int = 2) -> Decomposer:
    return build(name, {'instances': instances, **SMALL[name]})


def toy(name: str, count: int = 4) -> tuple[Tensor, Tensor]:
    images, _ = discs(count, SMALL[name]['image_size'])
    return images, torch.randn(count, *small(name).noise_shape)


def test_the_rate_rises_over_the_warm_up_and_then_falls_by_half_lives() -> None:
    config = DescentConfig(learning_rate=1.0, warm_up=10, half_life=100)
    assert config.rate(0) == pytest.approx(0.1 * 0.5**0)
    assert config.rate(100) == pytest.approx(0.5)
    assert config.rate(200) == pytest.approx(0.25)


def test_a_loss_that_is_not_finite_changes_no_weight() -> None:
    network = small('slot_attention')
    before = [p.clone() for p in network.parameters()]
    descent = Descent(
        network, lambda *_: {'total': network.mean.sum() * math.nan}, DescentConfig()
    )
    with pytest.raises(FloatingPointError, match='total'):
        descent.step(torch.zeros(1), torch.zeros(1))
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters()))


def test_a_restored_descent_goes_on_as_the_first_one() -> None:
    images, noise = toy('bo_qsa')
    network = small('bo_qsa')
    first = Descent(network, network.losses, DescentConfig(warm_up=2))
    first.step(images, noise)
    torch.manual_seed(5)
    other = small('bo_qsa')
    second = Descent(other, other.losses, DescentConfig(warm_up=2))
    second.restore(copy.deepcopy(first.state()))
    assert first.step(images, noise)['total'] == second.step(images, noise)['total']
    for a, b in zip(network.parameters(), other.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
