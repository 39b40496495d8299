from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from insegan_ros.picks.symmetry import steadied, symmetries


def box(sides, count=1500):
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (count, 3))
    face = rng.integers(3, size=count)
    points[np.arange(count), face] = rng.choice([-0.5, 0.5], count)
    return points * sides


def test_a_box_of_three_sides_looks_alike_from_four_and_a_lopsided_one_from_one():
    assert len(symmetries(box([0.06, 0.04, 0.02]))) == 4
    lopsided = box([0.06, 0.04, 0.02])
    lopsided = np.concatenate([lopsided, box([0.02, 0.02, 0.02]) + [0.03, 0.02, 0.01]])
    assert len(symmetries(lopsided - lopsided.mean(axis=0))) == 1


def test_a_half_turn_that_shows_no_difference_is_taken_back():
    alike = symmetries(box([0.06, 0.04, 0.02]))
    before = Rotation.from_euler('xyz', [0.3, -0.2, 1.0]).as_matrix()
    turned = before @ Rotation.from_euler('z', np.pi + 0.02).as_matrix()
    steady = steadied(turned, before, alike)
    assert Rotation.from_matrix(before.T @ steady).magnitude() < 0.05
