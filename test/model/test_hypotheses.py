"""Several explanations of one image: what quarter turns find, the best of it is kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from insegan_ros.crop import CropConfig
from insegan_ros.inference.insegan import FilterConfig, InSeGANCard, InSeGANConfig
from insegan_ros.model.generator import Generator, GeneratorConfig
from insegan_ros.model.hypotheses import best_of_turns
from insegan_ros.model.refine import composed, mismatch, refine, turned_back
from insegan_ros.model.set_encoder import SetEncoder

SMALL = GeneratorConfig(
    z_dim=8, image_size=32, template_channels=8, feature_channels=16, doublings=1
)


class Errs(nn.Module):
    """An encoder that finds latents given for each quarter turn."""

    def __init__(self, latents: Tensor) -> None:
        super().__init__()
        self._latents, self._calls = latents, 0

    def forward(self, _: Tensor) -> tuple[Tensor, None]:
        self._calls += 1
        return self._latents[(self._calls - 1) % len(self._latents)], None


def networks() -> tuple[Generator, Tensor]:
    torch.manual_seed(0)
    return Generator(SMALL).requires_grad_(False), torch.randn(4, 2, 3, 8)


def error(generator: Generator, codes: Tensor, turns: Tensor, images: Tensor) -> Tensor:
    return mismatch(composed(generator, codes, turns)[0], images)[:, 0]


def test_renderings_of_a_turned_image_are_turned_back() -> None:
    image = torch.randn(1, 1, 8, 8)
    alone = torch.cat([image.rot90(k, (2, 3)) for k in range(4)], dim=1)
    assert torch.equal(turned_back(alone, torch.arange(4)[None]), image.expand(1, 4, 8, 8))


def test_one_turn_is_what_the_encoder_finds() -> None:
    generator, _ = networks()
    encoder = SetEncoder(SMALL, 16)
    images = torch.rand(2, 1, 32, 32) * 2 - 1
    found = best_of_turns(encoder, generator, images, count=3, turns=1)
    assert torch.equal(found.codes, encoder.explain(images, 3))
    assert not found.turns.any()


def test_the_turn_that_explains_the_image_is_chosen() -> None:
    generator, latents = networks()
    for right in range(4):
        turned = generator.render_both(generator.place(latents[right]))[1]
        images = turned_back(turned, torch.full((2, 3), right)).amax(dim=1, keepdim=True)
        found = best_of_turns(Errs(latents), generator, images, count=3, turns=4)
        assert error(generator, found.codes, found.turns, images).max() < 1e-5


def test_instances_of_several_turns_explain_together_what_none_does_alone() -> None:
    generator, latents = networks()
    by = torch.tensor([[0, 1, 2]]).expand(2, 3)
    each = [generator.render_both(generator.place(some))[1] for some in latents]
    mixed = torch.stack([each[k][:, k] for k in range(3)], dim=1)
    images = turned_back(mixed, by).amax(dim=1, keepdim=True)
    one = best_of_turns(Errs(latents), generator, images, count=3, turns=1)
    all_ = best_of_turns(Errs(latents), generator, images, count=3, turns=4)
    before = error(generator, one.codes, one.turns, images)
    assert (error(generator, all_.codes, all_.turns, images) < before).all()


def test_codes_of_turns_are_refined_where_they_were_found() -> None:
    generator, latents = networks()
    turns = torch.tensor([[0, 1, 3]]).expand(2, 3)
    images = composed(generator, generator.place(latents[0]), turns)[0]
    start = generator.place(latents[1])
    better = refine(generator, start, images, steps=6, turns=turns)
    assert (error(generator, better, turns, images) < error(generator, start, turns, images)).all()


@pytest.mark.parametrize(
    ('model', 'turns'), [(InSeGANConfig(), 5), (InSeGANConfig(composed_by='mean'), 2)]
)
def test_turns_that_cannot_be_are_refused(model: InSeGANConfig, turns: int) -> None:
    with pytest.raises(ValueError, match='turns'):
        InSeGANCard(model, CropConfig(0.1, 0.05), FilterConfig(), turns=turns)
