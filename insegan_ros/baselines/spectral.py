"""Spectral clustering (Ng, Jordan and Weiss 2001) on x, y and height."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import SpectralClustering

from insegan_ros.baselines.pixels import PartPixels, spread_labels

SAMPLE = 800  # points in the graph; the others take the nearest one's label
NEIGHBOURS = 10


def spectral(pixels: PartPixels, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(h, w) labels from the graph of nearest neighbours among a sample of the points."""
    points = pixels.points
    chosen = points[rng.choice(len(points), min(SAMPLE, len(points)), replace=False)]
    if count == 1 or len(chosen) <= NEIGHBOURS:
        return pixels.image(np.zeros(len(points), np.int32))
    clusters = SpectralClustering(
        count,
        affinity='nearest_neighbors',
        n_neighbors=NEIGHBOURS,
        assign_labels='cluster_qr',
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings():  # parts that lie apart are no defect of the graph
        warnings.filterwarnings('ignore', message='Graph is not fully connected')
        labels = clusters.fit_predict(chosen)
    return pixels.image(spread_labels(points, chosen, labels))
