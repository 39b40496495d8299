"""Spectral clustering (Ng, Jordan and Weiss 2001) on x, y and height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr, svd
from sklearn.neighbors import kneighbors_graph

from insegan_ros.baselines.pixels import PartPixels, spread_labels

SAMPLE = 800  # points in the graph; the others take the nearest one's label
NEIGHBOURS = 10


def spectral(pixels: PartPixels, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(h, w) labels from the graph of nearest neighbours among a sample of the points."""
    points = pixels.points
    chosen = points[rng.choice(len(points), min(SAMPLE, len(points)), replace=False)]
    if count == 1 or len(chosen) <= NEIGHBOURS:
        return pixels.image(np.zeros(len(points), np.int32))
    graph = kneighbors_graph(chosen, NEIGHBOURS, include_self=True).toarray()
    return pixels.image(spread_labels(points, chosen, cut(graph + graph.T, count)))


def cut(affinity: NDArray[np.float64], count: int) -> NDArray[np.int32]:
    """(M,) groups of the nodes of an undirected graph, (M, M), by its normalised Laplacian.

    Nodes are assigned by a pivoted QR of the eigenvectors (Damle, Minden and Ying 2019), which
    needs no start, and holds for eigenvectors of equal eigenvalues however they are turned: the
    graph of parts that lie apart has such.
    """
    root = np.sqrt(affinity.sum(axis=1))
    nodes = len(affinity)
    _, vectors = eigh(affinity / np.outer(root, root), subset_by_index=(nodes - count, nodes - 1))
    vectors /= root[:, None]  # (M, count)
    _, _, pivots = qr(vectors.T, mode='economic', pivoting=True)
    left, _, right = svd(vectors[pivots[:count]].T)  # the nearest rotation onto the pivots' axes
    return np.abs(vectors @ (left @ right)).argmax(axis=1).astype(np.int32)
