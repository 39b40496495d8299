"""What of an image counts: a window of it, and distances up to a greatest one.

Tables, rooms and other bins around the parts' own would else be taken for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Segmentation, Segmenter


@dataclass(frozen=True)
class ViewLimits:
    """A window of the image, and the greatest distance along the optical axis."""

    region: tuple[int, int, int, int] | None = None  # x, y, width, height, px; None: all of it
    max_depth_m: float | None = None  # None: any distance

    def __post_init__(self) -> None:
        if self.max_depth_m is not None and not 0 < self.max_depth_m < math.inf:
            raise ValueError(f'max_depth {self.max_depth_m}: more than 0 metres are expected')

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return self.region is not None or self.max_depth_m is not None

    def applied(self, frame: DepthFrame) -> DepthFrame:
        """The frame, unmeasured outside the limits.

        Raises:
            ValueError: the window lies outside the image, or nothing is left.
        """
        return restricted(frame, self.region, self.max_depth_m) if self else frame

    def applied_to(self, frames: Iterable[DepthFrame]) -> Iterator[DepthFrame]:
        """Those of the frames that show something within the limits, unmeasured outside."""
        for frame in frames:
            with suppress(ValueError):
                yield self.applied(frame)


@dataclass(frozen=True)
class LimitedSegmenter:
    """A segmenter that sees of each frame only what lies within the limits."""

    inner: Segmenter
    limits: ViewLimits

    @property
    def part_length_m(self) -> float | None:
        """As the inner one's."""
        return self.inner.part_length_m

    @property
    def misfit(self) -> float | None:
        """As the inner one's."""
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
            ValueError: the window lies outside the image, or nothing is measured within it.
            FloorNotFoundError: no bin was given and the frame shows none within the limits.
        """
        return self.inner.segment(
            self.limits.applied(frame), pose_seconds=pose_seconds, answer_seconds=answer_seconds
        )


def restricted(
    frame: DepthFrame,
    region: tuple[int, int, int, int] | None = None,
    max_depth_m: float | None = None,
) -> DepthFrame:
    """The frame without what lies outside a window or too far away.

    Raises:
        ValueError: the window lies outside the image, or nothing is left.
    """
    depth = frame.depth_m.copy()
    if region is not None:
        x, y, width, height = region
        if x + width > depth.shape[1] or y + height > depth.shape[0]:
            raise ValueError(
                f'region {region}: a window of the image, {depth.shape[1]} x {depth.shape[0]} px, '
                'is expected'
            )
        inside = np.zeros(depth.shape, bool)
        inside[y : y + height, x : x + width] = True
        depth[~inside] = np.nan
    if max_depth_m is not None:
        depth[depth > max_depth_m] = np.nan
    if not np.isfinite(depth).any():
        raise ValueError(
            f'nothing is measured in region {region} up to {max_depth_m} m; choose a larger '
            'window or distance'
        )
    return DepthFrame(depth, frame.intrinsics, frame.stamp_ns, frame.frame_id)


def limited(segmenter: Segmenter, limits: ViewLimits) -> Segmenter:
    """The segmenter itself, where there are no limits."""
    return LimitedSegmenter(segmenter, limits) if limits else segmenter


def parse_region(text: str) -> tuple[int, int, int, int]:
    """'x,y,width,height' in px.

    Raises:
        ValueError: that is no window.
    """
    try:
        x, y, width, height = (int(number) for number in text.split(','))
    except ValueError:
        raise ValueError(f'region {text!r}: x,y,width,height in px is expected') from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise ValueError(f'region {text!r}: a window inside the image is expected')
    return x, y, width, height
