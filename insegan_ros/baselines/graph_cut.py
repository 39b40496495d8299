"""Minimum-energy labelling by graph cuts (Boykov and Kolmogorov 2004, alpha expansion)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from insegan_ros.baselines.pixels import PartPixels
from insegan_ros.optional import needed_for

SMOOTHNESS = 2.0  # cost of two neighbours with different labels, in nats
FIT_POINTS = 2000
MOST_COSTS = 12e6  # pixels times labels
MOST_COST = 20.0  # nats: no pixel rules a label out


def graph_cut(pixels: PartPixels, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(h, w) labels of least energy: Gaussians over x, y, height, and a Potts model.

    The background is a label of its own that costs nothing where no part is.

    Raises:
        ValueError: more pixels and instances than can be cut in a moment.
    """
    with needed_for('the method graph_cut'):
        from maxflow import fastmin
    if pixels.mask.size * (count + 1) > MOST_COSTS:
        height, width = pixels.mask.shape
        raise ValueError(
            f'{width} x {height} px are too many for a graph cut into {count} instances; give '
            "the bin's region in a bin file (insegan calibrate), or take kmeans"
        )
    points = pixels.points * 100  # cm: the mixture's regularisation is absolute
    chosen = points[rng.choice(len(points), min(FIT_POINTS, len(points)), replace=False)]
    mixture = GaussianMixture(count, random_state=int(rng.integers(2**31)), reg_covar=1e-3)
    likelihood = mixture.fit(chosen)._estimate_weighted_log_prob(points)  # (M, count)
    cost = np.full((*pixels.mask.shape, count + 1), MOST_COST)
    cost[..., 0] = np.where(pixels.mask, MOST_COST, 0.0)
    cost[pixels.mask, 1:] = np.minimum(likelihood.max(1, keepdims=True) - likelihood, MOST_COST)
    potts = SMOOTHNESS * (1 - np.eye(count + 1))
    start = np.zeros(pixels.mask.shape, np.int64)
    start[pixels.mask] = 1 + likelihood.argmax(axis=1)
    labels = fastmin.aexpansion_grid(cost, potts, max_cycles=3, labels=start)
    return np.where(pixels.mask, labels, 0).astype(np.int32)
