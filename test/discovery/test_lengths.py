"""The part's length, and the pieces that show it from all sides."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.discovery.lengths import candidate_lengths, choose_pieces, likeliest_length
from insegan_ros.discovery.pieces import Piece


def piece(length_m: float, points: int = 400) -> Piece:
    return Piece(np.zeros((points, 3), np.float32), length_m, False, 0.0013)


def test_a_length_that_many_share_stands_out_of_clumps_and_fragments() -> None:
    rng = np.random.default_rng(0)
    lengths = np.concatenate(
        [rng.normal(0.056, 0.001, 100), rng.uniform(0.07, 0.13, 120), rng.uniform(0.01, 0.05, 60)]
    )
    pieces = [piece(float(v)) for v in lengths]
    assert likeliest_length(pieces) == pytest.approx(0.056, abs=0.002)
    assert likeliest_length(pieces) in candidate_lengths(pieces)
    chosen = choose_pieces(pieces, 0.056, 80, rng=rng)
    assert len(chosen) == 80
    assert max(p.length_m for p in chosen) < 0.064
    with pytest.raises(ValueError, match='more frames'):
        candidate_lengths(pieces[:5])


def test_rare_views_are_preferred() -> None:
    standing = [piece(0.05, 300) for _ in range(900)]
    flat = [piece(0.05, 1200) for _ in range(100)]
    chosen = choose_pieces(standing + flat, 0.05, 100, rng=np.random.default_rng(0))
    assert sum(len(p.points) == 1200 for p in chosen) > 30  # of 10 if drawn alike


def test_specks_of_noise_are_not_the_part() -> None:
    """Many alike, but all of them together are hardly anything beside what else is seen."""
    rng = np.random.default_rng(1)
    specks = [piece(float(v), 12) for v in rng.normal(0.012, 0.0002, 60)]
    parts = [piece(float(v), 1500) for v in rng.normal(0.07, 0.004, 60)]
    lengths = candidate_lengths(specks + parts)
    assert min(lengths) > 0.05
    assert likeliest_length(specks + parts) > 0.05
