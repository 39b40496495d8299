"""Piles depend on their seed alone, and lie where the camera sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bricks import brick_piles

from insegan_ros.distillation.piles import store_piles


def test_a_pile_depends_on_its_seed_alone() -> None:
    maker = brick_piles(4)
    first, again, other = maker((3, 1)), maker((3, 1)), maker((3, 2))
    assert np.array_equal(first.frame.depth_m, again.frame.depth_m, equal_nan=True)
    assert (first.labels == again.labels).all()
    assert (first.frame.depth_m != other.frame.depth_m).any()


def test_stored_piles_are_not_made_again(tmp_path: Path) -> None:
    assert list(store_piles(brick_piles(2), tmp_path, seed=0, workers=1)) == [1, 2]
    assert list(store_piles(brick_piles(2), tmp_path, seed=0, workers=1)) == []
    assert list(store_piles(brick_piles(3), tmp_path, seed=0, workers=1)) == [3]


def test_a_pile_has_its_parts_inside_the_window_and_above_the_floor() -> None:
    pile = brick_piles(4)((0, 5))
    assert 2 <= len(pile.poses) <= 3
    heights = pile.record['floor'][3] - pile.poses[:, 2, 3]
    assert (heights > 0.005).all()
    assert (np.unique(pile.labels)[1:] <= len(pile.poses)).all()


def test_piles_vary_what_is_not_known_of_the_template() -> None:
    maker = brick_piles(1)
    parts = [
        maker.shapes[0].varied(maker.config, np.random.default_rng(seed)) for seed in range(20)
    ]
    sizes = np.stack([part.mesh.extents for part in parts]) / [0.04, 0.025, 0.015]
    assert (np.abs(sizes - 1) < 0.15).all()
    assert np.ptp(sizes[:, 2] / sizes[:, 0]) > 0.02  # thinner and thicker, not just larger
    for part in parts:  # what collides is what is seen
        np.testing.assert_allclose(part.convex_pieces[0].extents, part.mesh.extents, rtol=1e-6)
