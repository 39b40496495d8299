"""Pieces of a part, and slivers between parts, that came out as instances of their own.

A part of which another hides the middle shows two pieces, and their votes for its centre may lie
apart; where parts meet, unsure votes gather. Whether an instance is a part of its own is told by
where it and its neighbours vote, how sure they are, and how much of a part they believe to be. The
rule is learned from piles of the template, whose labels cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from insegan_ros.inference.confidence import Confidence
from insegan_ros.inference.found import Found

REACH = 0.6  # of the part's length: centres further apart are of two parts
OWN_IOU = 0.02  # of a true part that no other instance takes: an instance is a part of its own


@dataclass(frozen=True)
class Merging:
    """Which instances belong to a neighbour."""

    same: Confidence  # of two that are near each other: they are one part
    own: Confidence  # of one: it is a part of its own
    threshold: float  # of the latter; 0: all are

    def __call__(self, found: Found, length_m: float) -> Found:
        """The instances, those that are no part of their own given to the nearest that is.

        Args:
            length_m: of the part.
        """
        if len(found.centres) < 2:
            return found
        probability = self.own(own_cues(found, self.same, length_m))
        stays = probability >= min(self.threshold, probability.max())
        apart = np.linalg.norm(found.centres[:, None] - found.centres[stays], axis=2)
        nearest = np.flatnonzero(stays)[apart.argmin(axis=1)]
        return grouped(found, np.where(stays, np.arange(len(stays)), nearest))


def pair_cues(found: Found, length_m: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(P, 2) instances whose centres are near each other; (P, 8) what tells if they are one."""
    first, second = np.triu_indices(len(found.centres), 1)
    offset = (found.centres[first] - found.centres[second]) / length_m
    near = np.linalg.norm(offset, axis=1) < REACH
    first, second, offset = first[near], second[near], offset[near]
    area = _areas(found)
    visible = np.sort(np.stack([found.visible[first], found.visible[second]]), axis=0)
    agreement = np.sort(np.stack([found.agreement[first], found.agreement[second]]), axis=0)
    columns = [
        np.linalg.norm(offset, axis=1),
        np.abs(offset[:, 2]),
        *visible,
        visible.sum(axis=0),
        *agreement,
        np.log1p(np.minimum(area[first], area[second])),
    ]
    return np.stack([first, second], axis=1), np.stack(columns, axis=1).astype(np.float64)


def own_cues(found: Found, same: Confidence, length_m: float) -> NDArray[np.float64]:
    """(N, 4) what tells if an instance is a part of its own."""
    area = _areas(found)
    pairs, cues = pair_cues(found, length_m)
    # of two that may be one, the smaller one's existence is in doubt
    smaller = np.where(area[pairs[:, 0]] < area[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    doubt = np.zeros(len(area))
    np.maximum.at(doubt, smaller, same(cues))
    share = np.log(area / np.quantile(area, 0.8) + 0.01)
    return np.stack([found.agreement, found.visible, share, doubt], axis=1)


def fit_merging(
    cases: Iterable[tuple[Found, NDArray[np.integer], float]],
) -> tuple[Confidence, Confidence] | None:
    """`same` and `own`, from instances, (H, W) true labels and part lengths in m.

    None where no two instances are near each other.
    """
    cases = [case for case in cases if len(case[0].centres)]
    pairs = [pair_cues(found, length_m) for found, _, length_m in cases]
    if not sum(len(index) for index, _ in pairs):
        return None
    one = [_same_part(found, index, true) for (found, true, _), (index, _) in zip(cases, pairs)]
    same = Confidence.fit(np.concatenate([cues for _, cues in pairs]), np.concatenate(one))
    own = Confidence.fit(
        np.concatenate([own_cues(found, same, length_m) for found, _, length_m in cases]),
        np.concatenate([_is_own(found, true) for found, true, _ in cases]),
    )
    return same, own


def grouped(found: Found, group: NDArray[np.integer]) -> Found:
    """Instances of one number in `group` (N,) made one: centres and cues by their areas."""
    kept, place = np.unique(group, return_inverse=True)
    if len(kept) == len(group):
        return found
    area = _areas(found)
    total = np.maximum(np.bincount(place, area), 1e-9)

    def mean(values: NDArray) -> NDArray[np.float64]:
        return np.bincount(place, values * area) / total

    return Found(
        np.concatenate([[0], place + 1])[found.labels].astype(np.int32),
        np.stack([mean(axis) for axis in found.centres.T], axis=1),
        mean(found.agreement).astype(np.float32),
        np.clip(np.bincount(place, found.visible), 0, 1).astype(np.float32),
    )


def _areas(found: Found) -> NDArray[np.float64]:
    """(N,) px."""
    areas = np.bincount(found.labels.ravel(), minlength=len(found.centres) + 1)[1:]
    return areas.astype(np.float64)


def _same_part(
    found: Found, pairs: NDArray[np.integer], true: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """(P,) whether both show mostly the same part."""
    shared = _shared(found, true)
    owner = np.where(shared.any(axis=1), shared.argmax(axis=1), -1 - np.arange(len(shared)))
    return owner[pairs[:, 0]] == owner[pairs[:, 1]]


def _is_own(found: Found, true: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(N,) whether an instance has a true part to itself, matched for the largest sum of IoUs."""
    shared = _shared(found, true)
    of_parts = np.bincount(true[true > 0], minlength=shared.shape[1] + 1)[1:]
    iou = shared / np.maximum(_areas(found)[:, None] + of_parts - shared, 1)
    rows, columns = linear_sum_assignment(-iou)
    own = np.zeros(len(iou), bool)
    own[rows] = iou[rows, columns] > OWN_IOU
    return own


def _shared(found: Found, true: NDArray[np.integer]) -> NDArray[np.float64]:
    """(N, T) pixels of instance k + 1 that show part t + 1."""
    parts = max(int(true.max(initial=0)), 1)
    count = len(found.centres)
    both = (found.labels > 0) & (true > 0)
    index = (found.labels[both].astype(int) - 1) * parts + true[both].astype(int) - 1
    return np.bincount(index, minlength=count * parts).reshape(count, parts).astype(float)
