"""The noise model: its statistics are those of a stereo camera."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from insegan_ros.depth_camera import D435, D435_NOISE, StereoNoise
from insegan_ros.synthetic.d435 import add_noise, occlusion_shadow

WINDOW = D435.crop(300, 150, 240, height=160)
WIDE = D435.crop(200, 80, 480, height=320)
F_B = np.float32(D435.fx * 0.050)
QUIET = StereoNoise(disparity_sigma=0.0, holes=0.0, flying=0.0, edge_sigma=0.0)


def flat(z: float) -> np.ndarray:
    return np.full((WINDOW.height, WINDOW.width), z, np.float32)


def step_edge(near: float, far: float) -> np.ndarray:
    """A near block in the middle of a far wall."""
    depth = flat(far)
    depth[40:120, 100:140] = near
    return depth


@pytest.mark.parametrize('z', [0.3, 0.5, 0.8, 1.5])
def test_axial_noise_is_z_squared_s_over_f_b(z: float) -> None:
    slope = np.linspace(-0.003, 0.003, WIDE.width, dtype=np.float32)  # across the rounding
    true = np.full((WIDE.height, WIDE.width), z, np.float32) + slope
    error = np.array(
        [
            add_noise(true, WIDE, np.random.default_rng(s), noise=D435_NOISE) - true
            for s in range(6)
        ]
    )
    sigma = float(z**2 * 0.08 / F_B)
    rounding = float(np.hypot(z**2 / F_B / 32, 0.001) / np.sqrt(12))  # of disparity, of depth
    assert float(np.nanstd(error)) == pytest.approx(np.hypot(sigma, rounding), rel=0.05)
    assert float(np.nanmean(error)) == pytest.approx(0, abs=0.1 * sigma)


def test_depth_comes_in_whole_millimetres_of_stepped_disparity() -> None:
    ramp = np.tile(np.linspace(0.5, 0.7, WINDOW.width, dtype=np.float32), (WINDOW.height, 1))
    measured = add_noise(ramp, WINDOW, np.random.default_rng(0), noise=QUIET)
    millimetres = measured[np.isfinite(measured)] * 1000
    np.testing.assert_allclose(millimetres, np.rint(millimetres), atol=1e-3)
    coarse = dataclasses.replace(QUIET, disparity_step=1.0, depth_step=1e-6)
    disparity = F_B / add_noise(ramp, WINDOW, np.random.default_rng(0), noise=coarse)
    disparity = disparity[np.isfinite(disparity)]
    np.testing.assert_allclose(disparity, np.rint(disparity), atol=2e-3)


@pytest.mark.parametrize(('near', 'far'), [(0.45, 0.6), (0.3, 0.6)])
@pytest.mark.parametrize('side', [-1, 1])
def test_shadow_is_as_wide_as_the_disparity_jump_and_on_one_side(
    near: float, far: float, side: int
) -> None:
    hidden = occlusion_shadow(step_edge(near, far), F_B, side)
    band = round(float(F_B * (1 / near - 1 / far)))
    row = np.flatnonzero(hidden[80])
    assert abs(len(row) - band) <= 1
    block = (99 if side < 0 else 140) - row
    assert set(np.sign(block)) <= {0, -side}
    assert not hidden[20].any()


def test_the_second_imager_misses_what_is_left_of_near_objects() -> None:
    measured = add_noise(step_edge(0.4, 0.6), WINDOW, np.random.default_rng(0), noise=QUIET)
    assert np.isnan(measured[80, 90:98]).all()
    assert np.isfinite(measured[80, 142:160]).all()


def test_flying_pixels_lie_between_the_sides_and_only_at_edges() -> None:
    noise = dataclasses.replace(QUIET, flying=1.0)
    depth = step_edge(0.5, 0.52)
    measured = add_noise(depth, WINDOW, np.random.default_rng(0), noise=noise)
    between = (measured > 0.503) & (measured < 0.517)
    v, u = np.nonzero(between)
    assert len(v) > 50
    distance = np.maximum.reduce([40 - v, v - 119, 100 - u, u - 139])  # < 0 inside the block
    assert (np.abs(distance) <= 2).all()


def test_edges_waver_by_half_a_pixel() -> None:
    noise = dataclasses.replace(QUIET, edge_sigma=0.5)
    depth = step_edge(0.5, 0.52)
    measured = add_noise(depth, WINDOW, np.random.default_rng(0), noise=noise)
    flipped = np.abs(measured - depth) > 0.015
    beside = flipped[45:115, [140, 139]]  # right of the block, where no shadow falls
    # a normal shift of 0.5 px rounds to the other side in 16 % of the cases
    assert beside.mean() == pytest.approx(0.16, abs=0.08)
    assert not flipped[45:115, 142:].any()
    assert not flipped[45:115, 102:138].any()


def test_a_plain_wall_has_few_holes_and_only_those_of_the_model() -> None:
    share = np.isnan(
        add_noise(flat(0.5), WINDOW, np.random.default_rng(1), noise=D435_NOISE)
    ).mean()
    assert 0 < share < 0.01
    assert not np.isnan(add_noise(flat(0.5), WINDOW, np.random.default_rng(1), noise=QUIET)).any()


def test_unmeasured_stays_unmeasured() -> None:
    depth = flat(0.5)
    depth[:30] = np.nan
    measured = add_noise(depth, WINDOW, np.random.default_rng(0), noise=D435_NOISE)
    assert np.isnan(measured[:30]).all()
    assert np.isfinite(measured[31:]).mean() > 0.95
    assert np.isnan(
        add_noise(flat(np.nan), WINDOW, np.random.default_rng(0), noise=D435_NOISE)
    ).all()


def test_noise_comes_from_the_generator_and_leaves_its_input_alone() -> None:
    depth = step_edge(0.5, 0.6)
    kept = depth.copy()
    first, other, again = (
        add_noise(depth, WINDOW, np.random.default_rng(s), noise=D435_NOISE) for s in (1, 2, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(depth, kept)
    assert first.dtype == np.float32
