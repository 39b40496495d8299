"""How long the part is, by what a network for parts of any length makes of the frames.

Told a length L, the network finds instances, of which it holds some for seen whole. Told far too
much, these are clumps, but shorter than L; told too little, they stay as long as the part is, or
break. So the longest L is taken for which whole instances are about LONGER times as long as told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.bin_tracker import BinTracker
from insegan_ros.deadline import check_time
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Segmentation

FRAMES = 5  # that vote
LONGEST_M, SHORTEST_M, STEP = 0.3, 0.01, 1.2
LONGER = 1.2  # of the length told: the longest sides of instances seen whole, their upper quartile
WHOLE = 0.9  # visible share above which an instance counts as whole
FEWEST = 3  # instances that tell a length
MIN_PIXELS = 12


class LengthNotFoundError(ValueError):
    """The frames do not tell how long the part is; the message says what to do."""


class LengthFromFrames:
    """A model of any part that was not told a length: its first frames tell, the more the better.

    A Segmenter. After FRAMES frames the length stays.
    """

    def __init__(self, inner: DistilledSegmenter) -> None:
        """Raises: ValueError, for a model that knows one part alone."""
        if not inner.any_length:
            raise ValueError('this model knows one part, whose length it need not be told')
        self.inner = inner
        self._seen: list[tuple[DepthFrame, Bin]] = []
        self._sides: dict[tuple[int, int], NDArray[np.floating]] = {}  # by frame and step
        self._length_m: float | None = None
        self._tracker = BinTracker(inner.parts_bin)

    @property
    def part_length_m(self) -> float | None:
        """What the frames told up to now; None: nothing yet."""
        return self._length_m

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
        if len(self._seen) < FRAMES or self._length_m is None:
            self.look([frame])
        return self.inner.segment(frame, pose_seconds=pose_seconds, refine_seconds=refine_seconds)

    def look(self, frames: Iterable[DepthFrame]) -> float:
        """Let these frames vote, at most FRAMES in all; metres of the longest side.

        Raises:
            LengthNotFoundError: they do not tell it, nor did those before.
            FloorNotFoundError: no bin was given and no frame shows one.
        """
        unseen: FloorNotFoundError | None = None
        if len(self._seen) == FRAMES and self._length_m is None:
            self._seen, self._sides = [], {}  # none of these told anything: begin anew
        for frame in frames:
            if len(self._seen) == FRAMES:
                break
            try:
                self._seen.append((frame, self._tracker(frame)))
            except FloorNotFoundError as error:
                unseen = error
        if not self._seen and unseen is not None:
            raise unseen
        try:
            self._length_m = self._told() or self._length_m
        finally:
            if self._length_m is not None:
                self.inner.set_part_length(self._length_m)
        if self._length_m is None:
            raise LengthNotFoundError(
                f'{len(self._seen)} frames do not tell how long the part is: too few parts are '
                'seen whole; tell its longest side in metres, e.g. any:0.08'
            )
        return self._length_m

    def _told(self) -> float | None:
        """Metres, from the longest length down to where instances are long enough."""
        before: tuple[float, float] | None = None  # log of a length, and by how much it is missed
        for step in range(math.ceil(math.log(LONGEST_M / SHORTEST_M, STEP))):
            check_time()
            length = LONGEST_M / STEP**step
            try:
                off = self._longer(step, length)
            except ValueError:  # parts of a few pixels: no camera of this kind shows them
                return None
            if off is None:
                continue
            here = (math.log(length), off - LONGER)
            if here[1] >= 0:
                if before is None:
                    return length
                share = here[1] / (here[1] - before[1])
                return math.exp(here[0] + share * (before[0] - here[0]))
            before = here
        return None

    def _longer(self, step: int, length_m: float) -> float | None:
        """How long whole instances are for what is told; None: there are too few."""
        self.inner.set_part_length(length_m)
        sides = []
        for k, (frame, parts_bin) in enumerate(self._seen):
            if (k, step) not in self._sides:
                self._sides[k, step] = instance_sides(self.inner, frame, parts_bin)
            sides.append(self._sides[k, step])
        longest, visible = np.concatenate(sides).T
        if len(longest) < min(FEWEST, len(self._seen)):
            return None
        whole = visible > WHOLE
        if whole.sum() < FEWEST:
            whole = visible >= np.sort(visible)[-min(FEWEST, len(visible))]
        return float(np.percentile(longest[whole], 75)) / length_m


def instance_sides(
    segmenter: DistilledSegmenter, frame: DepthFrame, parts_bin: Bin
) -> NDArray[np.floating]:
    """(N, 2) longest side of the smallest rectangle around each instance, m; its visible share."""
    found = segmenter.find(frame, parts_bin)
    rows: list[tuple[float, float]] = []
    for k, visible in enumerate(found.visible, 1):
        places = np.argwhere(found.labels == k).astype(np.float32)
        if len(places) >= MIN_PIXELS:
            pixel_m = float(found.centres[k - 1, 2]) / frame.intrinsics.fx
            longest = max(cv2.minAreaRect(places)[1]) + 1
            rows.append((longest * pixel_m, float(visible)))
    return np.array(rows, np.float64).reshape(-1, 2)
