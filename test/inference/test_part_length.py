"""A model of any part that is not told a length takes it from the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from insegan_ros.camera import Plane
from insegan_ros.deadline import Deadline, FrameGivenUpError
from insegan_ros.inference import part_length
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.inference.found import Found
from insegan_ros.inference.model_card import load_segmenter
from insegan_ros.inference.part_length import (
    LengthFromFrames,
    LengthNotFoundError,
    PartLengthConfig,
    Voter,
)
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(100, 80, 100.0, 100.0, 50.0, 40.0)
FRAME = DepthFrame(np.full((80, 100), 0.5, np.float32), CAMERA)
BAR_PX = 24  # at 0.5 m a pixel is 5 mm: 120 mm


class Bars(DistilledSegmenter):
    """It finds bars of one length in every frame, clumps where it is told far too much."""

    def __init__(self, bars: int) -> None:
        self._bars, self._told = bars, 0.05
        self.bar_px = BAR_PX
        self.looked_at: list[DepthFrame] = []
        self._given = Bin(Plane((0.0, 0.0, -1.0), 0.5))

    @property
    def any_length(self) -> bool:
        return True

    @property
    def part_length_m(self) -> float:
        return self._told

    @property
    def parts_bin(self) -> Bin:
        return self._given

    def set_part_length(self, metres: float) -> None:
        self._told = metres

    def bin_in(self, frame: DepthFrame) -> Bin:
        return self._given

    def magnification(self, pixel_m: float, shape: tuple[int, ...] = (1, 1)) -> float:
        return 1.0

    def find(self, frame: DepthFrame, parts_bin: Bin | None = None) -> Found:
        self.looked_at.append(frame)
        labels = np.zeros(frame.depth_m.shape, np.int32)
        for k in range(self._bars):
            labels[4 * k : 4 * k + 3, 10 : 10 + self.bar_px] = k + 1
        n = self._bars
        return Found(
            labels,
            np.tile([0, 0, 0.5], (n, 1)),
            np.ones(n, np.float32),
            np.ones(n, np.float32),
            np.ones(n, np.int64),
        )


def test_the_length_follows_from_what_is_seen_whole() -> None:
    bars = Bars(5)
    finder = LengthFromFrames(bars)
    assert finder.part_length_m is None
    length = finder.look([FRAME, FRAME])
    assert 0.75 * 0.12 < length < 0.12
    assert finder.part_length_m == bars.part_length_m == length


def test_frames_that_show_nothing_tell_no_length_and_later_ones_may() -> None:
    bars = Bars(0)
    finder = LengthFromFrames(bars)
    with pytest.raises(LengthNotFoundError, match='any:0'):
        finder.look([FRAME] * 5)
    bars._bars = 4
    assert finder.look([FRAME]) > 0.05


def test_voters_come_from_all_over_the_frames() -> None:
    frames = [DepthFrame(np.full((80, 100), 0.5, np.float32), CAMERA, k) for k in range(20)]
    bars = Bars(5)
    LengthFromFrames(bars).look(frames)
    stamps = list(dict.fromkeys(frame.stamp_ns for frame in bars.looked_at))
    assert len(stamps) == PartLengthConfig().frames
    assert max(stamps) > 15
    assert np.diff(stamps).max() <= 3


def test_a_frame_that_errs_is_outvoted() -> None:
    bars = Bars(5)
    finder = LengthFromFrames(bars)
    length = finder.look([FRAME] * 3)
    bars.bar_px = 60
    assert finder.look([FRAME]) == pytest.approx(length)
    other = LengthFromFrames(bars).look([FRAME])
    assert other > 2 * length


def test_frames_of_an_empty_bin_take_no_vote_from_those_of_a_full_one() -> None:
    bars = Bars(0)
    finder = LengthFromFrames(bars)
    for _ in range(PartLengthConfig().frames - 1):
        with pytest.raises(LengthNotFoundError):
            finder.segment(FRAME)
    bars._bars, bars.bar_px = 5, 60
    first = finder.look([FRAME])
    bars.bar_px = BAR_PX
    assert finder.look([FRAME] * 3) < 0.7 * first


def test_what_is_known_hardly_matters_to_a_vote() -> None:
    for px in (12, 24, 26, 36, 48):
        bars, known = Bars(5), Bars(5)
        known.bar_px = 24
        finder = LengthFromFrames(known)
        finder.look([FRAME])
        bars.bar_px = known.bar_px = px
        alone = LengthFromFrames(bars).look([FRAME])
        looks = len(known.looked_at)
        assert finder.look([FRAME] * 5) == pytest.approx(alone, rel=0.01)
        assert len(known.looked_at) - looks <= 5 * 3


def test_the_length_that_was_known_is_restored_when_a_frame_is_given_up() -> None:
    bars = Bars(5)
    finder = LengthFromFrames(bars)
    length = finder.look([FRAME])
    with Deadline() as deadline:
        deadline.cancel()
        with pytest.raises(FrameGivenUpError):
            finder.look([FRAME])
    assert bars.part_length_m == finder.part_length_m == length


def test_a_scene_that_takes_too_long_to_vote_costs_one_frame() -> None:
    bars = Bars(5)
    finder = LengthFromFrames(bars)
    finder.look([FRAME])
    scene = replace(FRAME, depth_m=FRAME.depth_m + np.float32(0.1))
    with Deadline() as deadline:
        deadline.cancel()
        with pytest.raises(FrameGivenUpError):
            finder.segment(scene)
    bars.segment = lambda *_, **__: 'segmented'
    looks = len(bars.looked_at)
    assert finder.segment(scene) == 'segmented'
    assert len(bars.looked_at) == looks


def test_a_scene_votes_once() -> None:
    finder = LengthFromFrames(Bars(5))
    finder.look([FRAME])
    noisy = FRAME.depth_m + np.random.default_rng(0).normal(0, 0.001, (80, 100))
    assert not finder._is_new(DepthFrame(noisy.astype(np.float32), CAMERA))
    noisy[20:30, 20:30] -= 0.03  # a part came
    assert finder._is_new(DepthFrame(noisy.astype(np.float32), CAMERA))
    assert finder._is_new(DepthFrame(np.full((80, 100), np.nan, np.float32), CAMERA))


def test_a_bin_that_was_calibrated_tells_the_length_and_a_name_overrides_it() -> None:
    known = Bin(Plane((0.0, 0.0, -1.0), 0.5), part_length_m=0.07)
    assert load_segmenter('any', parts_bin=known).part_length_m == pytest.approx(0.07)
    assert load_segmenter('any:0.05', parts_bin=known).part_length_m == pytest.approx(0.05)
    assert (
        load_segmenter('any', parts_bin=replace(known, part_length_m=None)).part_length_m is None
    )
    assert load_segmenter('nut', parts_bin=known).part_length_m != pytest.approx(0.07)


def test_a_model_of_one_part_is_refused() -> None:
    class One(Bars):
        @property
        def any_length(self) -> bool:
            return False

    with pytest.raises(ValueError, match='one part'):
        LengthFromFrames(One(1))


def test_of_a_full_bin_the_window_with_most_parts_is_looked_at() -> None:
    parts = np.zeros((80, 100), bool)
    parts[30:60, 50:90] = True
    parts[:20, :20] = True
    voter = Voter(FRAME, Bin(Plane((0.0, 0.0, -1.0), 0.5), (10, 5, 85, 70)), parts)
    assert voter.crowded(100).region == (10, 5, 85, 70)
    x, y, width, height = voter.crowded(25).region or (0, 0, 0, 0)
    assert (width, height) == (25, 25)
    assert parts[y : y + 25, x : x + 25].all()


def test_an_instance_that_the_window_cuts_shows_no_length() -> None:
    bars, parts = Bars(5), np.zeros((80, 100), bool)
    parts[:40, :30] = True  # the window's right side cuts the bars, which end at 34
    voter = Voter(FRAME, bars.bin_in(FRAME), parts)
    assert len(part_length.instance_sides(bars, voter)) == 5
    small = PartLengthConfig(looked_at_px=30**2)
    assert len(part_length.instance_sides(bars, voter, small)) == 0
