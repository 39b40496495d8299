"""Efficient graph-based segmentation (Felzenszwalb and Huttenlocher 2004) of the height image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb as graph_segmentation

from insegan_ros.baselines.pixels import PartPixels, spread_labels

SCALE = 30.0
SIGMA = 0.8  # px
SMALLEST = 0.15  # of an average instance: smaller segments are edges
UNIT_M = 0.05  # heights are divided by this: about the height of a pile


def felzenszwalb(pixels: PartPixels, count: int, _rng: np.random.Generator) -> NDArray[np.int32]:
    """(h, w) labels: at most `count` segments, the largest; smaller ones join the nearest."""
    image = pixels.heights / UNIT_M
    smallest = max(int(SMALLEST * len(pixels.points) / count), 4)
    segments = graph_segmentation(image, SCALE, SIGMA, smallest, channel_axis=None)
    own = segments[pixels.mask]
    names, sizes = np.unique(own, return_counts=True)
    largest = names[np.argsort(-sizes)][:count]
    kept = np.isin(own, largest)
    joined = spread_labels(pixels.points, pixels.points[kept], own[kept])
    return pixels.image(np.searchsorted(np.sort(largest), joined))
