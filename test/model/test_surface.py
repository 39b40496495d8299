"""Surfaces as points, seen by a camera."""

from __future__ import annotations

import numpy as np

from insegan_ros.model.surface import depth_of


def test_a_sloping_surface_is_as_far_as_the_middle_of_its_pixels() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 4, (4000, 2))
    depth = 0.5 + 0.01 * places[:, 1]  # 10 mm a pixel
    image = depth_of(np.floor(places).astype(int), depth, (4, 4), behind=0.02)
    np.testing.assert_allclose(
        image, np.tile(0.5 + 0.01 * (np.arange(4) + 0.5), (4, 1)), atol=1e-3
    )


def test_what_lies_behind_the_nearest_surface_is_hidden() -> None:
    index = np.array([[0, 0], [0, 0], [0, 1]])
    image = depth_of(index, np.array([0.5, 0.6, 0.7]), (1, 3), behind=0.02)
    np.testing.assert_allclose(image, [[0.5, 0.7, np.inf]])


def test_points_outside_the_image_are_left_out() -> None:
    index = np.array([[-1, 0], [0, 5], [0, 0]])
    assert depth_of(index, np.array([0.1, 0.1, 0.4]), (1, 2), behind=0.01)[0, 0] == 0.4
