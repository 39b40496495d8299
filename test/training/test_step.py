"""One update: which loss reaches which weights, and that learning and resuming work."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from insegan_ros.model.generator import Generator
from insegan_ros.model.insegan import InSeGAN, InSeGANConfig
from insegan_ros.training.ema import Ema
from insegan_ros.training.loop import LoopConfig
from insegan_ros.training.step import Trainer
from insegan_ros.training.step_config import LossConfig, StepConfig

TINY = InSeGANConfig(
    z_dim=8,
    image_size=16,
    template_channels=8,
    feature_channels=16,
    discriminator_channels=8,
    instances=3,
    doublings=1,
    encoder='latents',
    encoder_channels=16,
)
NONE = LossConfig(discriminator=0, generator=0, alignment=0, intermediate=0, pose=0)


ALL = LossConfig()


def trainer(losses: LossConfig = ALL, precision: torch.dtype = torch.float32) -> Trainer:
    torch.manual_seed(0)
    return Trainer(InSeGAN(TINY), StepConfig(batch=4, generator_steps=0, losses=losses), precision)


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real = torch.rand(4, 1, 16, 16, generator=generator) * 2 - 1
    return real, torch.randn(4, 3, 8, generator=generator)


@pytest.mark.parametrize('precision', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ('loss', 'network'),
    [
        ('discriminator', 'discriminator'),
        ('generator', 'generator'),
        ('alignment', 'encoder'),
        ('intermediate', 'encoder'),
        ('pose', 'encoder'),
    ],
)
def test_a_loss_changes_its_own_network_and_no_other(
    loss: str, network: str, precision: torch.dtype
) -> None:
    one = trainer(replace(NONE, **{loss: 1.0}), precision)
    before = copy.deepcopy(one.model)
    one.step(*batch())
    changed = {
        name
        for name in ('generator', 'discriminator', 'encoder')
        for a, b in zip(getattr(before, name).parameters(), getattr(one.model, name).parameters())
        if not torch.equal(a, b)
    }
    assert changed == {network}


def test_the_encoder_alone_learns_which_template_is_seen() -> None:
    torch.manual_seed(0)
    losses = LossConfig(pose=0, real=0, centre=0, appearance=0, motion=0)
    model = InSeGAN(replace(TINY, encoder='set', templates=2))
    one = Trainer(model, StepConfig(batch=4, generator_steps=1, real_after=0, losses=losses))
    one.step(*batch(0))
    before = copy.deepcopy(model.state_dict())
    assert one.step(*batch(1))['template'] > 0
    changed = {k for k, v in model.state_dict().items() if not torch.equal(before[k], v)}
    assert 'encoder.code.4.weight' in changed
    assert all(name.startswith('encoder.') for name in changed)


def test_the_derenderer_alone_learns_from_the_intermediate_loss() -> None:
    one = trainer(replace(NONE, intermediate=1.0))
    before = copy.deepcopy(one.model.encoder.decoder)
    one.step(*batch())
    after = one.model.encoder.decoder
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters()))


def test_a_loss_that_is_not_finite_stops_and_changes_nothing() -> None:
    one = trainer()
    before = copy.deepcopy(one.model.state_dict())
    real, z = batch()
    real[0, 0, 0, 0] = float('nan')
    with pytest.raises(FloatingPointError, match='after 0 steps'):
        one.step(real, z)
    assert all(torch.equal(before[k], v) for k, v in one.model.state_dict().items())
    assert one.steps == 0


def test_a_gradient_that_is_not_finite_stops_and_changes_nothing() -> None:
    one = trainer()
    next(one.model.generator.instance.pose.parameters()).register_hook(lambda g: g * torch.nan)
    before = copy.deepcopy(one.model.state_dict())
    with pytest.raises(FloatingPointError, match='a gradient of the generator is not finite'):
        one.step(*batch())
    assert all(torch.equal(before[k], v) for k, v in one.model.state_dict().items())


def test_poses_that_are_no_numbers_are_seen_though_every_loss_is_finite() -> None:
    one = trainer(replace(NONE, discriminator=1.0, generator=1.0))
    with torch.no_grad():
        next(one.model.generator.instance.pose.parameters()).fill_(torch.nan)
    _, found = one.losses(*batch())
    assert all(torch.isfinite(found[name]) for name in 'DG')
    with pytest.raises(FloatingPointError, match='of the generator is not finite'):
        one.step(*batch())


def test_a_scene_is_drawn_once_for_all_that_learn_from_it(monkeypatch) -> None:
    """What a step costs: of two that learn from drawn scenes, each renders what it finds again."""
    torch.manual_seed(0)
    model = InSeGAN(replace(TINY, encoder='set'))
    steps = {'generator_steps': 1, 'real_after': 0, 'joint_after': 1}
    one = Trainer(model, StepConfig(batch=4, **steps))
    drawn = []
    features = Generator.features
    monkeypatch.setattr(
        Generator, 'features', lambda self, codes: drawn.append(1) or features(self, codes)
    )
    counts = []
    for k in range(3):
        one.step(*batch(k))
        counts.append(len(drawn))
        drawn.clear()
    assert counts == [1, 3, 3]  # drawn; drawn, found again, real; the same


def test_a_resumed_trainer_does_what_an_unbroken_one_does_bit_for_bit() -> None:
    unbroken = trainer()
    for k in range(2):
        unbroken.step(*batch(k))
    saved = copy.deepcopy(unbroken.state())
    resumed = trainer()
    resumed.restore(saved)
    for k in (2, 3):
        a, b = unbroken.step(*batch(k)), resumed.step(*batch(k))
        assert all(torch.equal(a[name], b[name]) for name in a)
    for name in ('model', 'ema'):
        for x, y in zip(_tensors(unbroken.state()[name]), _tensors(resumed.state()[name])):
            assert torch.equal(x, y)


def test_a_state_of_a_gpu_goes_on_on_a_processor() -> None:
    of_gpu = Trainer(InSeGAN(TINY), StepConfig(batch=4), capturable=True).state()
    one = trainer()
    one.restore(of_gpu)
    one.step(*batch())
    assert one.steps == 1


def test_the_encoder_learns_on_a_frozen_generator_once_that_is_done() -> None:
    torch.manual_seed(0)
    model = InSeGAN(replace(TINY, encoder='set'))
    one = Trainer(model, StepConfig(batch=4, generator_steps=1, real_after=0))
    assert one.step(*batch(0)).keys() == {'D', 'G'}
    before = copy.deepcopy(one.model)
    frozen = copy.deepcopy(one.frozen_generator.state_dict())
    found = one.step(*batch(1))
    assert {'centre', 'each', 'p', 'move', 'real'} == found.keys()
    for name in ('generator', 'discriminator'):
        theirs = getattr(before, name).state_dict()
        assert all(torch.equal(theirs[k], v) for k, v in getattr(model, name).state_dict().items())
    assert all(torch.equal(frozen[k], v) for k, v in one.frozen_generator.state_dict().items())
    after = model.encoder.state_dict()
    assert any(not torch.equal(v, after[k]) for k, v in before.encoder.state_dict().items())


def test_real_frames_teach_the_generator_in_the_joint_phase_alone() -> None:
    torch.manual_seed(0)
    model = InSeGAN(replace(TINY, encoder='set'))
    steps = {'generator_steps': 1, 'real_after': 0, 'joint_after': 1, 'joint_adversarial': 0}
    one = Trainer(model, StepConfig(batch=4, **steps))
    one.step(*batch(0))
    assert one.phase == 'encoder'
    one.step(*batch(1))
    assert one.phase == 'joint'
    frozen = copy.deepcopy(one.frozen_generator.state_dict())
    found = one.step(*batch(2))
    assert found.keys() == {'D', 'G', 'centre', 'each', 'p', 'move', 'real'}
    after = model.generator.state_dict()  # it began as its average, and only real frames moved it
    moved = max(float((frozen[k] - v).abs().max()) for k, v in after.items())
    assert 0 < moved < 2 * one.config.learning_rate * one.config.joint_rate


def test_the_default_schedule_ends_with_the_joint_phase_of_set_encoders_alone() -> None:
    last = LoopConfig().iterations - 1
    phases = {
        encoder: Trainer(InSeGAN(replace(TINY, encoder=encoder)), StepConfig()).config.phase(last)
        for encoder in ('set', 'latents')
    }
    assert phases == {'set': 'joint', 'latents': 'encoder'}
    assert StepConfig(generator_steps=0).phase(last) == 'together'


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for v in value.values() for t in _tensors(v)] if isinstance(value, dict) else []


def test_encoder_and_generator_can_overfit_eight_images() -> None:
    """Every layer passes what is needed: eight images of two squares are learned by heart."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = torch.full((8, 1, 16, 16), -1.0)
    for image in images:
        for _ in range(2):
            x, y = rng.integers(0, 11, 2)
            image[0, y : y + 5, x : x + 5] = float(rng.uniform(0, 0.8))
    model = InSeGAN(replace(TINY, instances=2, z_dim=16))
    weights = [*model.generator.parameters(), *model.encoder.parameters()]
    adam = torch.optim.Adam(weights, 3e-3)

    def error() -> Tensor:
        return F.l1_loss(model.generator(model.encoder(images)[0])[0], images)

    first = last = error()
    for _ in range(400):
        adam.zero_grad()
        last = error()
        if last < 0.15 * first:
            break
        last.backward()
        adam.step()
    assert last < 0.15 * first


