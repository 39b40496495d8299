from __future__ import annotations

import numpy as np
import pytest
from scenes import CAMERA

from insegan_ros.camera import pixel_rays
from insegan_ros.picks.discs import fit_discs


def tilted(degrees, offset=0.4):
    """Depth of a plane through (0, 0, offset) that leans about y, and its normal."""
    angle = np.radians(degrees)
    normal = np.array([np.sin(angle), 0, -np.cos(angle)])
    depth = (normal[2] * offset) / (pixel_rays(CAMERA) @ normal)
    return depth.astype(np.float32), normal


@pytest.mark.parametrize('degrees', [0, 20, 45])
def test_a_plane_s_normal_is_found_at_every_pixel(degrees):
    depth, normal = tilted(degrees)
    fits = fit_discs(depth, np.ones(depth.shape, bool), CAMERA, radius_px=5)
    inner = np.s_[10:-10, 10:-10]
    assert np.abs(fits.normals[inner] @ normal - 1).max() < 1e-4
    assert fits.roughness_m[inner].max() < 1e-4
    np.testing.assert_allclose(fits.depth_m[inner], depth[inner], rtol=1e-3)


def test_roughness_is_the_standard_deviation_from_the_plane():
    depth, _ = tilted(15)
    noisy = depth + np.random.default_rng(0).normal(0, 0.001, depth.shape).astype(np.float32)
    fits = fit_discs(noisy, np.ones(depth.shape, bool), CAMERA, radius_px=7)
    assert np.median(fits.roughness_m[20:-20, 20:-20]) == pytest.approx(0.001, rel=0.1)


def test_shares_tell_the_instance_from_what_is_beside_it_and_from_holes():
    depth, _ = tilted(0)
    own = np.zeros(depth.shape, bool)
    own[:, :120] = True
    depth[:, 100:120] = np.nan
    fits = fit_discs(depth, own, CAMERA, radius_px=4)
    assert fits.own[90, 60] == pytest.approx(1)
    assert fits.foreign[90, 60] == pytest.approx(0)
    assert fits.own[90, 110] == pytest.approx(0)
    assert 0 < fits.foreign[90, 118] < 1
