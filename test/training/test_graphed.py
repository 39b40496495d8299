"""Steps that may be replayed as a graph do what the trainer's own steps do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor

from insegan_ros.model.insegan import InSeGAN, InSeGANConfig
from insegan_ros.training.step import Trainer
from insegan_ros.training.step_config import StepConfig

FILE = Path(__file__).parents[2] / 'benchmarks' / 'graphed_steps.py'
spec = importlib.util.spec_from_file_location('graphed_steps', FILE)
graphed_steps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(graphed_steps)
GraphedSteps = graphed_steps.GraphedSteps

TINY = InSeGANConfig(
    z_dim=8,
    image_size=16,
    template_channels=8,
    feature_channels=16,
    discriminator_channels=8,
    instances=3,
    doublings=1,
    encoder_channels=16,
)


def trainer() -> Trainer:
    torch.manual_seed(0)
    # without noise and averages a step draws nothing by itself
    return Trainer(InSeGAN(TINY), StepConfig(batch=4, noise=0, ema=0, generator_steps=9))


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real = torch.rand(4, 1, 16, 16, generator=generator) * 2 - 1
    return real, torch.randn(4, 3, 8, generator=generator)


def test_steps_change_the_weights_as_the_trainer_does() -> None:
    plain, recorded = trainer(), trainer()
    steps = GraphedSteps(recorded, lambda: batch(recorded.steps), torch.device('cpu'))
    for k in range(3):
        plain.step(*batch(k))
        steps.step()
    steps.check()
    assert recorded.steps == 3
    for a, b in zip(plain.model.parameters(), recorded.model.parameters()):
        assert torch.equal(a, b)
    theirs = recorded.ema['generator'].network.parameters()
    assert all(torch.equal(a, b) for a, b in zip(recorded.model.generator.parameters(), theirs))


def test_a_loss_that_is_not_finite_is_seen_when_one_looks() -> None:
    recorded = trainer()
    real, z = batch(0)
    steps = GraphedSteps(recorded, lambda: (real * torch.nan, z), torch.device('cpu'))
    steps.step()
    with pytest.raises(FloatingPointError, match='not finite after 1 steps'):
        steps.check()


def test_a_weight_that_is_no_number_is_seen_when_one_looks() -> None:
    recorded = trainer()
    steps = GraphedSteps(recorded, lambda: batch(0), torch.device('cpu'))
    steps.step()
    steps.check()
    with torch.no_grad():
        next(recorded.model.generator.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match='a weight of the generator'):
        steps.check()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='a graph needs a GPU')
def test_a_graph_teaches_every_network_in_its_turn() -> None:
    torch.manual_seed(0)
    device = torch.device('cuda')
    model = InSeGAN(TINY).to(device)
    one = Trainer(model, StepConfig(batch=4, generator_steps=2, real_after=1), capturable=True)

    def draw() -> tuple[Tensor, Tensor]:
        real = torch.rand(4, 1, 16, 16, device=device) * 2 - 1
        return real, torch.randn(4, 3, 8, device=device)

    steps = GraphedSteps(one, draw, device)
    before = {n: [p.clone() for p in m.parameters()] for n, m in model.named_children()}
    for _ in range(4):
        steps.step()
    steps.check()
    for name, network in model.named_children():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], network.parameters()))
