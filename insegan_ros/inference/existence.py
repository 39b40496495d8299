"""Which candidates are parts of their own.

A part of which another hides the middle shows two pieces, and their votes for its centre may lie
apart; where parts meet, unsure votes gather; and a part that is hardly seen has few votes. So
candidates are taken generously, and a rule takes away, one by one, those that are least likely
parts; their pixels go to the centres nearest to their votes. What decides is how many and how sure
a candidate's votes are, how much of a part they believe to be, and what is near. The rule is
learned from piles of the template, whose labels cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from insegan_ros.deadline import check_time
from insegan_ros.distillation.clusters import Clusters
from insegan_ros.inference.confidence import Confidence

# part lengths beyond which a neighbour says nothing; the learned rules depend on it
FAR = 1.0


@dataclass(frozen=True)
class Existence:
    """How likely a candidate is a part of its own, and how likely it has to be."""

    rule: Confidence
    threshold: float = 0.5

    def __call__(self, clusters: Clusters) -> None:
        """Take away what is no part, the least likely first; one candidate always stays."""
        while len(clusters) > 1:
            check_time()
            cues = existence_cues(clusters)[:, : len(self.rule.weights)]  # of an earlier version
            probability = self.rule(cues)
            worst = int(probability.argmin())
            if probability[worst] >= self.threshold:
                return
            clusters.drop(worst)


def existence_cues(clusters: Clusters) -> NDArray[np.float64]:
    """(N, 15) what says if a candidate is a part; none depends on the image's resolution."""
    length = clusters.config.length_px
    area, support = np.maximum(clusters.area, 1), clusters.support
    visible, agreement = clusters.visible, clusters.agreement
    # beside the nearest candidate with more support: may it be a piece of that one?
    distance = np.where(support[None] > support[:, None], clusters.apart, FAR)
    other = distance.argmin(axis=1)
    above = (clusters.centres[:, 2] - clusters.centres[other, 2]) / length
    apart = np.minimum(distance.min(axis=1), FAR)
    alone = apart >= FAR
    usual = np.quantile(area, 0.8)
    compact = np.log(usual / length**2)
    columns = [
        agreement,
        visible,
        np.log(area / usual),
        np.log(support / length**2 + 1e-4),
        np.log(support / area),
        clusters.spread,
        apart,
        np.exp(-4 * apart),
        np.where(alone, 0, np.log(area / area[other])),
        np.where(alone, 0, visible + visible[other]),
        np.where(alone, 1, agreement[other]),
        np.where(alone, 1, np.minimum(np.abs(above), 1)),
        np.full(len(clusters), compact),
        np.where(alone, 0, np.log(apart + 0.01) - compact / 2),  # against how thick parts look
        np.where(alone, 0, np.log(4 * apart + 0.05) - clusters.spread),  # how unsure votes are
    ]
    return np.stack(columns, axis=1)


def fit_existence(
    cases: Iterable[tuple[Clusters, NDArray[np.integer]]], *, own_iou: float
) -> Existence | None:
    """From candidates and (H, W) true labels; the candidates are used up.

    None where there is no candidate at all.

    Args:
        own_iou: as `are_own` says.
    """
    cues, own = [], []
    for clusters, true in cases:
        while len(clusters):
            cues.append(existence_cues(clusters))
            own.append(are_own(clusters.labels, true, len(clusters), own_iou=own_iou))
            if own[-1].all() or len(clusters) == 1:
                break
            # what the rule sees once some are gone
            clusters.drop(int(np.where(own[-1], np.inf, clusters.support).argmin()))
    if not cues:
        return None
    return Existence(Confidence.fit(np.concatenate(cues), np.concatenate(own)))


def are_own(
    labels: NDArray[np.integer], true: NDArray[np.integer], count: int, *, own_iou: float
) -> NDArray[np.bool_]:
    """(count,) whether an instance has a true part to itself, by the largest sum of IoUs.

    Args:
        own_iou: of an instance and the part given to it, above which it counts as that part.
    """
    parts = max(int(true.max(initial=0)), 1)
    both = (labels > 0) & (true > 0)
    index = (labels[both].astype(int) - 1) * parts + true[both].astype(int) - 1
    shared = np.bincount(index, minlength=count * parts).reshape(count, parts)
    area = np.bincount(labels[labels > 0], minlength=count + 1)[1:, None]
    of_parts = np.bincount(true[true > 0], minlength=parts + 1)[1:]
    iou = shared / np.maximum(area + of_parts - shared, 1)
    rows, columns = linear_sum_assignment(-iou)
    own = np.zeros(count, bool)
    own[rows] = iou[rows, columns] > own_iou
    return own
