"""InSeGAN at inference: who is nearest, where a part ends, and the way back to the frame."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from insegan_ros import config
from insegan_ros.camera import Plane
from insegan_ros.crop import BinCrop, CropConfig
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import (
    Decomposition,
    FilterConfig,
    InSeGANCard,
    InSeGANNetworks,
    InSeGANSegmenter,
    choose_threshold,
    nearest,
)
from insegan_ros.model.insegan import InSeGANConfig
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(120, 100, 200.0, 200.0, 59.5, 49.5)
BIN = Bin(Plane((0.0, 0.0, -1.0), 0.5), (10, 0, 100, 100))
SIZES = {
    'z_dim': 8,
    'template_channels': 8,
    'feature_channels': 16,
    'encoder_channels': 16,
}
TINY = InSeGANConfig(**SIZES, instances=3)
CARD = InSeGANCard(TINY, CropConfig(0.24, 0.05), FilterConfig(-0.5))


def frame() -> DepthFrame:
    """Two blocks, 20 and 30 mm high, that touch."""
    depth = np.full((100, 120), 0.5, np.float32)
    depth[30:60, 30:60] = 0.48
    depth[30:60, 60:90] = 0.47
    return DepthFrame(depth, CAMERA)


def as_stored(networks: InSeGANNetworks) -> InSeGANNetworks:
    """Models are stored in half precision."""
    networks.load_state_dict({k: v.half().float() for k, v in networks.state_dict().items()})
    return networks


class Knows(InSeGANNetworks):
    """In place of trained weights: renders the two blocks, each alone, and an empty instance."""

    def decompose(
        self, images: Tensor, refine_steps: int = 0, until: float = 0, *, turns: int = 1
    ) -> Decomposition:
        column = torch.arange(64)[None, None]
        left = torch.where(column < 32, images[:, 0], -1.0)
        right = torch.where(column >= 32, images[:, 0], -1.0)
        both = torch.stack([left, torch.full_like(left, -1.0), right], dim=1)
        return Decomposition(both, images[:, 0], torch.tensor([[1, 1, 2]]))


def test_instances_become_masks_depths_and_scores_at_native_pixels() -> None:
    torch.manual_seed(0)
    found = InSeGANSegmenter(Knows(TINY), CARD, BIN).segment(frame())
    assert found.count == 2
    true = np.zeros((100, 120), int)
    true[30:60, 30:60], true[30:60, 60:90] = 1, 2
    for k in (1, 2):
        ids, counts = np.unique(found.labels[true == k], return_counts=True)
        assert counts.max() > 0.93 * 900
        instance = int(ids[counts.argmax()])
        depth = found.depths[instance - 1][true == k]
        assert np.nanmedian(depth) == pytest.approx({1: 0.48, 2: 0.47}[k], abs=0.0015)
    assert (found.labels[true == 0] > 0).mean() < 0.02
    assert (found.scores > 0.7).all()
    assert (found.visible_fraction > 0.9).all()
    assert np.nanmedian(np.abs(found.rendered_depth - frame().depth_m)) < 0.0015


def test_each_instance_is_of_the_class_of_its_template() -> None:
    torch.manual_seed(0)
    assert InSeGANSegmenter(Knows(TINY), CARD, BIN).segment(frame()).kinds is None
    two = replace(TINY, templates=2)
    found = InSeGANSegmenter(Knows(two), replace(CARD, model=two), BIN).segment(frame())
    assert (found.classes[35:55, 35:55] == 1).all()
    assert (found.classes[35:55, 65:85] == 2).all()


def test_untrained_weights_keep_the_promises_of_a_segmentation() -> None:
    torch.manual_seed(0)
    found = InSeGANSegmenter(InSeGANNetworks(TINY), CARD, BIN).segment(frame())
    n = found.count
    assert found.labels.shape == (100, 120)
    assert found.masks.shape == found.depths.shape == (n, 100, 120)
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.visible_fraction >= 0) & (found.visible_fraction <= 1)).all()
    for k, mask in enumerate(found.masks, 1):
        assert (mask == (found.labels == k)).all()


def test_codes_are_refined_until_the_time_of_the_whole_answer_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[float] = []

    def refine(_: object, codes: Tensor, *__: object, until: float, **___: object) -> Tensor:
        ends.append(until)
        return codes

    monkeypatch.setattr(insegan, 'refine', refine)
    segmenter = InSeGANSegmenter(InSeGANNetworks(TINY), replace(CARD, refine_steps=2), BIN)
    begun = time.monotonic()
    segmenter.segment(frame(), answer_seconds=0.0)
    assert not ends
    monkeypatch.setattr(segmenter, '_tracker', lambda _: time.sleep(0.05) or BIN)
    segmenter.segment(frame(), answer_seconds=60.0)
    assert begun + 60 < ends[0] < time.monotonic() + 60 - 0.05


def test_the_nearest_rendering_owns_a_pixel_and_nobody_owns_the_floor() -> None:
    images = np.array([[[-1.0, 0.2, 0.1]], [[-0.95, 0.1, 0.3]]], np.float32)
    assert nearest(images, -0.9).tolist() == [[0, 1, 2]]


def test_the_threshold_is_found_without_labels() -> None:
    """Renderings with a halo of -0.6 around parts of 0.1: the halo is cut off."""
    rng = np.random.default_rng(0)
    crops = np.full((6, 64, 64), -1.0, np.float32)
    alone = np.full((6, 2, 64, 64), -0.8, np.float32)
    for image, pair in zip(crops, alone):
        for one in pair:
            x, y = rng.integers(8, 40, 2)
            one[y - 4 : y + 18, x - 4 : x + 18] = -0.6
            one[y : y + 14, x : x + 14] = 0.1
            image[y : y + 14, x : x + 14] = 0.1
    assert -0.6 <= choose_threshold(alone, crops, FilterConfig(median=1)) < 0.1


@pytest.mark.parametrize('method', ['insegan3d', 'insegan2d'])
def test_a_saved_model_segments_as_the_one_in_memory(tmp_path: Path, method: str) -> None:
    torch.manual_seed(0)
    model = InSeGANConfig(**SIZES, kind=method[-2:], instances=3)
    card = InSeGANCard(model, CARD.crop, CARD.filters, refine_steps=2, turns=4)
    networks = as_stored(InSeGANNetworks(model))
    settings = config.plain(card)
    model_card.save_model(
        tmp_path, {'method': method, 'settings': settings}, networks.state_dict()
    )
    loaded = model_card.load_segmenter(str(tmp_path), parts_bin=BIN)
    expected = InSeGANSegmenter(networks, card, BIN).segment(frame())
    assert (loaded.segment(frame()).labels == expected.labels).all()


def test_weights_of_other_sizes_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    other = InSeGANConfig(**{**SIZES, 'z_dim': 9}, instances=3)
    card = {'method': 'insegan3d', 'settings': config.plain(CARD)}
    model_card.save_model(tmp_path, card, InSeGANNetworks(other).state_dict())
    with pytest.raises(model_card.ModelError, match='size mismatch'):
        model_card.load_segmenter(str(tmp_path))
    weights = tmp_path / model_card.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(model_card.ModelError, match='cannot be loaded'):
        model_card.load_segmenter(str(tmp_path))


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'filters': {'threshold': float('nan')}}, 'filters.threshold nan'),
        ({'crop': {**asdict(CARD.crop), 'size': 32}}, 'crop.size 32 and model.image_size 64'),
    ],
)
def test_a_card_that_fits_no_model_is_refused_with_what_is_wrong(
    tmp_path: Path, change: dict, said: str
) -> None:
    card = {'method': 'insegan3d', 'settings': config.plain(CARD) | change}
    model_card.save_model(tmp_path, card, InSeGANNetworks(TINY).state_dict())
    with pytest.raises(model_card.ModelError, match=said):
        model_card.load_segmenter(str(tmp_path))
    (tmp_path / model_card.CARD).write_text('method: insegan3d')
    with pytest.raises(model_card.ModelError, match="it lacks 'settings'"):
        model_card.load_segmenter(str(tmp_path))


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    networks = InSeGANNetworks(TINY)
    torch.nn.init.constant_(next(networks.parameters()), torch.nan)
    card = {'method': 'insegan3d', 'settings': config.plain(CARD)}
    model_card.save_model(tmp_path, card, networks.state_dict())
    with pytest.raises(model_card.ModelError, match='is no number'):
        model_card.load_segmenter(str(tmp_path))


def test_a_measured_pixel_goes_to_the_rendering_that_comes_closest() -> None:
    images = np.array(
        [[[0.9, 0.3, -1.0, -0.9, -1.0]], [[0.2, -1.0, -1.0, -0.99, 0.5]]], np.float32
    )
    measured = np.array([[0.25, 0.3, 0.4, 0.4, -1.0]])
    # nearest to the camera is not nearest to what was measured; none is rendered, twice; floor
    labels = insegan.closest_to_measured(images, measured, -0.45)
    assert labels.tolist() == [[2, 1, 0, 0, 0]]
    assert insegan.filled(labels, measured > -1).tolist() == [[2, 1, 1, 1, 0]]


def test_an_uncovered_pixel_of_a_part_goes_to_the_nearest_instance_and_the_floor_to_none() -> None:
    labels = np.array([[0, 0, 3, 0, 0, 0, 0, 7]], np.int32)
    part = np.array([[1, 1, 1, 1, 0, 1, 1, 1]], bool)
    assert insegan.filled(labels, part).tolist() == [[3, 3, 3, 3, 0, 7, 7, 7]]
    assert insegan.filled(0 * labels, part).tolist() == [[0] * 8]  # nobody to give it to


def test_the_crop_of_a_known_scene_is_what_the_networks_see() -> None:
    image = BinCrop.of(frame(), BIN, CARD.crop).image
    assert image[24:34, 20:28] == pytest.approx(-0.2, abs=0.01)  # 20 of 50 mm
    assert image[24:34, 36:44] == pytest.approx(0.2, abs=0.01)
    assert (image[:12] == -1).all()
