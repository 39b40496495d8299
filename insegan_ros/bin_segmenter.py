"""What segmenters share that know neither the part's length nor its shape: where the bin is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from insegan_ros.bin_tracker import BinTracker
from insegan_ros.parts_bin import DEFAULT, Bin, FindingConfig
from insegan_ros.types import DepthFrame, Segmentation


class BinSegmenter(ABC):
    """A Segmenter (see types.Segmenter); its poses are rough ones, whatever the time."""

    part_length_m = None  # not known
    misfit = None  # there is no template

    def __init__(self, parts_bin: Bin | None, seed: int, finding: FindingConfig = DEFAULT) -> None:
        self._tracker = BinTracker(parts_bin, seed, config=finding)

    @property
    def parts_bin(self) -> Bin | None:
        """Where the bin was in the frame segmented last."""
        return self._tracker.last

    def segment(
        self,
        frame: DepthFrame,
        *,
        pose_seconds: float = 0.0,  # noqa: ARG002
        answer_seconds: float = float('inf'),
    ) -> Segmentation:
        """As types.Segmenter says.

        Raises:
            FloorNotFoundError: no bin was given and the frame shows none.
        """
        until = time.monotonic() + answer_seconds
        return self._segment(frame, self._tracker(frame), until)

    @abstractmethod
    def _segment(self, frame: DepthFrame, parts_bin: Bin, until: float) -> Segmentation:
        """What a method finds in the bin, and until then, by the monotonic clock, improves."""
