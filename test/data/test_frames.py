"""Crops in memory, and how they are varied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from insegan_ros.data.frames import AugmentConfig, Frames, augmented, cached_crops

STILL = AugmentConfig(quarter_turns=False, flips=False)


def image() -> torch.Tensor:
    return torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_without_augmentation_images_stay_as_they_are() -> None:
    assert torch.allclose(augmented(image(), STILL, np.random.default_rng(0)), image(), atol=1e-6)


def test_quarter_turns_and_flips_move_pixels_and_change_none() -> None:
    config = AugmentConfig(quarter_turns=True, flips=True)
    original = image()
    expected = {
        tuple(torch.rot90(m, k, (2, 3)).flatten().tolist())
        for m in (original, original.flip(3))
        for k in range(4)
    }
    rng = np.random.default_rng(0)
    found = [augmented(original, config, rng) for _ in range(60)]
    seen = set()
    for one in found:
        near = [e for e in expected if torch.allclose(torch.tensor(e), one.flatten(), atol=1e-6)]
        assert len(near) == 1
        seen.add(near[0])
    assert len(seen) == 8


def test_what_turns_in_from_outside_is_floor() -> None:
    config = AugmentConfig(quarter_turns=False, rotation_degrees=45)
    full = torch.ones(64, 1, 16, 16)
    turned = augmented(full, config, np.random.default_rng(0))
    assert turned.min() == pytest.approx(-1, abs=1e-5)
    assert turned[:, :, 7:9, 7:9].min() == pytest.approx(1, abs=1e-5)


def test_a_batch_follows_from_its_generator_alone() -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (10, 16, 16)).astype(np.float16)
    frames = Frames(images, AugmentConfig(), 'cpu')
    a, b = (frames.batch(6, np.random.default_rng([3, 7])) for _ in range(2))
    assert torch.equal(a, b)
    assert a.shape == (6, 1, 16, 16)
    assert not torch.equal(a, frames.batch(6, np.random.default_rng([3, 8])))


def test_crops_are_made_once_and_again_when_they_are_others_or_damaged(tmp_path: Path) -> None:
    made = []

    def make() -> np.ndarray:
        made.append(1)
        return np.full((2, 4, 4), len(made), np.float16)

    cache = tmp_path / 'train.npz'
    assert cached_crops(cache, make, 'a').max() == 1
    assert cached_crops(cache, make, 'a').max() == 1
    assert cached_crops(cache, make, 'b').max() == 2
    cache.write_bytes(cache.read_bytes()[:100])
    assert cached_crops(cache, make, 'b').max() == 3
    cache.write_bytes(b'')
    assert cached_crops(cache, make, 'b').max() == 4


def test_images_are_turned_but_not_mirrored_unless_asked_for() -> None:
    """No template can look like a screw and like its mirror image."""
    original = image()
    expected = [torch.rot90(original, k, (2, 3)) for k in range(4)]
    rng = np.random.default_rng(0)
    for _ in range(40):
        one = augmented(original, AugmentConfig(), rng)
        assert any(torch.allclose(one, turned, atol=1e-6) for turned in expected)
