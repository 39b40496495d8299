"""How long the part is, by what a network for parts of any length makes of the frames.

Given a length L, the network finds instances, some of which it takes for seen whole. With far too
large an L these are clumps, but shorter than L; with too small a one they stay as long as the part
is, or break. So the longest L is taken for which whole instances are about `longer` times as long.
Of a full bin, a part of some `looked_at_px` network pixels is looked at, where most parts lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.deadline import check_time
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Segmentation


@dataclass(frozen=True, kw_only=True)
class PartLengthConfig:
    """What decides how long the part is."""

    frames: int = 8  # that vote
    # of the part: lengths between these are tried, each shorter by `step` than the one before
    longest_m: float = 0.3
    shortest_m: float = 0.01
    step: float = 1.2
    coarse: int = 2  # steps at a time, before those in between are tried
    # of the length given: the longest sides of instances seen whole, their upper quartile
    longer: float = 1.2
    quartile: float = 75.0  # percentile of these sides: some are foreshortened
    whole: float = 0.9  # visible share above which an instance counts as whole
    fewest: int = 3  # instances that show a length
    least_px: int = 12  # of an instance: smaller ones are specks
    moved_m: float = 0.01  # by which a pixel's depth changes where a part was taken away,
    moved: float = 0.005  # and the share of pixels that then do
    looked_at_px: int = 40_000  # that the network sees of a frame: bounds the time


DEFAULT = PartLengthConfig()


@dataclass(frozen=True)
class Voter:
    """A frame that shows how long the part is."""

    frame: DepthFrame
    parts_bin: Bin
    foreground: NDArray[np.bool_]  # (H, W)

    def crowded(self, side: int) -> Bin:
        """The bin, or a square window of `side` px within it that shows most of the parts."""
        x, y, width, height = self.parts_bin.region or (0, 0, *self.foreground.shape[::-1])
        if side >= max(width, height):
            return self.parts_bin
        w, h = min(side, width), min(side, height)
        sums = cv2.integral(self.foreground[y : y + height, x : x + width].astype(np.uint8))
        shown = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
        top, left = np.unravel_index(int(np.argmax(shown)), shown.shape)
        return replace(self.parts_bin, region=(x + int(left), y + int(top), w, h))


class LengthNotFoundError(ValueError):
    """The frames do not show how long the part is; the message says what to do."""


class LengthFromFrames:
    """A model of any part that was given no length: frames show it, the more the better.

    A Segmenter. Frames of one scene agree, even where they err; so only those vote that show
    something else than the one that voted before. After `frames` votes the length stays.
    """

    def __init__(self, inner: DistilledSegmenter, config: PartLengthConfig = DEFAULT) -> None:
        """Raises: ValueError, for a model that knows one part alone."""
        if not inner.any_length:
            raise ValueError('this model knows one part; its length need not be estimated')
        self.inner, self._config = inner, config
        self._seen: list[Voter] = []
        self._sides: dict[tuple[int, int], NDArray[np.floating]] = {}  # by frame and step
        self._step = 0  # of the length that was found last
        self._length_m: float | None = None

    @property
    def part_length_m(self) -> float | None:
        """What the frames have shown up to now; None: nothing yet."""
        return self._length_m

    @property
    def misfit(self) -> float | None:
        """As the inner one's: none, since a model of any part has no template."""
        return self.inner.misfit

    @property
    def parts_bin(self) -> Bin | None:
        """As the inner one's."""
        return self.inner.parts_bin

    def segment(
        self, frame: DepthFrame, *, pose_seconds: float = 0.0, answer_seconds: float = math.inf
    ) -> Segmentation:
        """As types.Segmenter says.

        Raises:
            LengthNotFoundError: no frame up to now shows a length.
            FloorNotFoundError: no bin was given and the frame shows none.
        """
        if self._length_m is None or (
            len(self._seen) < self._config.frames and self._is_new(frame)
        ):
            self.look([frame])
        return self.inner.segment(frame, pose_seconds=pose_seconds, answer_seconds=answer_seconds)

    def look(self, frames: Iterable[DepthFrame]) -> float:
        """Let these frames vote, a few from all over them; metres of the longest side.

        Raises:
            LengthNotFoundError: they do not show it, nor did those before.
            FloorNotFoundError: no bin was given and no frame shows one.
        """
        unseen: FloorNotFoundError | None = None
        if len(self._seen) == self._config.frames and self._length_m is None:
            self._seen, self._sides = [], {}  # none of these showed anything: begin anew
        usable = []
        for frame in frames:
            try:
                parts_bin = self.inner.bin_in(frame)
            except FloorNotFoundError as error:
                unseen = error
            else:
                usable.append(Voter(frame, parts_bin, foreground(frame, parts_bin)))
        needed = min(self._config.frames - len(self._seen), len(usable))
        self._seen += [usable[k * len(usable) // needed] for k in range(needed)]
        if not self._seen and unseen is not None:
            raise unseen
        try:
            self._length_m = self._shown() or self._length_m
        finally:
            if self._length_m is not None:
                self.inner.set_part_length(self._length_m)
        if self._length_m is None:
            raise LengthNotFoundError(
                f'{len(self._seen)} frames do not show how long the part is: too few parts are '
                'seen whole; give its longest side in metres, e.g. any:0.08'
            )
        return self._length_m

    def _is_new(self, frame: DepthFrame) -> bool:
        """Whether a frame shows another scene than the one that voted last."""
        if not self._seen:
            return True
        here, before = (f.depth_m[::4, ::4] for f in (frame, self._seen[-1].frame))
        if here.shape != before.shape:
            return True
        moved = np.abs(here - before)
        moved = moved[np.isfinite(moved)]
        return not len(moved) or float((moved > self._config.moved_m).mean()) > self._config.moved

    def _shown(self) -> float | None:
        """Metres: the longest length for which instances are long enough, between two steps.

        Some steps at a time, then those in between; once a length was found, from near it.
        """
        config, some = self._config, self._config.coarse
        last = math.ceil(math.log(config.longest_m / config.shortest_m, config.step))
        try:
            first = max(self._step - some, 0)
            first = 0 if self._long_enough([first]) is not None else first
            coarse = self._long_enough(range(first, last, some))
            if coarse is None:
                return None
            between = self._long_enough(range(max(coarse - some, 0), coarse))
        except ValueError:  # parts of a few pixels: no camera of this kind shows them
            return None
        self._step = step = coarse if between is None else between
        length_m, off = config.longest_m / config.step**step, self._off(step)
        for longer in range(step - 1, max(step - some, 0) - 1, -1):
            if (before := self._off(longer)) is not None and off is not None:
                return length_m * float(config.step ** ((step - longer) * off / (off - before)))
        return length_m

    def _long_enough(self, steps: Iterable[int]) -> int | None:
        """The first of these whose instances are long enough; None: none is."""
        for step in steps:
            off = self._off(step)
            if off is not None and off >= 0:
                return step
        return None

    def _off(self, step: int) -> float | None:
        """How much longer whole instances are than `longer` times the length; None: too few.

        Raises:
            ValueError: parts of that length have too few pixels.
        """
        config = self._config
        length_m = config.longest_m / config.step**step
        self.inner.set_part_length(length_m)
        sides = []
        for k, voter in enumerate(self._seen):
            if (k, step) not in self._sides:
                check_time()
                self._sides[k, step] = instance_sides(self.inner, voter, config)
            sides.append(self._sides[k, step])
        longest, visible = np.concatenate(sides).T
        if len(longest) < min(config.fewest, len(self._seen)):
            return None
        whole = visible > config.whole
        if whole.sum() < config.fewest:
            whole = visible >= np.sort(visible)[-min(config.fewest, len(visible))]
        return float(np.percentile(longest[whole], config.quartile)) / length_m - config.longer


def instance_sides(
    segmenter: DistilledSegmenter, voter: Voter, config: PartLengthConfig = DEFAULT
) -> NDArray[np.floating]:
    """(N, 2) longest side of the smallest rectangle around each instance, m; its visible share.

    Raises:
        ValueError: the part, as long as the segmenter takes it to be, has too few pixels.
    """
    frame, parts_bin = voter.frame, voter.parts_bin
    factor = segmenter.magnification(parts_bin.floor.offset / frame.intrinsics.fx)
    window = voter.crowded(math.ceil(math.sqrt(config.looked_at_px) / factor))
    found = segmenter.find(frame, window)
    cut = _at_border(found.labels, window) if window is not parts_bin else set()
    rows: list[tuple[float, float]] = []
    for k, visible in enumerate(found.visible, 1):
        places = np.argwhere(found.labels == k).astype(np.float32)
        if len(places) >= config.least_px and k not in cut:
            pixel_m = float(found.centres[k - 1, 2]) / frame.intrinsics.fx
            longest = max(cv2.minAreaRect(places)[1]) + 1
            rows.append((longest * pixel_m, float(visible)))
    return np.array(rows, np.float64).reshape(-1, 2)


def _at_border(labels: NDArray[np.int32], parts_bin: Bin) -> set[int]:
    """Those on the border of the bin's window."""
    if parts_bin.region is None:
        return set()
    x, y, width, height = parts_bin.region
    inside = labels[y : y + height, x : x + width]
    border = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return set(np.unique(np.concatenate(border)).tolist())
