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
    assert np.allclose(found.corners, [(x, y, 0.503) for x, y, _ in corners], atol=1e-6)
    rigid = replace(FindingConfig(), floor=replace(FindingConfig().floor, level_within_m=0.002))
    monkeypatch.setattr(bin_tracker, 'find_bin', lambda *_, **__: walled)
    assert BinTracker(config=rigid)(flat(0.503)).floor.offset == 0.5


def test_a_given_bin_is_kept_whatever_the_frames_show() -> None:
    tracker = BinTracker(INSIDE)
    assert tracker.last == INSIDE
    assert tracker(flat(0.9)) == INSIDE


def looks_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[DepthFrame, float, FindingConfig]]:
    """What each look is given; each finds the same bin. Of the generator a number is kept."""
    looks: list[tuple[DepthFrame, float, FindingConfig]] = []

    def find(frame: DepthFrame, rng: np.random.Generator, *, config: FindingConfig) -> Bin:
        looks.append((frame, rng.random(), config))
        return INSIDE

    monkeypatch.setattr(bin_tracker, 'find_bin', find)
    return looks


def test_a_look_is_given_the_frame_the_settings_and_the_randomness_of_the_seed(monkeypatch):
    looks, config = looks_of(monkeypatch), FindingConfig(looks=3)
    frames = [flat(0.5), flat(0.5)]
    for tracker in (BinTracker(config=config), BinTracker(None, 0, config=config)):
        for frame in (*frames, *frames[1:]):  # the same frame again is not looked at again
            tracker(frame)
    assert [frame for frame, _, _ in looks] == 2 * frames
    assert all(given is config for _, _, given in looks)
    drawn = [number for _, number, _ in looks]
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


def parts_on_floor(share: float, height_m: float) -> DepthFrame:
    """Of a floor 0.5 m away this share of the pixels is higher, or, where negative, lower."""
    frame = flat(0.5)
    frame.depth_m[: round(60 * share)] -= np.float32(height_m)
    return frame


@pytest.mark.parametrize(
    ('first', 'then', 'looks'),
    [
        (flat(0.5), parts_on_floor(0.6, 0.03), 1),  # the bin was filled
        (flat(0.5), parts_on_floor(0.8, 0.03), 2),  # hardly any floor is where it was
        (parts_on_floor(0.5, 0.03), parts_on_floor(0.8, 0.03), 1),  # it was full, and still is
        (flat(0.5), parts_on_floor(0.1, -0.03), 2),  # nothing lies below a floor
        (flat(0.5), flat(0.47), 2),
    ],
)
def test_the_bin_is_sought_again_where_the_floor_is_gone_or_something_lies_below_it(
    monkeypatch: pytest.MonkeyPatch, first: DepthFrame, then: DepthFrame, looks: int
) -> None:
    seen = looks_of(monkeypatch)
    tracker = BinTracker(config=FindingConfig(looks=1))
    tracker(first)
    tracker(then)
    assert len(seen) == looks


def test_a_frame_of_which_nothing_is_measured_is_looked_at_anew(monkeypatch) -> None:
    seen = looks_of(monkeypatch)
    tracker = BinTracker(config=FindingConfig(looks=1))
    for frame in (flat(0.5), flat(np.nan)):
        tracker(frame)
    assert len(seen) == 2


def test_windows_agree_by_the_pixels_that_they_share() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        windows = []
        masks = np.zeros((2, 12, 12), bool)
        for mask in masks:
            (x, y), (width, height) = rng.integers(0, 8, 2), rng.integers(1, 5, 2)
            mask[y : y + height, x : x + width] = True
            windows.append((int(x), int(y), int(width), int(height)))
        both, either = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
        assert bin_tracker._overlap(*windows) == both / either


def test_a_bin_without_walls_agrees_with_those_alone(monkeypatch) -> None:
    open_bin = Bin(FLOOR)
    tracker = tracker_that_sees(monkeypatch, INSIDE, open_bin, open_bin, INSIDE, open_bin)
    assert [tracker(flat(0.5)) for _ in range(5)][2:] == [open_bin, INSIDE, open_bin]
