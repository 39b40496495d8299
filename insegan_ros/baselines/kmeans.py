"""K-means on x, y and height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from insegan_ros.baselines.pixels import PartPixels

FIT_POINTS = 3000  # enough for the centres; every point is then assigned


def kmeans(pixels: PartPixels, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(h, w) labels: each part's pixel belongs to the nearest of `count` centres."""
    points = pixels.points
    chosen = rng.choice(len(points), min(FIT_POINTS, len(points)), replace=False)
    clusters = KMeans(count, n_init=4, random_state=int(rng.integers(2**31)))
    clusters.fit(points[chosen])
    return pixels.image(clusters.predict(points))
