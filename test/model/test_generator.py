"""The generator: a template that moves, instances without an order, images in range."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from insegan_ros import config
from insegan_ros.model import code
from insegan_ros.model.generator import Generator, GeneratorConfig, InstanceVolume
from insegan_ros.model.insegan import InSeGAN, InSeGANConfig
from insegan_ros.model.pose import rigid_motion, warp

SMALL = {'z_dim': 8, 'template_channels': 8, 'feature_channels': 16}
KINDS = [
    GeneratorConfig(**SMALL),
    GeneratorConfig(**SMALL, doublings=1, volume_channels=(4,)),
    GeneratorConfig(**SMALL, kind='2d'),
    GeneratorConfig(**SMALL, kind='2d', doublings=1),
    GeneratorConfig(**SMALL, composed_by='mean'),
    GeneratorConfig(**SMALL, templates=2),
    GeneratorConfig(**SMALL, composed_by='mean', normalised=False, rectified=False, reach=None),
]


def motion(*pose: float) -> Tensor:
    return rigid_motion(torch.tensor([pose], dtype=torch.float32))


def blob() -> Tensor:
    """One channel of 16^3 with a ball at x = 0.5, y = z = 0."""
    axis = (torch.arange(16) + 0.5) / 8 - 1
    z, y, x = torch.meshgrid(axis, axis, axis, indexing='ij')
    return torch.exp(-((x - 0.5) ** 2 + y**2 + z**2) / 0.03)[None, None]


def centre(volume: Tensor) -> list[float]:
    """x, y, z of a volume's centroid."""
    axis = (torch.arange(16) + 0.5) / 8 - 1
    mass = volume[0, 0] / volume.sum()
    sums = [mass.sum(dim=[k for k in range(3) if k != d]) for d in (2, 1, 0)]
    return [float((one * axis).sum()) for one in sums]


def test_a_template_rotates_and_moves_as_it_is_told() -> None:
    quarter = math.pi / 2
    for pose, expected in (
        ((0, 0, 0, 0, 0, 0), (0.5, 0, 0)),
        ((0, 0, quarter, 0, 0, 0), (0, 0.5, 0)),  # about z: x goes to y
        ((0, quarter, 0, 0, 0, 0), (0, 0, -0.5)),  # about y: x goes to -z
        ((quarter, 0, 0, 0, 0, 0), (0.5, 0, 0)),
        ((0, 0, 0, -0.25, 0.125, 0.375), (0.25, 0.125, 0.375)),
        ((0, 0, quarter, 0.25, 0, 0), (0.25, 0.5, 0)),  # rotates first
    ):
        assert centre(warp(blob(), motion(*pose))) == pytest.approx(expected, abs=0.02), pose


def test_what_leaves_the_volume_is_gone_and_nothing_comes_in() -> None:
    assert warp(blob(), motion(0, 0, 0, 5, 0, 0)).abs().max() == 0


@pytest.mark.parametrize('kind', KINDS)
def test_images_are_in_range_and_every_weight_is_used(kind: GeneratorConfig) -> None:
    generator = Generator(kind)
    image, features = generator(torch.randn(2, 3, 8))
    assert image.shape == (2, 1, 64, 64)
    assert features.shape == (2, 16, kind.feature_size, kind.feature_size)
    assert image.abs().max() <= 1
    assert generator.render_both(generator.place(torch.randn(2, 3, 8)))[1].shape == (2, 3, 64, 64)
    (image.square().sum() + features.square().sum()).backward()
    unused = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unused


@pytest.mark.parametrize('kind', KINDS)
def test_the_order_of_instances_does_not_matter(kind: GeneratorConfig) -> None:
    generator, z = Generator(kind), torch.randn(2, 5, 8)
    a, b = generator(z)[0], generator(z[:, [3, 0, 4, 2, 1]])[0]
    assert torch.allclose(a, b, atol=1e-5)


def test_the_template_is_grown_once_a_batch_not_once_an_instance(monkeypatch) -> None:
    volume = InstanceVolume(GeneratorConfig(**SMALL, doublings=1))
    seen: list[int] = []
    volume.doubling[0].register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    volume.draw(volume.place(torch.randn(20, 8)))
    assert seen == [1]


def test_one_template_needs_no_gate_and_is_drawn_as_ever() -> None:
    torch.manual_seed(0)
    volume, z = InstanceVolume(GeneratorConfig(**SMALL, bound=None)), torch.randn(3, 8)
    motions = rigid_motion(volume.pose(z))
    assert torch.equal(volume.place(z), motions.flatten(-2))
    grown = volume.doubling(torch.nn.functional.instance_norm(volume.template)) * volume.ball
    drawn = volume.project(volume.volume(warp(grown, motions)).flatten(1, 2))
    assert torch.equal(volume.draw(volume.place(z)), drawn)


def test_each_instance_is_drawn_with_the_template_of_its_gate() -> None:
    torch.manual_seed(0)
    two = Generator(GeneratorConfig(**SMALL, templates=2))
    codes = two.place(torch.randn(2, 3, 8))
    motions, _ = code.parted(codes)
    for k in range(2):
        one = Generator(GeneratorConfig(**SMALL))
        weights = two.state_dict()
        weights['instance.template'] = weights['instance.template'][k : k + 1]
        one.load_state_dict(weights)
        gates = torch.eye(2)[k].expand(2, 3, 2)
        alone = two.render_both(code.joined(motions, gates))[1]
        expected = one.render_both(motions.flatten(-2))[1]
        assert torch.allclose(alone, expected, atol=1e-5)
        other = two.render_both(code.joined(motions, 1 - gates))[1]
        assert (alone - other).abs().max() > 0.01


def test_latents_choose_each_template_equally_often() -> None:
    generator = Generator(GeneratorConfig(**SMALL, templates=3))
    z = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0))
    chosen = generator.templates(generator.place(z))
    assert torch.equal(chosen, 1 + z[:, :3].argmax(dim=1))
    assert (chosen[:, None] == torch.arange(1, 4)).float().mean(dim=0).tolist() == pytest.approx(
        [1 / 3] * 3, abs=0.03
    )


def test_a_gate_is_hard_and_learns_as_if_it_were_soft() -> None:
    scores = torch.tensor([[0.5, 0.4, -2.0]], requires_grad=True)
    gate = code.one_hot(scores)
    assert gate.tolist() == [[1, 0, 0]]
    (gate * torch.tensor([1.0, 0.0, 0.0])).sum().backward()
    assert scores.grad is not None
    assert scores.grad[0, 0] > 0 > scores.grad[0, 1]


def test_the_reference_has_the_published_number_of_weights() -> None:
    from insegan_ros.learn.config import LearnConfig

    folder = Path(__file__).parents[2] / 'config/train'
    settings = config.load(LearnConfig, [folder / 'insegan_reference.yaml'])
    model = InSeGAN(settings.model)
    millions = [
        sum(p.numel() for p in network.parameters()) / 1e6
        for network in (model.generator, model.discriminator, model.encoder)
    ]
    assert millions == pytest.approx([0.42, 2.76, 8.0], rel=0.05)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match='image_size 60'):
        InSeGANConfig(image_size=60)
    with pytest.raises(ValueError, match='template_channels 9'):
        InSeGANConfig(template_channels=9, doublings=1)
    with pytest.raises(ValueError, match='templates 0: 1 to z_dim = 16'):
        InSeGANConfig(templates=0)
    with pytest.raises(ValueError, match='templates 2: the 2-D model has none'):
        InSeGANConfig(templates=2, kind='2d')
