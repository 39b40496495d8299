"""When a frame's segmentation is not to be trusted, told by signs that need no labels.

The methods assume one kind of part in a bin whose floor is seen. Where that does not hold, or
where the network does not know what it sees, the frame itself shows it: much of what stands in
the bin belongs to no instance, instances have no common size, or nothing lies on the floor.
The limits were chosen on piles of random shapes that taught nothing (benchmarks/trust.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import height_map
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation, Segmenter
from insegan_ros.view_limits import LimitedSegmenter

STRIDE = 2  # px skipped where shares of the image are measured
WHOLE = 0.9  # visible share above which an instance tells how large the part is
LEAST_PARTS_PX = 40  # of the thinned image: fewer are specks of noise
NEAR_M = 0.004  # of the floor
BELOW_M = 0.008  # under the floor by more than noise


@dataclass(frozen=True)
class Signs:
    """What a frame and its segmentation show without labels; NaN where nothing tells."""

    instances: int
    explained: float  # share of what stands in the bin that belongs to an instance
    score: float  # of the instances, on average by their area
    residual: float  # difference of renderings and measurements, median, in part lengths
    longest: float  # longest sides of instances seen whole, median, in part lengths
    spread: float  # of those sides: the standard deviation of their logarithms
    tilt_degrees: float  # of the camera against the floor
    on_floor: float  # share of the measured points that lie on the floor
    below_floor: float  # share of the measured points that lie under it


@dataclass(frozen=True)
class TrustLimits:
    """Beyond these a frame is doubtful."""

    explained: float = 0.8
    score: float = 0.55
    residual: float = 0.08
    longest: tuple[float, float] = (0.5, 1.5)
    spread: float = 0.5
    tilt_degrees: float = 35.0  # up to which networks have seen piles
    on_floor: float = 0.01
    below_floor: float = 0.04


LIMITS = TrustLimits()


def judged(
    found: Segmentation, frame: DepthFrame, segmenter: Segmenter, *, limits: TrustLimits = LIMITS
) -> Segmentation:
    """The segmentation with `doubts`: none where the frame may be trusted.

    As it is, where the segmenter does not say where the bin was.
    """
    parts_bin = segmenter.parts_bin
    if parts_bin is None:
        return found
    if isinstance(segmenter, LimitedSegmenter):
        frame = segmenter.limits.applied(frame)
    signs = signs_of(found, frame, parts_bin, part_length_m=segmenter.part_length_m)
    return replace(found, doubts=doubts_of(signs, limits))


def signs_of(
    found: Segmentation, frame: DepthFrame, parts_bin: Bin, *, part_length_m: float | None
) -> Signs:
    """The signs of a frame; `part_length_m` None: the method does not know it."""
    thin = np.s_[::STRIDE, ::STRIDE]
    seen, small_bin = _thinned(frame), _thinned_bin(parts_bin)
    labels = found.labels[thin]
    heights = height_map(seen, parts_bin.floor)
    measured = heights[np.isfinite(heights)]
    parts = foreground(seen, small_bin)
    explained = float((labels[parts] > 0).mean()) if parts.sum() >= LEAST_PARTS_PX else np.nan
    area = np.bincount(labels.ravel(), minlength=found.count + 1)[1:]
    off = np.abs(found.rendered_depth[thin] - seen.depth_m)[labels > 0]
    off = off[np.isfinite(off)]
    length_m = part_length_m or np.nan
    sides = _longest_sides(found, labels, seen)
    return Signs(
        instances=found.count,
        explained=explained,
        score=float(np.average(found.scores, weights=area)) if area.sum() else np.nan,
        residual=float(np.median(off)) / length_m if len(off) else np.nan,
        longest=float(np.median(sides)) / length_m if len(sides) else np.nan,
        spread=float(np.std(np.log(sides))) if len(sides) > 2 else np.nan,
        tilt_degrees=float(np.degrees(np.arccos(np.clip(-parts_bin.floor.normal[2], -1, 1)))),
        on_floor=float((np.abs(measured) < NEAR_M).mean()) if len(measured) else np.nan,
        below_floor=float((measured < -BELOW_M).mean()) if len(measured) else np.nan,
    )


def doubts_of(signs: Signs, limits: TrustLimits = LIMITS) -> tuple[str, ...]:
    """Why a frame is not to be trusted, in words; what is not known raises no doubt."""
    short, long = limits.longest
    told = [
        (
            signs.explained < limits.explained,
            f'{signs.explained:.0%} of what stands in the bin belongs to an instance',
        ),
        (
            signs.score < limits.score,
            f'the instances have a mean score of {signs.score:.2f}',
        ),
        (
            signs.residual > limits.residual,
            f'renderings differ from what is measured by {signs.residual:.0%} of the part',
        ),
        (
            not short <= signs.longest <= long and not np.isnan(signs.longest),
            f'instances that are seen whole are {signs.longest:.1f} times as long as the part',
        ),
        (
            signs.spread > limits.spread,
            'instances that are seen whole differ too much in length to be of one kind',
        ),
        (
            signs.tilt_degrees > limits.tilt_degrees,
            f'the camera is tilted by {signs.tilt_degrees:.0f} degrees against the floor',
        ),
        (
            signs.on_floor < limits.on_floor,
            f'only {signs.on_floor:.1%} of what is measured lies on the floor',
        ),
        (
            signs.below_floor > limits.below_floor,
            f'{signs.below_floor:.0%} of what is measured lies under the floor',
        ),
    ]
    return tuple(reason for holds, reason in told if holds)


def _thinned(frame: DepthFrame) -> DepthFrame:
    """Every STRIDE-th pixel of the frame."""
    depth, k = np.ascontiguousarray(frame.depth_m[::STRIDE, ::STRIDE]), frame.intrinsics
    height, width = depth.shape
    camera = Intrinsics(width, height, k.fx / STRIDE, k.fy / STRIDE, k.cx / STRIDE, k.cy / STRIDE)
    return replace(frame, depth_m=depth, intrinsics=camera)


def _thinned_bin(parts_bin: Bin) -> Bin:
    """The bin in the image of `_thinned`."""
    if parts_bin.region is None:
        return parts_bin
    x, y, width, height = (-(-side // STRIDE) for side in parts_bin.region)
    return replace(parts_bin, region=(x, y, width, height))


def _longest_sides(
    found: Segmentation, labels: NDArray[np.integer], seen: DepthFrame
) -> NDArray[np.float64]:
    """(M,) metres, of the instances that are seen whole.

    Args:
        labels: of the thinned image `seen`.
    """
    places = np.argwhere((labels > 0) & np.isfinite(seen.depth_m))
    values = labels[tuple(places.T)]
    together = np.argsort(values, kind='stable')
    ids, starts = np.unique(values[together], return_index=True)
    sides = []
    for k, first, last in zip(
        ids, starts, [*starts[1:], len(places)], strict=False
    ):  # of no place nothing
        if found.visible_fraction[k - 1] < WHOLE:
            continue
        pixels = places[together[first:last]]
        pixel_m = float(np.median(seen.depth_m[tuple(pixels.T)])) / seen.intrinsics.fx
        sides.append((max(cv2.minAreaRect(pixels.astype(np.float32))[1]) + 1) * pixel_m)
    return np.array(sides, np.float64)
