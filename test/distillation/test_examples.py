"""Examples of the network: turned targets still point at their centres."""

from __future__ import annotations

import numpy as np
from bricks import CONFIG

from insegan_ros.distillation.examples import turned_example


def test_turned_targets_point_at_the_centres_they_pointed_at() -> None:
    """Whatever the turn, votes from all pixels of an instance meet in one point of it."""
    target = np.zeros((6, 32, 32), np.float32)
    v, u = np.mgrid[:32, :32]
    target[0, 4:12, 16:30] = 1
    target[1], target[2] = (20 - u) / CONFIG.unit_px, (6 - v) / CONFIG.unit_px
    image = target[:2].copy()
    image[0] = (u == 20) & (v == 6)  # marks the centre
    for seed in range(20):
        marked, votes = turned_example(image, target, np.random.default_rng(seed))
        y, x = np.argwhere(marked[0])[0]
        inside = votes[0] > 0
        assert np.allclose((u + votes[1] * CONFIG.unit_px)[inside], x, atol=1e-4)
        assert np.allclose((v + votes[2] * CONFIG.unit_px)[inside], y, atol=1e-4)


def test_all_eight_flips_and_quarter_turns_are_taught() -> None:
    image = np.zeros((2, 8, 8), np.float32)
    image[0, 1, 2:6] = image[0, 2, 2] = 1  # an L: no turn of it is its mirror image
    target = np.zeros((6, 8, 8), np.float32)
    seen = {
        turned_example(image, target, np.random.default_rng(k))[0].tobytes() for k in range(80)
    }
    assert len(seen) == 8
