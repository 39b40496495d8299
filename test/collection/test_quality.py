"""Only frames that teach something new are stored."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.camera import Plane
from insegan_ros.collection.quality import Gates, changed_fraction, rejection
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
