from __future__ import annotations

import numpy as np
import pytest
from scenes import CAMERA

from insegan_ros.camera import pixel_rays
from insegan_ros.picks.discs import DiscFitter


def tilted(degrees, offset=0.4):
    """Depth of a plane through (0, 0, offset) that leans about y, and its normal."""
    angle = np.radians(degrees)
    normal = np.array([np.sin(angle), 0, -np.cos(angle)])
    depth = (normal[2] * offset) / (pixel_rays(CAMERA) @ normal)
    return depth.astype(np.float32), normal


def inner(depth, margin):
    """Rows and columns of every third pixel that is so far from the image's edge."""
    rows, columns = np.mgrid[
        margin : depth.shape[0] - margin : 3, margin : depth.shape[1] - margin : 3
    ]
    return rows.ravel(), columns.ravel()


@pytest.mark.parametrize('degrees', [0, 20, 45])
def test_a_plane_s_normal_is_found_under_discs_of_every_radius(degrees):
    depth, normal = tilted(degrees)
    at = inner(depth, 12)
    fits = DiscFitter(depth, np.ones(depth.shape, bool), CAMERA).fit(*at, 1.5, 4, 10)
    assert fits.normals.shape == (3, len(at[0]), 3)
    assert np.abs(fits.normals[1:] @ normal - 1).max() < 1e-4
    assert np.abs(fits.normals[0] @ normal - 1).max() < 1e-3  # nine pixels, as floats round
    assert fits.roughness_m.max() < 1e-4
    np.testing.assert_allclose(fits.depth_m, np.broadcast_to(depth[at], (3, len(at[0]))), 1e-3)


@pytest.mark.parametrize('radius', [1.5, 3.2, 4.9, 8.0])
def test_a_fit_is_that_of_least_squares_on_the_disc_s_pixels(radius):
    rng = np.random.default_rng(0)
    depth, _ = tilted(25)
    depth += rng.normal(0, 0.001, depth.shape).astype(np.float32)
    own = rng.random(depth.shape) < 0.8
    row, column = 90, 100
    fits = DiscFitter(depth, own, CAMERA).fit(np.array([row]), np.array([column]), radius)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    if radius > 5:
        half = round((np.sqrt(np.pi) * radius - 1) / 2)
        disc = (np.abs(v - row) <= half) & (np.abs(u - column) <= half)
    else:
        disc = (v - row) ** 2 + (u - column) ** 2 <= radius**2
    used = disc & own
    x = np.stack([u[used] - column, v[used] - row, np.ones(used.sum())], axis=1)
    plane = np.linalg.lstsq(x, 1 / depth[used].astype(float), rcond=None)[0]
    assert fits.depth_m[0, 0] == pytest.approx(1 / plane[2], rel=1e-6)
    assert fits.own[0, 0] == pytest.approx(used.sum() / disc.sum())
    error = (1 / depth[used] - x @ plane).std()
    assert fits.roughness_m[0, 0] == pytest.approx(error / plane[2] ** 2, rel=1e-3)


def test_roughness_is_the_standard_deviation_from_the_plane():
    depth, _ = tilted(15)
    noisy = depth + np.random.default_rng(0).normal(0, 0.001, depth.shape).astype(np.float32)
    fits = DiscFitter(noisy, np.ones(depth.shape, bool), CAMERA).fit(*inner(depth, 20), 7)
    assert np.median(fits.roughness_m) == pytest.approx(0.001, rel=0.1)


def test_shares_tell_the_instance_from_what_is_beside_it_and_from_holes():
    depth, _ = tilted(0)
    own = np.zeros(depth.shape, bool)
    own[:, :120] = True
    depth[:, 100:120] = np.nan
    rows, columns = np.array([90, 90, 90]), np.array([60, 110, 118])
    mine, foreign = DiscFitter(depth, own, CAMERA).shares(rows, columns, 4)
    assert mine[:2].tolist() == pytest.approx([1, 0])
    assert foreign[0] == pytest.approx(0)
    assert 0 < foreign[2] < 1
