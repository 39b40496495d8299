"""Only frames that teach something new are stored."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.camera import Plane
from insegan_ros.collection.quality import Gates, changed_fraction, rearranged_fraction, rejection
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(20, 10, 30.0, 30.0, 10.0, 5.0)
FLOOR = Plane((0.0, 0.0, -1.0), 0.5)


def frame(depth_m: np.ndarray) -> DepthFrame:
    return DepthFrame(depth_m.astype(np.float32), CAMERA)


def bin_with_part(column: int) -> np.ndarray:
    depth = np.full((10, 20), 0.5, np.float32)
    depth[2:8, column : column + 4] = 0.46
    return depth


def test_a_new_scene_is_stored() -> None:
    assert rejection(frame(bin_with_part(2)), bin_with_part(12), FLOOR, gates=Gates()) is None


def test_the_first_frame_needs_no_other() -> None:
    assert rejection(frame(bin_with_part(2)), None, None, gates=Gates()) is None


def test_the_same_scene_again_is_not() -> None:
    noisy = bin_with_part(2) + np.random.default_rng(0).normal(0, 0.001, (10, 20))
    assert 'too like the last one' in (
        rejection(frame(noisy), bin_with_part(2), FLOOR, gates=Gates()) or ''
    )


def test_a_blinded_camera_is_not() -> None:
    depth = bin_with_part(2)
    depth[:, 6:] = np.nan
    assert 'only 30% of the pixels' in (rejection(frame(depth), None, FLOOR, gates=Gates()) or '')


def test_a_moved_bin_is_not() -> None:
    lowered = bin_with_part(2) + 0.05
    assert 'bin floor is not where it was' in (
        rejection(frame(lowered), None, FLOOR, gates=Gates()) or ''
    )


def test_frames_that_share_no_measured_pixel_count_as_changed() -> None:
    blind = np.full((10, 20), np.nan, np.float32)
    assert changed_fraction(blind, bin_with_part(2)) == 1


def test_a_gate_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match='min_valid_fraction is 3'):
        Gates(min_valid_fraction=3)


@pytest.mark.parametrize('value', [-0.1, 1.5])
def test_a_gate_is_a_share(value: float) -> None:
    with pytest.raises(ValueError, match='0 to 1 is expected'):
        Gates(min_changed_fraction=value)
    assert Gates(min_changed_fraction=0, max_still_fraction=1)


def test_images_of_different_sizes_count_as_changed() -> None:
    assert changed_fraction(bin_with_part(2), bin_with_part(2)[:, 1:]) == 1
    assert rearranged_fraction(frame(bin_with_part(2)), bin_with_part(2)[:, 1:], FLOOR) == 1


def test_without_a_known_floor_all_pixels_say_whether_a_scene_is_new() -> None:
    same, moved = frame(bin_with_part(2)), bin_with_part(12)
    assert rearranged_fraction(same, bin_with_part(2), None) == 0
    assert rearranged_fraction(same, moved, None) == pytest.approx(2 * 24 / 200)


def test_what_stands_on_the_floor_in_either_image_says_whether_a_scene_is_new() -> None:
    one, empty = bin_with_part(2), np.full((10, 20), 0.5, np.float32)
    both = np.minimum(one, bin_with_part(12))
    assert rearranged_fraction(frame(one), empty, FLOOR) == 1
    assert rearranged_fraction(frame(one), both, FLOOR) == rearranged_fraction(
        frame(both), one, FLOOR
    )
    assert rearranged_fraction(frame(one), both, FLOOR) == pytest.approx(0.5)


def test_a_small_part_that_moved_makes_a_new_scene() -> None:
    before, now = (np.full((10, 20), 0.5, np.float32) for _ in range(2))
    before[4:6, 2:4], now[4:6, 12:14] = 0.46, 0.46  # 8 of 200 pixels differ
    assert rejection(frame(now), before, FLOOR, gates=Gates()) is None


@pytest.mark.parametrize(('lower', 'moved'), [(0.4, False), (0.6, True)])
def test_a_bin_has_moved_when_more_is_seen_below_its_floor_than_on_it(
    lower: float, moved: bool
) -> None:
    depth = np.full((10, 20), 0.5, np.float32)
    depth[:, : round(20 * lower)] = 0.55
    said = rejection(frame(depth), None, FLOOR, gates=Gates())
    assert ('bin floor is not where it was' in (said or '')) is moved
