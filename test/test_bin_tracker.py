"""The bin of a camera that does not move is found once, and again when it has moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flat_frame import FLOOR, flat

from insegan_ros import bin_tracker
from insegan_ros.bin_tracker import BinTracker
from insegan_ros.camera import Plane
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.parts_bin import Bin, FindingConfig
from insegan_ros.types import DepthFrame

WHOLE, INSIDE = Bin(FLOOR, (0, 0, 80, 60)), Bin(FLOOR, (20, 10, 40, 40))


def tracker_that_sees(monkeypatch: pytest.MonkeyPatch, *looks: Bin | None) -> BinTracker:
    """A tracker of which each look finds what is given; None: no floor."""
    coming = iter(looks)

    def find(frame: DepthFrame, rng: np.random.Generator, *, config: FindingConfig) -> Bin:
        found = next(coming)
        if found is None:
            raise FloorNotFoundError
        return found

    monkeypatch.setattr(bin_tracker, 'find_bin', find)
    return BinTracker()


def test_a_tracker_keeps_what_most_of_its_first_looks_agree_on(monkeypatch) -> None:
    near = Bin(FLOOR, (21, 10, 40, 40))
    tracker = tracker_that_sees(monkeypatch, WHOLE, INSIDE, None, near, INSIDE, WHOLE)
    found = [tracker(flat(0.5)) for _ in range(9)]  # a seventh look would fail
    assert found[0] == WHOLE
    assert found[3:] == [INSIDE] * 6


def test_a_tracker_looks_again_when_the_camera_has_moved(monkeypatch) -> None:
    lower = Bin(Plane((0.0, 0.0, -1.0), 0.6), (10, 10, 30, 30))
    tracker = tracker_that_sees(monkeypatch, INSIDE, INSIDE, *[lower] * 5)
    assert tracker(flat(0.5)) == tracker(flat(0.5)) == INSIDE
    assert tracker(flat(0.6)) == lower


def test_noise_that_grows_with_the_distance_is_no_moved_camera(monkeypatch) -> None:
    far = Bin(Plane((0.0, 0.0, -1.0), 2.0), (10, 10, 30, 30))
    tracker = tracker_that_sees(monkeypatch, *[far] * 5)  # a sixth look would fail
    for seed in range(8):
        seen = flat(2.0)
        noise = np.random.default_rng(seed).normal(0, 1, seen.depth_m.shape)
        sigma = float(D435_NOISE.depth_sigma(np.array(2.0), seen.intrinsics))
        assert sigma > 0.01
        tracker(replace(seen, depth_m=(seen.depth_m + sigma * noise).astype(np.float32)))


def test_a_tracker_that_never_saw_a_floor_says_so(monkeypatch) -> None:
    tracker = tracker_that_sees(monkeypatch, None, INSIDE)
    with pytest.raises(FloorNotFoundError):
        tracker(flat(0.5))
    assert tracker(flat(0.5)) == INSIDE


def test_a_tracked_floor_follows_a_mount_that_gives_by_millimetres(monkeypatch) -> None:
    corners = ((-0.1, -0.1, 0.5), (0.1, -0.1, 0.5), (0.1, 0.1, 0.5), (-0.1, 0.1, 0.5))
    walled = Bin(FLOOR, INSIDE.region, corners)
    found = tracker_that_sees(monkeypatch, *[walled] * 5)(flat(0.503))
    assert found.floor.offset == pytest.approx(0.503, abs=1e-6)
    assert found.corners is not None
    assert [corner[2] for corner in found.corners] == pytest.approx([0.503] * 4, abs=1e-6)


def test_a_given_bin_is_kept_whatever_the_frames_show() -> None:
    assert BinTracker(INSIDE)(flat(0.9)) == INSIDE
