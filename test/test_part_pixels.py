"""Which pixels of a frame show parts, given where the bin is: by its height, window and walls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flat_frame import FLOOR, flat

from insegan_ros.camera import Plane, pixel_rays
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.parts_bin import (
    LEAST_NOISE,
    NOISE_STRIDE,
    Bin,
    PartLimits,
    foreground,
    load_bin,
    lowest_part,
    save_bin,
)

LIMITS = PartLimits()
SQUARE = ((-0.03, -0.02, 0.5), (0.05, -0.02, 0.5), (0.05, 0.04, 0.5), (-0.03, 0.04, 0.5))


def measured(below_m: float) -> np.ndarray:
    """(60, 80) heights of which the noise is all so far below the floor, and parts above it."""
    heights = np.full((60, 80), 0.03)
    heights[:45] = -below_m
    heights[:45, 60:] = -0.05  # flying pixels
    heights[:2] = np.nan
    return heights


@pytest.mark.parametrize(
    ('below_m', 'expected_m'),
    [
        (0.0001, LIMITS.least_height_m),
        (0.0005, LIMITS.usual_sigma * 1.4826 * 0.0005),
        (0.0008, LIMITS.usual_height_m),
        (0.0020, LIMITS.least_sigma * 1.4826 * 0.0020),
    ],
)
def test_the_lowest_part_is_above_the_noise_that_is_seen_under_the_floor(
    below_m: float, expected_m: float
) -> None:
    lowest = lowest_part(flat(0.5), Bin(FLOOR), measured(below_m))
    assert lowest == pytest.approx(expected_m, rel=1e-6)


@pytest.mark.parametrize('distance', [0.5, 1.5])
def test_where_too_few_points_show_the_noise_it_is_a_d435s(distance: float) -> None:
    frame = flat(distance)
    heights = np.full((60, 80), 0.03)
    seen = heights[::NOISE_STRIDE, ::NOISE_STRIDE].ravel()
    parts_bin = Bin(Plane((0.0, 0.0, -1.0), distance))
    sigma = float(D435_NOISE.depth_sigma(np.array(distance), frame.intrinsics))
    usual = min(LIMITS.usual_height_m, LIMITS.usual_sigma * sigma)
    expected = max(LIMITS.least_height_m, usual, LIMITS.least_sigma * sigma)
    for count, lowest in ((LEAST_NOISE - 1, expected), (LEAST_NOISE, LIMITS.least_height_m)):
        seen[:count], seen[count:] = -1e-4, 0.03
        heights[::NOISE_STRIDE, ::NOISE_STRIDE] = seen.reshape(20, 27)
        heights[1::NOISE_STRIDE] = -0.002  # between the pixels that are looked at
        assert lowest_part(frame, parts_bin, heights) == pytest.approx(lowest)


def test_a_part_is_what_is_higher_inside_the_window_and_measured() -> None:
    frame = flat(0.49)
    frame.depth_m[:, 60:] = frame.depth_m[20:30] = 0.5
    frame.depth_m[12, 25] = np.nan
    seen = foreground(frame, Bin(FLOOR, (20, 10, 30, 40)))
    expected = np.zeros((60, 80), bool)
    expected[10:50, 20:50] = True
    expected[20:30] = expected[12, 25] = False
    assert np.array_equal(seen, expected)


@pytest.mark.parametrize('height_m', [0.005, 0.1])
@pytest.mark.parametrize('distance', [0.1, 0.5])  # near, pixels are finer than the margin
@pytest.mark.parametrize('order', [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1)])
def test_a_part_lies_inside_each_wall_by_a_margin_that_grows_with_its_height(
    height_m: float, distance: float, order: tuple[int, ...]
) -> None:
    shrink = distance / 0.5
    corners = np.array([SQUARE[k] for k in order]) * shrink
    height_m *= shrink
    frame = flat(distance - height_m)
    parts_bin = Bin(Plane((0.0, 0.0, -1.0), distance), None, tuple(map(tuple, corners.tolist())))
    beside = min(LIMITS.wall_margin_m, LIMITS.wall_margin_px * distance / frame.intrinsics.fx)
    margin = beside + LIMITS.wall_lean * height_m
    x, y = (pixel_rays(frame.intrinsics)[..., k] * frame.depth_m for k in (0, 1))
    expected = (x > -0.03 * shrink + margin) & (x < 0.05 * shrink - margin)
    expected &= (y > -0.02 * shrink + margin) & (y < 0.04 * shrink - margin)
    frame.depth_m[25:30] = distance
    expected[25:30] = False
    assert 0 < expected.sum() < expected.size
    quiet = replace(LIMITS, least_height_m=height_m / 2, usual_sigma=0.0, least_sigma=0.0)
    assert np.array_equal(foreground(frame, replace(parts_bin, limits=quiet)), expected)


def test_walls_that_open_leave_more_room_higher_up() -> None:
    opening = (0.1, 0.2, 0.3, 0.4)  # of the walls at the least y, the most x, the most y, ...
    frame = flat(0.4)
    parts_bin = Bin(FLOOR, None, SQUARE, opening=opening)
    x, y = (pixel_rays(frame.intrinsics)[..., k] * 0.4 for k in (0, 1))
    beside = min(LIMITS.wall_margin_m, LIMITS.wall_margin_px * 0.5 / frame.intrinsics.fx)
    near, right, far, left = (beside + 0.1 * (LIMITS.wall_lean - by) for by in opening)
    expected = (x > -0.03 + left) & (x < 0.05 - right) & (y > -0.02 + near) & (y < 0.04 - far)
    assert np.array_equal(foreground(frame, parts_bin), expected)


def test_a_window_within_another_is_what_both_share() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        masks = np.zeros((2, 40, 40), bool)
        windows = []
        for mask in masks:
            (x, y), (width, height) = rng.integers(0, 18, 2), rng.integers(20, 23, 2)
            mask[y : y + height, x : x + width] = True
            windows.append((int(x), int(y), int(width), int(height)))
        region = Bin(FLOOR, windows[0]).within(windows[1]).region
        assert region is not None
        x, y, width, height = region
        both = np.zeros((40, 40), bool)
        both[y : y + height, x : x + width] = True
        assert np.array_equal(both, masks[0] & masks[1])
    assert Bin(FLOOR, (0, 0, 5, 5)).within((9, 9, 5, 5)).region == (9, 9, 1, 1)  # never empty
    assert Bin(FLOOR, (1, 2, 3, 4)).within(None).region == (1, 2, 3, 4)
    assert Bin(FLOOR).within((1, 2, 3, 4)).region == (1, 2, 3, 4)


def test_a_bin_says_in_words_where_it_is() -> None:
    tilted = Plane((0.0, 0.5, -float(np.sqrt(0.75))), 0.5)
    words = Bin(tilted, (1, 2, 3, 4), SQUARE).in_words
    assert '0.500 m' in words
    assert 'tilted 30.0 degrees' in words
    assert '(1, 2, 3, 4) px' in words
    assert '80 x 60 mm' in words
    assert 'no walls were found' in Bin(FLOOR).in_words


@pytest.mark.parametrize('length_m', [0.0009, 2.1])
def test_a_part_of_no_possible_length_is_refused(length_m: float) -> None:
    with pytest.raises(ValueError, match=f'part_length_m is {length_m}; 0.001 to 2 metres'):
        Bin(FLOOR, part_length_m=length_m)
    for possible in (0.001, 2.0):
        assert Bin(FLOOR, part_length_m=possible).part_length_m == possible


def test_a_bin_is_read_as_it_was_stored(tmp_path: Path) -> None:
    limits = replace(LIMITS, wall_lean=0.1)
    stored = Bin(FLOOR, (1, 2, 3, 4), SQUARE, limits, (0.0, 0.1, 0.2, 0.3), 0.04)
    save_bin(tmp_path / 'bin.yaml', stored)
    assert load_bin(tmp_path / 'bin.yaml') == stored
