from __future__ import annotations

import pytest
import torch
from torch import nn

from insegan_ros.distillation.optimizers import KERNEL_RATE, Optimizers


def small_network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 1))
    return network.to(memory_format=torch.channels_last)


def give_gradients(network: nn.Module, seed: int) -> None:
    image = torch.randn(2, 8, 12, 12, generator=torch.Generator().manual_seed(seed))
    network.zero_grad()
    network(image.to(memory_format=torch.channels_last)).square().mean().backward()


def test_an_update_of_a_kernel_goes_equally_far_in_all_directions() -> None:
    network = small_network()
    kernel = network[0].weight
    before = kernel.detach().clone()
    give_gradients(network, 1)
    gradient = torch.linalg.svdvals(kernel.grad.flatten(1))
    Optimizers(network, weight_decay=0.0).step(1e-3)
    update = torch.linalg.svdvals((kernel.detach() - before).flatten(1))
    assert gradient[0] > 10 * gradient[-1]
    assert update[0] < 3 * update[-1]
    assert update.mean() == pytest.approx(KERNEL_RATE * 1e-3, rel=0.3)


def test_every_weight_is_updated_against_its_gradient() -> None:
    network = small_network()
    before = [weight.detach().clone() for weight in network.parameters()]
    give_gradients(network, 1)
    Optimizers(network, weight_decay=0.0).step(1e-3)
    for weight, old in zip(network.parameters(), before):
        assert ((weight.detach() - old) * weight.grad).sum() < 0


def test_stored_and_restored_it_goes_on_as_if_unbroken() -> None:
    network, other = small_network(), small_network()
    unbroken, broken = Optimizers(network, 1e-3), Optimizers(other, 1e-3)
    for seed in range(2):
        for model, optimizers in ((network, unbroken), (other, broken)):
            give_gradients(model, seed)
            optimizers.step(1e-3)
    again = Optimizers(other, 1e-3)
    again.load_state_dict(broken.state_dict())
    for model, optimizers in ((network, unbroken), (other, again)):
        give_gradients(model, 5)
        optimizers.step(1e-3)
    for ours, theirs in zip(network.parameters(), other.parameters()):
        assert torch.equal(ours, theirs)
