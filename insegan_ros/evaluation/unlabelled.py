"""How good a segmenter is on frames without labels: two signs that need none.

A good segmenter leaves little of what stands in the bin unexplained, and it says the same of a
frame that is mirrored or measured once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame

Labels = NDArray[np.integer]
Finder = Callable[[DepthFrame, Bin], Labels]  # (H, W), 0 background


@dataclass(frozen=True)
class LabelFree:
    """What a segmenter makes of some unlabelled frames, on average."""

    frames: int
    instances: float  # a frame
    explained: float  # share of the pixels of parts that lie in an instance
    agreement: float  # of instances in a frame with those in the same, mirrored or noisier

    @property
    def worth(self) -> float:
        """In [0, 1]; the better of two segmenters has more."""
        return self.explained * self.agreement


def judge_unlabelled(
    find: Finder, frames: Sequence[tuple[DepthFrame, Bin]], rng: np.random.Generator
) -> LabelFree:
    """Raises: ValueError, without a frame."""
    if not frames:
        raise ValueError('no frame is given; at least one is needed to judge a segmenter by')
    rows = []
    for frame, parts_bin in frames:
        labels = find(frame, parts_bin)
        mirrored = find(*mirror(frame, parts_bin))[:, ::-1]
        again = find(measured_again(frame, rng), parts_bin)
        parts = foreground(frame, parts_bin)
        explained = float((labels[parts] > 0).mean()) if parts.any() else np.nan
        agreed = [mutual_iou(labels, other) for other in (mirrored, again)]
        rows.append((len(np.unique(labels[labels > 0])), explained, float(np.mean(agreed))))
    count, explained, agreement = (float(value) for value in np.nanmean(rows, axis=0))
    return LabelFree(len(frames), count, explained, agreement)


def mutual_iou(a: Labels, b: Labels) -> float:
    """Strict mIoU of one labelling against the other, the mean of both ways; 1 of two empty."""
    if not a.any() and not b.any():
        return 1.0
    if not a.any() or not b.any():
        return 0.0
    return (strict_miou(a, b) + strict_miou(b, a)) / 2


def mirror(frame: DepthFrame, parts_bin: Bin) -> tuple[DepthFrame, Bin]:
    """What a mirror at the image's vertical axis shows."""
    k = frame.intrinsics
    turned = replace(
        frame,
        depth_m=np.ascontiguousarray(frame.depth_m[:, ::-1]),
        intrinsics=replace(k, cx=k.width - 1 - k.cx),
    )
    x, y, z = parts_bin.floor.normal
    region, corners = parts_bin.region, parts_bin.corners
    if region is not None:
        region = (k.width - region[0] - region[2], *region[1:])
    if corners is not None:
        corners = tuple((-cx, cy, cz) for cx, cy, cz in corners)
    floor = replace(parts_bin.floor, normal=(-x, y, z))
    return turned, replace(parts_bin, floor=floor, region=region, corners=corners)


def measured_again(frame: DepthFrame, rng: np.random.Generator) -> DepthFrame:
    """The frame with as much noise again as a stereo camera adds, pixel by pixel."""
    sigma = D435_NOISE.depth_sigma(frame.depth_m, frame.intrinsics)
    noisy = frame.depth_m + sigma * rng.standard_normal(frame.depth_m.shape)
    return replace(frame, depth_m=noisy.astype(np.float32))
