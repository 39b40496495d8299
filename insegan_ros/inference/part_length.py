"""How long the part is, by what a network for parts of any length makes of the frames.

Told a length L, the network finds instances, of which it holds some for seen whole. Told far too
much, these are clumps, but shorter than L; told too little, they stay as long as the part is, or
break. So the longest L is taken for which whole instances are about LONGER times as long as told.
Of a full bin, a part of some LOOKED_AT_PX network pixels is looked at, where most parts lie.
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

FRAMES = 8  # that vote
LONGEST_M, SHORTEST_M, STEP = 0.3, 0.01, 1.2
LONGER = 1.2  # of the length told: the longest sides of instances seen whole, their upper quartile
WHOLE = 0.9  # visible share above which an instance counts as whole
FEWEST = 3  # instances that tell a length
MIN_PIXELS = 12
MOVED_M, MOVED = 0.01, 0.005  # metres, and the share of the pixels: a part was taken away
COARSE = 2  # steps at a time, before those in between are tried
LOOKED_AT_PX = 40_000  # that the network sees of a frame: bounds the time


@dataclass(frozen=True)
class Voter:
    """A frame that tells how long the part is."""

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
    """The frames do not tell how long the part is; the message says what to do."""


class LengthFromFrames:
    """A model of any part that was not told a length: frames tell, the more the better.

    A Segmenter. Frames of one scene agree, even where they err; so only those vote that show
    something else than the one that voted before. After FRAMES votes the length stays.
    """

    def __init__(self, inner: DistilledSegmenter) -> None:
        """Raises: ValueError, for a model that knows one part alone."""
        if not inner.any_length:
            raise ValueError('this model knows one part; its length need not be estimated')
        self.inner = inner
        self._seen: list[Voter] = []
        self._sides: dict[tuple[int, int], NDArray[np.floating]] = {}  # by frame and step
        self._step = 0  # of the length that was told last
        self._length_m: float | None = None

    @property
    def part_length_m(self) -> float | None:
        """What the frames told up to now; None: nothing yet."""
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
        self, frame: DepthFrame, *, pose_seconds: float = 0.0, refine_seconds: float = math.inf
    ) -> Segmentation:
        """As types.Segmenter says.

        Raises:
            LengthNotFoundError: no frame up to now tells a length.
            FloorNotFoundError: no bin was given and the frame shows none.
        """
        if self._length_m is None or (len(self._seen) < FRAMES and self._is_new(frame)):
            self.look([frame])
        return self.inner.segment(frame, pose_seconds=pose_seconds, refine_seconds=refine_seconds)

    def look(self, frames: Iterable[DepthFrame]) -> float:
        """Let these frames vote, FRAMES from all over them at most; metres of the longest side.

        Raises:
            LengthNotFoundError: they do not tell it, nor did those before.
            FloorNotFoundError: no bin was given and no frame shows one.
        """
        unseen: FloorNotFoundError | None = None
        if len(self._seen) == FRAMES and self._length_m is None:
            self._seen, self._sides = [], {}  # none of these told anything: begin anew
        usable = []
        for frame in frames:
            try:
                parts_bin = self.inner.bin_in(frame)
            except FloorNotFoundError as error:
                unseen = error
            else:
                usable.append(Voter(frame, parts_bin, foreground(frame, parts_bin)))
        needed = min(FRAMES - len(self._seen), len(usable))
        self._seen += [usable[k * len(usable) // needed] for k in range(needed)]
        if not self._seen and unseen is not None:
            raise unseen
        try:
            self._length_m = self._told() or self._length_m
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
        return not len(moved) or float((moved > MOVED_M).mean()) > MOVED

    def _told(self) -> float | None:
        """Metres: the longest length for which instances are long enough, between two steps.

        COARSE steps at a time, then those in between; once a length was told, from near it.
        """
        last = math.ceil(math.log(LONGEST_M / SHORTEST_M, STEP))
        try:
            first = max(self._step - COARSE, 0)
            first = 0 if self._long_enough([first]) is not None else first
            coarse = self._long_enough(range(first, last, COARSE))
            if coarse is None:
                return None
            between = self._long_enough(range(max(coarse - COARSE, 0), coarse))
        except ValueError:  # parts of a few pixels: no camera of this kind shows them
            return None
        self._step = step = coarse if between is None else between
        length_m, off = LONGEST_M / STEP**step, self._off(step)
        for longer in range(step - 1, max(step - COARSE, 0) - 1, -1):
            if (before := self._off(longer)) is not None and off is not None:
                return length_m * float(STEP ** ((step - longer) * off / (off - before)))
        return length_m

    def _long_enough(self, steps: Iterable[int]) -> int | None:
        """The first of these whose instances are long enough; None: none is."""
        for step in steps:
            off = self._off(step)
            if off is not None and off >= 0:
                return step
        return None

    def _off(self, step: int) -> float | None:
        """How much longer than LONGER times what is told whole instances are; None: too few.

        Raises:
            ValueError: parts of that length have too few pixels.
        """
        length_m = LONGEST_M / STEP**step
        self.inner.set_part_length(length_m)
        sides = []
        for k, voter in enumerate(self._seen):
            if (k, step) not in self._sides:
                check_time()
                self._sides[k, step] = instance_sides(self.inner, voter)
            sides.append(self._sides[k, step])
        longest, visible = np.concatenate(sides).T
        if len(longest) < min(FEWEST, len(self._seen)):
            return None
        whole = visible > WHOLE
        if whole.sum() < FEWEST:
            whole = visible >= np.sort(visible)[-min(FEWEST, len(visible))]
        return float(np.percentile(longest[whole], 75)) / length_m - LONGER


def instance_sides(segmenter: DistilledSegmenter, voter: Voter) -> NDArray[np.floating]:
    """(N, 2) longest side of the smallest rectangle around each instance, m; its visible share.

    Raises:
        ValueError: the part, as long as the segmenter takes it to be, has too few pixels.
    """
    frame, parts_bin = voter.frame, voter.parts_bin
    factor = segmenter.magnification(parts_bin.floor.offset / frame.intrinsics.fx)
    window = voter.crowded(math.ceil(math.sqrt(LOOKED_AT_PX) / factor))
    found = segmenter.find(frame, window)
    cut = _at_border(found.labels, window) if window is not parts_bin else set()
    rows: list[tuple[float, float]] = []
    for k, visible in enumerate(found.visible, 1):
        places = np.argwhere(found.labels == k).astype(np.float32)
        if len(places) >= MIN_PIXELS and k not in cut:
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
