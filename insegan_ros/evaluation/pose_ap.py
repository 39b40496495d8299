"""Average precision of poses, as the Siléane benchmark defines it.

Brégier et al., "Symmetry aware evaluation of 3D object detection and pose estimation in scenes of
many parts in bulk", ICCV workshops 2017. An estimated pose belongs to the true instance nearest to
it, if it is within 10 % of the part's diameter. Of several that belong to one instance the nearest
is right and the others are wrong, and so is a pose that belongs to none. Instances of which less
than half is visible need not be found: the nearest pose to one of them counts neither for nor
against. For every score, precision and recall are taken in each scene and averaged over the
scenes; the average precision is the area under the curve of these means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIMIT = 0.1  # of the diameter
LEAST_VISIBLE = 0.5  # of an instance that is to be found


@dataclass(frozen=True)
class PoseScene:
    """One image's estimated poses beside its true ones."""

    distances: NDArray[np.float64]  # (P, T) metres
    scores: NDArray[np.floating]  # (P,)
    wanted: NDArray[np.bool_]  # (T,) instances that are to be found

    def right_and_wrong(self, least_score: float, limit: float) -> tuple[int, int]:
        """How many poses of at least this score are right and how many wrong.

        Args:
            limit: metres; what is farther from every true pose is wrong.
        """
        chosen = self.distances[self.scores >= least_score]
        if not chosen.size:
            return 0, len(chosen)
        nearest_true, nearest_estimated = chosen.argmin(axis=1), chosen.argmin(axis=0)
        rows = np.arange(len(chosen))
        first = (chosen.min(axis=1) <= limit) & (nearest_estimated[nearest_true] == rows)
        return int((first & self.wanted[nearest_true]).sum()), int((~first).sum())

    def curve(self, limit: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(K + 1, 2) precision and recall of the best 0, 1, ... scores, and the (K,) scores."""
        levels = np.unique(self.scores)[::-1].astype(np.float64)
        wanted, points = int(self.wanted.sum()), []
        for level in [np.inf, *levels]:
            right, wrong = self.right_and_wrong(level, limit)
            precision = right / (right + wrong) if right + wrong else 1.0
            points.append((precision, right / wanted if wanted else 1.0))
        return np.array(points), levels


def pose_average_precision(scenes: Sequence[PoseScene], limit: float) -> float:
    """Area under the curve of mean precision over mean recall; NaN where nothing is wanted.

    Args:
        limit: metres within which a pose is right: LIMIT times the diameter.
    """
    if not any(scene.wanted.any() for scene in scenes):
        return float('nan')
    curves = [scene.curve(limit) for scene in scenes]
    levels = np.unique(np.concatenate([levels for _, levels in curves]))[::-1]
    mean = np.zeros((len(levels) + 1, 2))
    for points, own in curves:
        reached = np.searchsorted(-own, -levels, side='right')  # how many own levels are as high
        mean += points[np.concatenate([[0], reached])]
    precision, recall = (mean / len(scenes)).T
    return float((precision * np.diff(recall, prepend=0)).sum())
