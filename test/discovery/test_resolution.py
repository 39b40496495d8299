"""Two halves that agree on coarse details only are known to be coarse."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from scipy import ndimage

from insegan_ros.discovery.resolution import resolution_m, shell_correlation


def solid(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(24, 24, 24)).astype(np.float32)


def test_equal_halves_agree_down_to_two_voxels() -> None:
    grid = solid(np.random.default_rng(0))
    curve = shell_correlation(grid, grid)
    assert np.allclose(curve, 1)
    assert np.isclose(resolution_m(curve, 0.06), 0.005)


def test_noise_of_their_own_hides_the_finer_details_of_both() -> None:
    rng = np.random.default_rng(0)
    coarse = 30 * ndimage.gaussian_filter(solid(rng), 2)  # details of some 8 voxels and more
    curve = shell_correlation(coarse + solid(rng), coarse + solid(rng))
    assert curve[0] > 0.95
    assert curve[-1] < 0.2
    assert 0.008 < resolution_m(curve, 0.06) < 0.03


def test_unlike_halves_agree_on_nothing() -> None:
    rng = np.random.default_rng(0)
    assert resolution_m(shell_correlation(solid(rng), solid(rng)), 0.06) >= 0.03


@pytest.mark.parametrize('curve', [np.ones(8), np.array([1.0, 0.9, 0.2, 0.1])])
def test_a_resolution_can_be_written_to_a_file(curve: np.ndarray) -> None:
    assert yaml.safe_load(yaml.safe_dump(resolution_m(curve, 0.06))) == resolution_m(curve, 0.06)
