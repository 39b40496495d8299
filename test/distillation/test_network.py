"""Votes become instances, and a network can learn to cast them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from insegan_ros.distillation.network import (
    OUTPUTS,
    STRIDE,
    NetworkConfig,
    VoteNetwork,
    VoteSettings,
    find_instances,
    network_input,
)

CONFIG = NetworkConfig(part_length_m=0.04, part_thickness_m=0.02, pixel_m=0.002)
VOTES = VoteSettings()


def ideal_votes(labels: np.ndarray, centres: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a network that knows the truth would say, with some noise."""
    output = np.zeros((OUTPUTS, *labels.shape), np.float32)
    v, u = np.mgrid[: labels.shape[0], : labels.shape[1]]
    own = np.concatenate([[[0, 0, 0]], centres])[labels]  # (H, W, 3)
    output[0] = np.where(labels > 0, 5, -5)
    output[1] = (own[..., 0] - u) / CONFIG.unit_px
    output[2] = (own[..., 1] - v) / CONFIG.unit_px
    output[3] = own[..., 2] / CONFIG.pixel_m / CONFIG.unit_px
    output[1:4] += rng.normal(0, 0.1, output[1:4].shape)
    output[4] = -2
    return output


def discs(centres: list[tuple[int, int]], radius: int = 10, side: int = 64) -> np.ndarray:
    v, u = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int64)
    for k, (x, y) in enumerate(centres, 1):
        labels[(u - x) ** 2 + (v - y) ** 2 <= radius**2] = k
    return labels


def test_votes_tell_touching_discs_apart() -> None:
    places = [(16, 20), (36, 20), (26, 38)]
    labels = discs(places)
    centres = np.array([[x, y, 0.01] for x, y in places])
    found = find_instances(ideal_votes(labels, centres, np.random.default_rng(0)), CONFIG, VOTES)
    assert len(found.centres) == 3
    for k in (1, 2, 3):
        own = np.bincount(found.labels[labels == k]).argmax()
        assert ((found.labels == own) == (labels == k)).all()


def test_votes_tell_a_part_from_the_one_below_it() -> None:
    labels = discs([(32, 32)], radius=16)
    labels[discs([(32, 32)], radius=9) > 0] = 2
    centres = np.array([[32, 32, 0.01], [32, 32, 0.03]])
    found = find_instances(ideal_votes(labels, centres, np.random.default_rng(1)), CONFIG, VOTES)
    assert len(found.centres) == 2
    assert np.allclose(np.sort(found.centres[:, 2]), [0.01, 0.03], atol=0.003)


def test_concurring_votes_score_higher() -> None:
    rng = np.random.default_rng(2)
    labels = discs([(16, 20), (46, 40)])
    output = ideal_votes(labels, np.array([[16, 20, 0.01], [46, 40, 0.01]]), rng)
    output[1:4, labels == 2] += rng.normal(0, 0.4, (3, (labels == 2).sum()))
    found = find_instances(output, CONFIG, VOTES)
    steady, scattered = (found.labels[20, 16] - 1, found.labels[40, 46] - 1)
    assert found.agreement[steady] > found.agreement[scattered]


def test_nothing_is_found_where_no_pixel_shows_a_part() -> None:
    output = np.full((OUTPUTS, 32, 48), -5, np.float32)
    found = find_instances(output, CONFIG, VOTES)
    assert found.labels.shape == (32, 48)
    assert not found.labels.any()
    assert len(found.centres) == len(found.agreement) == len(found.visible) == 0


@pytest.mark.parametrize('size', [(STRIDE, STRIDE), (48, 80)])
def test_the_network_answers_at_the_size_of_its_input(size: tuple[int, int]) -> None:
    network = VoteNetwork(CONFIG).eval()
    heights = np.zeros(size, np.float32)
    output = network(torch.from_numpy(network_input(heights, CONFIG))[None])
    assert output.shape == (1, OUTPUTS, *size)


def test_unmeasured_pixels_are_marked_and_finite() -> None:
    heights = np.array([[0.02, np.nan]], np.float32)
    image = network_input(heights, CONFIG)
    assert image[:, 0, 0].tolist() == pytest.approx([0.5, 1.0])
    assert image[:, 0, 1].tolist() == [0.0, 0.0]
