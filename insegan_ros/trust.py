"""Signs, which need no labels, that a frame's segmentation is not to be trusted.

The methods assume one kind of part in a bin whose floor is seen. Where that does not hold, or
where the network does not know what it sees, the frame itself shows it: much of what stands in
the bin belongs to no instance, instances have no common size, the part's template does not fit
them, or what is taken for the floor is no plane. The limits were chosen on piles of random shapes
that taught nothing and on frames of the parts made apart from those judged (benchmarks/trust.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import height_map
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation, Segmenter
from insegan_ros.view_limits import LimitedSegmenter

STRIDE = 2  # px skipped where shares of the image are measured
WHOLE = 0.9  # visible share above which an instance shows how large the part is
LARGEST = 95  # percentile of the instances' sides: some part lies so that its length is seen
LEAST_PARTS_PX = 40  # of the thinned image: fewer are specks of noise
NEAR_M = 0.004  # of the floor
BELOW_M = 0.008  # under the floor by more than noise
ON_M, ON_SIGMA = 0.002, 2.0  # a point is on the floor within the larger, of the camera's noise
LAYERS = 4  # above the floor, as thick as half of what is on it
FLAT_PX = 5  # of the thinned image: side of a window that shows nothing but floor


@dataclass(frozen=True)
class Signs:
    """What a frame and its segmentation show without labels; NaN where nothing shows it."""

    instances: int
    explained: float  # share of what stands in the bin that belongs to an instance
    score: float  # of the instances, on average by their area
    residual: float  # difference of renderings and measurements, median, in part lengths
    longest: float  # longest sides of instances, near the largest of them, in part lengths
    spread: float  # standard deviation of the logarithms of those sides that are seen whole
    tilt_degrees: float  # of the camera against the floor
    on_floor: float  # share of the measured points that lie on the floor
    below_floor: float  # share of the measured points that lie under it
    floor_peak: float  # points on the floor, for one in a layer as thick just above it
    floor_flat: float  # share of the points on the floor that have only such around them
    misfit: float  # cost of the template's poses, where it is usual: 1


@dataclass(frozen=True)
class TrustLimits:
    """Beyond these a frame is doubtful."""

    explained: float = 0.8
    score: float = 0.55  # a calibrated one, too: docs/results.md compares lower ones
    residual: float = 0.08
    longest: tuple[float, float] = (0.92, 1.35)
    spread: float = 0.5
    tilt_degrees: float = 35.0  # up to which networks have seen piles
    on_floor: float = 0.01
    below_floor: float = 0.04
    # a floor is no plane where both are less: bins full of thin parts have as many just above it
    floor_peak: float = 1.5
    floor_flat: float = 0.2
    misfit: float = 1.25


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
    signs = signs_of(
        found,
        frame,
        parts_bin,
        part_length_m=segmenter.part_length_m,
        misfit=segmenter.misfit,
    )
    return replace(found, doubts=doubts_of(signs, limits))


def signs_of(
    found: Segmentation,
    frame: DepthFrame,
    parts_bin: Bin,
    *,
    part_length_m: float | None,
    misfit: float | None = None,
) -> Signs:
    """The signs of a frame; what the method does not know is None (see types.Segmenter)."""
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
    sides, visible = _longest_sides(found, labels, seen)
    whole = sides[visible >= WHOLE]
    peak, flat = _floor_signs(seen, heights)
    return Signs(
        instances=found.count,
        explained=explained,
        score=float(np.average(found.scores, weights=area)) if area.sum() else np.nan,
        residual=float(np.median(off)) / length_m if len(off) else np.nan,
        longest=float(np.percentile(sides, LARGEST)) / length_m if len(sides) > 1 else np.nan,
        spread=float(np.std(np.log(whole))) if len(whole) > 2 else np.nan,
        tilt_degrees=float(np.degrees(np.arccos(np.clip(-parts_bin.floor.normal[2], -1, 1)))),
        on_floor=float((np.abs(measured) < NEAR_M).mean()) if len(measured) else np.nan,
        below_floor=float((measured < -BELOW_M).mean()) if len(measured) else np.nan,
        floor_peak=peak,
        floor_flat=flat,
        misfit=np.nan if misfit is None else misfit,
    )


def doubts_of(signs: Signs, limits: TrustLimits = LIMITS) -> tuple[str, ...]:
    """Why a frame is not to be trusted, in words; what is not known raises no doubt."""
    short, long = limits.longest
    told = [
        (
            signs.misfit > limits.misfit,
            f"the part's shape fits what is found {signs.misfit:.1f} times as badly as usual: is "
            'it the model of another part?',
        ),
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
            f'the longest instances are {signs.longest:.2f} times as long as the part: is its '
            'length right?',
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
        (
            signs.floor_peak < limits.floor_peak and signs.floor_flat < limits.floor_flat,
            'what is taken for the floor is no plane: the floor may be hidden',
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


def _floor_signs(seen: DepthFrame, heights: NDArray[np.floating]) -> tuple[float, float]:
    """`floor_peak` and `floor_flat` of the thinned image; NaN where nothing lies on the floor.

    A floor is a peak among the heights, as wide as the camera's noise, and is seen in patches;
    parts cross the height of their lowest ones in lines, with as many points just above.
    """
    measured = np.isfinite(heights)
    sigma = D435_NOISE.depth_sigma(np.where(measured, seen.depth_m, 1), seen.intrinsics)
    thick = np.maximum(ON_M, ON_SIGMA * sigma)
    on = measured & (np.abs(heights) < thick)
    if not on.any():
        return np.nan, np.nan
    above = measured & (heights > thick) & (heights < (1 + LAYERS) * thick)
    other = cv2.dilate((measured & ~on).astype(np.uint8), np.ones((FLAT_PX, FLAT_PX), np.uint8))
    peak = (on.sum() / 2) / max(above.sum() / LAYERS, 1)
    return float(peak), float((other[on] == 0).mean())


def _longest_sides(
    found: Segmentation, labels: NDArray[np.integer], seen: DepthFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(M,) metres, of the instances in the image, and (M,) how much of each is visible.

    Args:
        labels: of the thinned image `seen`.
    """
    places = np.argwhere((labels > 0) & np.isfinite(seen.depth_m))
    values = labels[tuple(places.T)]
    together = np.argsort(values, kind='stable')
    ids, starts = np.unique(values[together], return_index=True)
    sides, visible = [], []
    ends = [*starts[1:], len(places)]
    for k, first, last in zip(ids, starts, ends, strict=False):  # of no place nothing
        pixels = places[together[first:last]]
        pixel_m = float(np.median(seen.depth_m[tuple(pixels.T)])) / seen.intrinsics.fx
        sides.append((max(cv2.minAreaRect(pixels.astype(np.float32))[1]) + 1) * pixel_m)
        visible.append(found.visible_fraction[k - 1])
    return np.array(sides, np.float64), np.array(visible, np.float64)
