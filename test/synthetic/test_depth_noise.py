"""The family of depth cameras: what each of its faults does, and that it does nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from insegan_ros.synthetic.camera_presets import find_camera, preset_names
from insegan_ros.synthetic.depth_noise import DepthNoise, drawn, measure, varied
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(96, 96, 400.0, 400.0, 47.5, 47.5)
FAULTLESS = DepthNoise(
    sigma_m=0.0,
    baseline_m=0.0,
    waver_px=0.0,
    ramp_px=0.0,
    lost_px=0,
    flying=0.0,
    steepest=1e6,
    holes=0.0,
    depth_step_m=1e-5,
)


def block(height: float = 0.05) -> np.ndarray:
    """A floor half a metre away with a block on it."""
    depth = np.full((96, 96), 0.5, np.float32)
    depth[32:64, 32:64] -= np.float32(height)
    return depth


def seen(depth: np.ndarray, noise: DepthNoise, seed: int = 0) -> np.ndarray:
    return measure(depth, CAMERA, np.random.default_rng(seed), noise=noise)


def test_a_camera_without_faults_measures_the_truth() -> None:
    assert np.allclose(seen(block(), FAULTLESS), block(), atol=1e-5)


@pytest.mark.parametrize(('power', 'expected'), [(2.0, 4.0), (1.0, 2.0)])
def test_noise_grows_with_the_distance(power: float, expected: float) -> None:
    noise = replace(FAULTLESS, sigma_m=0.002, power=power)
    near, far = (
        np.std(seen(np.full((96, 96), z, np.float32), noise) - np.float32(z)) for z in (0.5, 1.0)
    )
    assert far / near == pytest.approx(expected, rel=0.02)
    assert far == pytest.approx(0.002, rel=0.35)


def test_waves_are_alike_over_their_width_and_grain_is_not() -> None:
    flat = np.full((96, 96), 0.5, np.float32)
    wavy, grainy = (
        seen(flat, replace(FAULTLESS, sigma_m=0.004, wave_px=6.0, grain=grain)) - flat
        for grain in (0.0, 1.0)
    )
    for errors, low, high in ((wavy, 0.8, 1.0), (grainy, -0.1, 0.1)):
        assert low < np.corrcoef(errors[:, 3:].ravel(), errors[:, :-3].ravel())[0, 1] < high


def test_low_steps_become_ramps_and_high_ones_are_lost() -> None:
    noise = replace(FAULTLESS, ramp_px=2.0, step_m=0.02, lost_px=1, lost_step_m=0.03)
    low, high = seen(block(0.01), noise), seen(block(0.05), noise)
    assert np.isfinite(low).all()
    assert 0.4925 < low[48, 32] < 0.4985  # between block and floor
    assert np.isnan(high[48, 30:34]).any()
    assert high[48, 48] == pytest.approx(0.45, abs=1e-4)


def test_near_surfaces_grow_in_places() -> None:
    grown = (seen(block(), replace(FAULTLESS, fatten_px=2)) < 0.47).sum()
    assert 32 * 32 < grown < 36 * 36


def test_steep_sides_are_missing() -> None:
    slope = np.tile(np.linspace(0.5, 0.4, 96, dtype=np.float32), (96, 1))
    # 1.05 mm a pixel of 1.1 mm: about 43 degrees
    assert np.isfinite(seen(slope, replace(FAULTLESS, steepest=10.0))).all()
    assert np.isnan(seen(slope, replace(FAULTLESS, steepest=0.4)))[8:-8, 8:-8].mean() > 0.6


def test_small_holes_are_filled_where_the_driver_does() -> None:
    noise = replace(FAULTLESS, holes=0.02, hole_px=1.0)
    open_, filled = seen(block(), noise), seen(block(), replace(noise, filled_px=6))
    assert 0.005 < np.isnan(open_).mean() < 0.05
    assert np.isnan(filled).mean() < 0.2 * np.isnan(open_).mean()


@pytest.mark.parametrize('name', preset_names())
def test_every_named_camera_sees_most_of_a_block(name: str) -> None:
    measured = seen(block(), find_camera(name).noise)
    assert np.isfinite(measured).mean() > 0.8
    assert np.nanmedian(np.abs(measured - block())) < 0.004


def test_drawn_cameras_differ_and_can_see_parts() -> None:
    rng = np.random.default_rng(0)
    cameras = [drawn(rng, 0.06, 0.5) for _ in range(30)]
    assert len({camera.sigma_m for camera in cameras}) == 30
    missing = [np.isnan(seen(block(0.03), camera)).mean() for camera in cameras]
    assert max(missing) < 0.6
    assert np.median(missing) < 0.15


@pytest.mark.parametrize('name', preset_names())
def test_cameras_of_one_kind_differ_and_stay_of_their_kind(name: str) -> None:
    preset = find_camera(name).noise
    rng = np.random.default_rng(0)
    cameras = [varied(preset, rng) for _ in range(50)]
    sigmas = np.array([camera.sigma_m for camera in cameras]) / preset.sigma_m
    assert 0.5 <= sigmas.min() < 0.8 < 1.25 < sigmas.max() <= 2.0
    assert {camera.power for camera in cameras} == {preset.power}
    assert all(0 <= camera.grain <= 1 and 0 <= camera.flying <= 1 for camera in cameras)
    assert len({camera.shadow_side for camera in cameras}) == 2
