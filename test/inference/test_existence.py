"""Candidates that are no parts of their own: told apart, and given to the parts they belong to."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.distillation.clusters import Clusters, VoteSettings, candidates
from insegan_ros.distillation.network import OUTPUTS, NetworkConfig
from insegan_ros.inference.confidence import Confidence
from insegan_ros.inference.existence import Existence, are_own, existence_cues, fit_existence

CONFIG = NetworkConfig(part_length_m=0.04, part_thickness_m=0.02, pixel_m=0.002)
VOTES = VoteSettings()
CUES = 15


def truth() -> np.ndarray:
    """Two parts; of the first, one row is seen apart from the rest."""
    labels = np.zeros((48, 64), np.uint8)
    labels[4:20, 4:20], labels[22:26, 4:20], labels[4:20, 40:56] = 1, 1, 2
    return labels


def seen(rng: np.random.Generator, noise: float = 0.05) -> Clusters:
    """What a network says of it: the piece apart is unsure, and votes for a place of its own."""
    v, u = np.mgrid[:48, :64]
    piece = (truth() == 1) & (v > 20)
    output = np.zeros((OUTPUTS, 48, 64), np.float32)
    output[0] = np.where(truth() > 0, 5, -5)
    x = np.where(truth() == 2, 48, 12)
    y = np.where(piece, 24, 12)
    output[1], output[2] = (x - u) / CONFIG.unit_px, (y - v) / CONFIG.unit_px
    output[1:4] += rng.normal(0, noise, output[1:4].shape)
    output[4] = np.where(piece, 0, -2) + rng.normal(0, 0.1)
    output[5] = np.where(piece, -3, 3) + rng.normal(0, 0.1)
    return candidates(output, CONFIG, VOTES)


def test_the_rule_is_learned_from_true_labels_and_joins_the_piece_to_its_part() -> None:
    rng = np.random.default_rng(0)
    learned = fit_existence(((seen(rng), truth()) for _ in range(20)), own_iou=0.02)
    assert learned is not None
    clusters = seen(rng)
    assert len(clusters) == 3
    learned(clusters)
    assert len(clusters) == 2
    labels = clusters.labels
    assert labels[24, 10] == labels[10, 10] != labels[10, 48]


def test_a_candidate_is_in_doubt_beside_one_with_more_support() -> None:
    clusters = seen(np.random.default_rng(1))
    piece = int(clusters.centres[:, 1].argmax())
    cues = existence_cues(clusters)
    assert cues.shape == (3, CUES)
    assert np.isfinite(cues).all()
    apart = cues[:, 6]
    assert apart[piece] == pytest.approx(12 / CONFIG.length_px, abs=0.02)
    assert np.sort(apart)[1:].tolist() == pytest.approx([1.0, 1.0], abs=0.2)


def test_cues_do_not_depend_on_the_resolution() -> None:
    coarse = seen(np.random.default_rng(2), noise=0.0)
    votes = np.zeros((OUTPUTS, 96, 128), np.float32)
    fine_config = NetworkConfig(0.04, 0.02, pixel_m=0.001)
    v, u = np.mgrid[:96, :128]
    true = np.kron(truth(), np.ones((2, 2), np.uint8))
    piece = (true == 1) & (v > 40)
    votes[0] = np.where(true > 0, 5, -5)
    x, y = np.where(true == 2, 96, 24), np.where(piece, 48, 24)
    votes[1], votes[2] = (x - u) / fine_config.unit_px, (y - v) / fine_config.unit_px
    votes[4], votes[5] = np.where(piece, 0, -2), np.where(piece, -3, 3)
    fine = candidates(votes, fine_config, VOTES.at_pixels(4.0))
    a, b = (existence_cues(c)[np.argsort(c.centres @ [1, 2, 0])] for c in (coarse, fine))
    assert a == pytest.approx(b, abs=0.3)


def test_one_candidate_stays_whatever_is_thought_of_it() -> None:
    clusters = seen(np.random.default_rng(3))
    Existence(Confidence((0.0,) * CUES, -9.0))(clusters)
    assert len(clusters) == 1
    assert (clusters.labels > 0).sum() == (truth() > 0).sum()
    nothing = candidates(np.full((OUTPUTS, 16, 16), -5, np.float32), CONFIG, VOTES)
    Existence(Confidence((0.0,) * CUES, -9.0))(nothing)
    assert len(nothing) == 0
    assert fit_existence([(nothing, np.zeros((16, 16), np.uint8))], own_iou=0.02) is None


def test_two_pieces_of_a_part_do_not_both_own_it() -> None:
    labels = np.where(truth() > 0, truth(), 0).astype(int)
    labels[22:26, 4:20] = 3
    assert are_own(labels, truth(), 3, own_iou=0.02).tolist() == [True, True, False]
    assert are_own(labels, np.zeros_like(truth()), 3, own_iou=0.02).tolist() == [
        False,
        False,
        False,
    ]


def test_a_rule_of_an_earlier_version_reads_the_cues_it_was_learned_from() -> None:
    earlier = Existence(Confidence((0.0,) * 6 + (50.0,) + (0.0,) * 5, -40.0))  # all about `apart`
    clusters = seen(np.random.default_rng(1))
    earlier(clusters)
    assert len(clusters) == 2
