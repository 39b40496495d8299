"""What the classical methods share: parts' pixels in, labels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KDTree

from insegan_ros.bin_segmenter import BinSegmenter
from insegan_ros.camera import points_from_depth, segmentation_from_labels
from insegan_ros.deadline import check_time
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.floor import floor_coordinates
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Segmentation

MOST_INSTANCES = 12  # that are looked for where the count is not given
MIN_PIXELS = 30  # of foreground: fewer are noise in an empty bin
EDGE_SIGMAS = 3.5  # a slope per pixel beyond this many standard deviations is an edge


@dataclass(frozen=True)
class PartPixels:
    """The pixels that show parts, in a window of the image around all of them."""

    mask: NDArray[np.bool_]  # (h, w)
    heights: NDArray[np.float32]  # (h, w) metres above the floor, 0 outside the mask
    points: NDArray[np.float32]  # (M, 3) x, y along the floor and height, m; the mask's row order
    noise_m: float  # standard deviation of the sensor's depth here

    def image(self, labels: NDArray[np.integer]) -> NDArray[np.int32]:
        """(M,) labels from 0 -> (h, w) labels from 1, 0 where no part is."""
        image = np.zeros(self.mask.shape, np.int32)
        image[self.mask] = labels + 1
        return image


# (pixels, number of instances, random numbers) -> (h, w) labels, 0 where no part is
Method = Callable[[PartPixels, int, np.random.Generator], NDArray[np.int32]]


class ClassicalSegmenter(BinSegmenter):
    """A Segmenter made of a function that labels pixels."""

    def __init__(
        self, method: Method, instances: int | None, parts_bin: Bin | None, *, seed: int = 0
    ) -> None:
        super().__init__(parts_bin, seed)
        self._method, self._instances, self._seed = method, instances, seed

    def _segment(
        self,
        frame: DepthFrame,
        parts_bin: Bin,
        seconds: float,  # noqa: ARG002
    ) -> Segmentation:
        rng = np.random.default_rng(self._seed)  # a frame's labels do not depend on earlier ones
        labels = np.zeros(frame.depth_m.shape, np.int32)
        mask = foreground(frame, parts_bin)
        if mask.sum() >= MIN_PIXELS:
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            pixels = part_pixels(frame, parts_bin, mask, window=window)
            count = self._instances or estimate_count(pixels)
            check_time()
            labels[window] = self._method(pixels, min(count, len(pixels.points)), rng)
        return segmentation_from_labels(frame, labels)


def part_pixels(
    frame: DepthFrame, parts_bin: Bin, mask: NDArray[np.bool_], *, window: tuple[slice, slice]
) -> PartPixels:
    """What the clustering methods know of the pixels of `mask` in a window."""
    points = floor_coordinates(
        points_from_depth(frame.depth_m, frame.intrinsics)[window], parts_bin.floor
    )
    inside = mask[window]
    heights = np.where(inside, points[..., 2], np.float32(0))
    depth = frame.depth_m[window][inside]
    noise_m = float(np.median(D435_NOISE.depth_sigma(depth, frame.intrinsics)))
    return PartPixels(inside, heights, points[inside], noise_m)


def estimate_count(pixels: PartPixels) -> int:
    """How many instances the pixels show: connected areas that depth edges divide.

    An edge is a step in height beyond the sensor's noise; areas much smaller than the median are
    slivers. Parts that touch at one height count as one and parts that cross another as two.
    """
    slopes = [cv2.Sobel(pixels.heights, cv2.CV_32F, *d) / 8 for d in ((1, 0), (0, 1))]
    smooth = pixels.mask & (np.hypot(*slopes) < EDGE_SIGMAS * pixels.noise_m)
    _, _, stats, _ = cv2.connectedComponentsWithStats(smooth.astype(np.uint8), connectivity=4)
    areas = np.asarray(stats[1:, cv2.CC_STAT_AREA], np.int32)
    areas = areas[areas >= MIN_PIXELS]
    if not len(areas):
        return 1
    return int(np.clip((areas > 0.25 * np.median(areas)).sum(), 1, MOST_INSTANCES))


def spread_labels(
    points: NDArray[np.float32], sample: NDArray[np.float32], labels: NDArray[np.integer]
) -> NDArray[np.integer]:
    """(M, 3) points take the label of the nearest of the (S, 3) sample: (M,)."""
    nearest = KDTree(sample).query(points, k=1, return_distance=False)[:, 0]
    return labels[nearest]