def test_adversaries_learn_the_brightness_of_eight_images() -> None:
    """Generated images come nearer to the real ones' mean than untrained ones are."""
    torch.manual_seed(0)
    real = torch.full((8, 1, 16, 16), -1.0)
    real[:, :, 4:12, 4:12] = 0.5
    one = Trainer(InSeGAN(TINY), StepConfig(batch=8, learning_rate=1e-3, ema=0.9, noise=0))
    z = torch.randn(8, 3, 8)

    def off(generator: torch.nn.Module) -> float:
        with torch.no_grad():
            return F.l1_loss(generator(z)[0].mean(0), real[0]).item()

    before = off(one.model.generator)
    for k in range(150):
        noise = 0.05 * torch.randn(real.shape, generator=torch.Generator().manual_seed(k))
        one.step(real + noise, torch.randn(8, 3, 8, generator=torch.Generator().manual_seed(k)))
        if off(one.ema['generator'].network) < 0.6 * before:
            return
    pytest.fail('generated images are as far from the real ones as at the start')


def test_an_average_follows_its_network() -> None:
    layer = torch.nn.Linear(2, 2)
    average = Ema(layer, 0.9)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    for step in range(200):
        average.update(layer, step)
    assert torch.allclose(average.network.weight, start + 1, atol=1e-3)
    with pytest.raises(ValueError, match='decay'):
        Ema(layer, 1.0)
