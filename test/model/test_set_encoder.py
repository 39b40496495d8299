"""The set encoder: where instances show, which codes are theirs, and codes made better."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from insegan_ros.model import code
from insegan_ros.model.generator import Generator, GeneratorConfig
from insegan_ros.model.refine import mismatch, refine
from insegan_ros.model.set_encoder import STRIDE, SetEncoder, rotation
from insegan_ros.model.set_losses import appearance_loss, centre_loss, seen, template_loss
from insegan_ros.training.health import Health, examine

SMALL = GeneratorConfig(z_dim=8, template_channels=8, feature_channels=16)


def two_squares() -> torch.Tensor:
    """One scene of 64 px: a near square that covers the left half of a far one."""
    alone = torch.full((1, 2, 64, 64), -1.0)
    alone[0, 0, 20:36, 20:36] = 0.8
    alone[0, 1, 20:36, 28:44] = 0.2
    return alone


def test_an_instance_is_sought_where_its_visible_part_has_its_centre() -> None:
    found = seen(two_squares())
    side = 64 // STRIDE
    rows, columns = found.cells[0] // side * STRIDE, found.cells[0] % side * STRIDE
    assert rows.tolist() == pytest.approx([28, 28], abs=STRIDE)
    assert columns.tolist() == pytest.approx([28, 40], abs=STRIDE)
    assert found.asked.tolist() == [[1.0, 1.0]]
    hidden = two_squares()
    hidden[0, 1] = torch.where(hidden[0, 0] > 0, 0.2, -1.0)
    assert seen(hidden).asked.tolist() == [[1.0, 0.0]]


def test_losses_are_least_for_the_truth() -> None:
    alone = two_squares()
    found = seen(alone)
    right = torch.where(found.centres > 0, 8.0, -8.0)
    assert centre_loss(right, found) < 0.01 < centre_loss(right.roll(3, dims=1), found)
    assert appearance_loss(alone, alone, found.asked) == 0
    assert appearance_loss(alone, alone.roll(4, dims=3), found.asked) > 0.1


def test_codes_are_rigid_motions_near_their_cells_and_peaks_keep_apart() -> None:
    torch.manual_seed(0)
    encoder = SetEncoder(SMALL, 16)
    heat, features = encoder(torch.randn(2, 1, 64, 64))
    assert heat.shape == (2, 1024)
    codes = encoder.codes(features, torch.tensor([[0, 1023], [5, 70]])).unflatten(-1, (3, 4))
    turn = codes[..., :3]
    assert torch.allclose(turn @ turn.mT, torch.eye(3).expand_as(turn), atol=1e-5)
    heat = torch.full((1, 1024), -9.0)
    heat[0, [100, 101, 500]] = torch.tensor([3.0, 2.0, 1.0])
    assert encoder.peaks(heat, 2)[0].tolist() == [[100, 500]]
    assert torch.equal(rotation(torch.zeros(6)), torch.eye(3))


def test_an_encoder_names_the_template_of_each_instance() -> None:
    torch.manual_seed(0)
    encoder = SetEncoder(replace(SMALL, templates=2), 16)
    _, features = encoder(torch.randn(2, 1, 64, 64))
    cells = torch.tensor([[0, 1023], [5, 70]])
    codes, scores = encoder.codes_and_scores(features, cells)
    assert torch.equal(code.parted(codes)[1].argmax(dim=-1), scores.argmax(dim=-1))
    asked = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    right = 9 * code.parted(codes)[1].detach()
    assert template_loss(codes, right, asked) < 0.01 < template_loss(codes, -right, asked)
    hidden = torch.where(asked[..., None] > 0, right, -right)
    assert template_loss(codes, hidden, asked) < 0.01  # what is not seen cannot be named


def test_refinement_moves_an_instance_and_leaves_it_its_template() -> None:
    torch.manual_seed(0)
    small = replace(SMALL, templates=2, image_size=16, doublings=0)
    generator = Generator(small).requires_grad_(False)
    images = generator.render_both(generator.place(torch.randn(2, 3, 8)))[0]
    start = generator.place(torch.randn(2, 3, 8))
    refined = refine(generator, start, images, steps=3)
    assert torch.equal(generator.templates(refined), generator.templates(start))
    assert not torch.equal(code.parted(refined)[0], code.parted(start)[0])


def test_refined_codes_never_render_worse() -> None:
    torch.manual_seed(0)
    generator = Generator(SMALL).requires_grad_(False)
    true = generator.place(torch.randn(2, 3, 8))
    images = generator.render_both(true)[0]
    start = generator.place(torch.randn(2, 3, 8))

    def error(codes: torch.Tensor) -> torch.Tensor:
        return mismatch(generator.render_both(codes)[0], images)

    assert (error(refine(generator, start, images, steps=8)) < error(start)).all()
    assert torch.equal(refine(generator, start, images, steps=0), start)
    assert torch.allclose(refine(generator, true, images, steps=3), true)


def test_health_tells_parts_from_whole_scenes() -> None:
    parts = Health(single=1.3, influence=1.2, agreement=0.95, spread=0.4, area=1.0)
    scenes = Health(single=4.8, influence=0.2, agreement=0.9, spread=0.1, area=1.0)
    assert parts.separated
    assert not parts.whole_scenes
    assert scenes.whole_scenes
    assert 'parts are separated' in parts.verdict()
    assert 'single instances cover 4.80 times the scene' in scenes.verdict()
    assert 'they are alike' in replace(parts, templates=0.1).verdict()


def test_health_tells_templates_from_each_other() -> None:
    torch.manual_seed(0)
    coarse, real = replace(SMALL, image_size=16, doublings=0), torch.zeros(1, 16, 16)
    generator = Generator(replace(coarse, templates=2))
    assert examine(generator, real, 3, z_dim=8).templates > 0
    with torch.no_grad():
        generator.instance.template[1] = generator.instance.template[0]
    assert examine(generator, real, 3, z_dim=8).templates == 0
    assert 'templates' not in examine(Generator(coarse), real, 3, z_dim=8).signs
