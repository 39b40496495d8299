"""How long the part is, by what a network for parts of any length makes of the frames.

Given a length L, the network finds instances, some of which it takes for seen whole. With far too
large an L these are clumps, but shorter than L; with too small a one they stay as long as the part
is, or break. So the longest L is taken for which whole instances are about `longer` times as long.
Of a full bin, a part of some `looked_at_px` network pixels is looked at, where most parts lie.
Each frame votes for itself, which bounds the time that one takes; the median of the votes counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
    coarse: int = 2  # steps at a time, as long as nothing is found
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
        self._votes: list[float | None] = []  # metres; None: of a frame that does not show it
        self._voted: DepthFrame | None = None  # the last that did, or was to
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
            len(self._votes) < self._config.frames and self._is_new(frame)
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
        if len(self._votes) == self._config.frames and self._length_m is None:
            self._votes = []  # none of these showed anything: begin anew
        usable = []
        for frame in frames:
            try:
                usable.append((frame, self.inner.bin_in(frame)))
            except FloorNotFoundError as error:
                unseen = error
        needed = min(self._config.frames - len(self._votes), len(usable))
        try:
            for k in range(needed):
                self._vote(*usable[k * len(usable) // needed])
        finally:
            if self._length_m is not None:
                self.inner.set_part_length(self._length_m)
        if not self._votes and unseen is not None:
            raise unseen
        if self._length_m is None:
            raise LengthNotFoundError(
                f'{len(self._votes)} frames do not show how long the part is: too few parts are '
                'seen whole; give its longest side in metres, e.g. any:0.08'
            )
        return self._length_m

    def _is_new(self, frame: DepthFrame) -> bool:
        """Whether a frame shows another scene than the one that voted last."""
        if self._voted is None:
            return True
        here, before = (f.depth_m[::4, ::4] for f in (frame, self._voted))
        if here.shape != before.shape:
            return True
        moved = np.abs(here - before)
        moved = moved[np.isfinite(moved)]
        return not len(moved) or float((moved > self._config.moved_m).mean()) > self._config.moved

    def _vote(self, frame: DepthFrame, parts_bin: Bin) -> None:
        """Let one frame vote: the median of the votes is the length."""
        voter = Voter(frame, parts_bin, foreground(frame, parts_bin))
        self._voted = frame  # also where it is given up: its scene is not looked at again
        try:
            vote = self._shown(voter)
        except ValueError:  # parts of a few pixels: no camera of this kind shows them
            vote = None
        if vote is not None and self._length_m is None:
            self._votes = []  # those before showed nothing, an empty bin perhaps
        self._votes.append(vote)
        votes = [vote for vote in self._votes if vote is not None]
        self._length_m = float(np.median(votes)) if votes else None

    def _shown(self, voter: Voter) -> float | None:
        """Metres: the longest length for which a frame's instances are long enough.

        Where they are too short by some steps, no length of fewer steps less can be right, unless
        they grow; so these are left out. The length lies between the last two that were tried.

        Raises:
            ValueError: parts that are long enough have too few pixels.
        """
        config = self._config
        last = math.ceil(math.log(config.longest_m / config.shortest_m, config.step))
        step = start = self._start()
        before: tuple[int, float] | None = None
        while step < last:
            off = self._off(voter, step)
            if off is not None and off >= 0:
                if step == start > 0:  # the length may be longer still
                    step = start = 0
                    continue
                back = 0.0 if before is None else (step - before[0]) * off / (off - before[1])
                return config.longest_m / config.step ** (step - back)
            before = before if off is None else (step, off)
            step += config.coarse if off is None else max(math.ceil(-off), 1)
        return None

    def _start(self) -> int:
        """The step to begin with: a longer length than is known, by less than `coarse` steps."""
        config = self._config
        if self._length_m is None:
            return 0
        known = math.floor(math.log(config.longest_m / self._length_m, config.step))
        return max(known + 1 - config.coarse, 0)

    def _off(self, voter: Voter, step: int) -> float | None:
        """By how many steps the whole instances are longer than `longer` times the length.

        None where there are none.

        Raises:
            ValueError: parts of that length have too few pixels.
        """
        check_time()
        config = self._config
        length_m = config.longest_m / config.step**step
        self.inner.set_part_length(length_m)
        sides = instance_sides(self.inner, voter, config)
        if not len(sides):
            return None
        longest, visible = sides.T
        whole = visible > config.whole
        if whole.sum() < config.fewest:
            whole = visible >= np.sort(visible)[-min(config.fewest, len(visible))]
        side_m = float(np.percentile(longest[whole], config.quartile))
        return math.log(side_m / (config.longer * length_m), config.step)


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
    for k, around in enumerate(ndimage.find_objects(found.labels, len(found.visible)), 1):
        if around is None or k in cut:
            continue
        places = np.argwhere(found.labels[around] == k).astype(np.float32)
        if len(places) >= config.least_px:
            pixel_m = float(found.centres[k - 1, 2]) / frame.intrinsics.fx
            longest = max(cv2.minAreaRect(places)[1]) + 1
            rows.append((longest * pixel_m, float(found.visible[k - 1])))
    return np.array(rows, np.float64).reshape(-1, 2)


def _at_border(labels: NDArray[np.int32], parts_bin: Bin) -> set[int]:
    """Those on the border of the bin's window."""
    if parts_bin.region is None:
        return set()
    x, y, width, height = parts_bin.region
    inside = labels[y : y + height, x : x + width]
    border = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return set(np.unique(np.concatenate(border)).tolist())
