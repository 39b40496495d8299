"""Figures of merit for instance segmentation: label images in, numbers out.

Every function takes (H, W) integer label images, 0 for background, ids otherwise arbitrary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

Labels = NDArray[np.integer]

AP_THRESHOLDS = np.linspace(0.5, 0.95, 10)
IGNORED_VISIBLE = 0.1  # of an instance's outline, in the mask AP of BOP
WELL_VISIBLE = 0.5  # of an instance's outline: it ought to be found


def iou_matrix(predicted: Labels, true: Labels) -> NDArray[np.float64]:
    """(P, T) intersection over union of every predicted with every true instance."""
    p_ids, p = _present(predicted)
    t_ids, t = _present(true)
    counts = np.bincount(p * len(t_ids) + t, minlength=len(p_ids) * len(t_ids))
    counts = counts.reshape(len(p_ids), len(t_ids))
    union = counts.sum(1, keepdims=True) + counts.sum(0, keepdims=True) - counts
    return (counts / union)[p_ids != 0][:, t_ids != 0]


def _present(labels: Labels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The ids that occur, ascending, and of every pixel its id's place among them, flat."""
    flat = np.asarray(labels).reshape(-1)
    if not flat.size or flat.min() < 0 or flat.max() > 2 * flat.size:  # a table would be larger
        ids, places = np.unique(flat, return_inverse=True)
        return ids.astype(np.intp), places.reshape(-1)
    flat = flat.astype(np.intp)
    ids = np.flatnonzero(np.bincount(flat))  # np.unique sorts: several times as slow
    table = np.zeros(ids[-1] + 1, np.intp)
    table[ids] = np.arange(len(ids))
    return ids, table[flat]


def paper_miou(predicted: Labels, true: Labels) -> float:
    """The InSeGAN paper's mIoU: flattering, kept for comparison with its tables.

    What is predicted where the truth is background does not count, and each true instance takes
    its best prediction, whoever else takes the same. NaN where no instance is true.
    """
    matrix = iou_matrix(np.where(true == 0, 0, predicted), true)
    if not matrix.shape[1]:
        return float('nan')
    return float(matrix.max(axis=0).mean()) if len(matrix) else 0.0


def strict_miou(predicted: Labels, true: Labels) -> float:
    """Mean IoU over true instances, matched one to one for the largest sum; a missed one is 0."""
    matrix = iou_matrix(predicted, true)
    if not matrix.shape[1]:
        return float('nan')
    return float(matrix[linear_sum_assignment(-matrix)].sum() / matrix.shape[1])


def false_positives(predicted: Labels, true: Labels, threshold: float = 0.5) -> int:
    """Predicted instances left over when as many as can be match a true one, one to one.

    A match has at least this IoU. (The matching of `strict_miou` serves another end: for a larger
    sum it may give up a good pair for two poor ones.)
    """
    good = iou_matrix(predicted, true) >= threshold
    return int(len(good) - good[linear_sum_assignment(good, maximize=True)].sum())


def found_instances(matrix: NDArray[np.float64], threshold: float = 0.75) -> NDArray[np.bool_]:
    """(P, T) IoUs -> (T,) which true instances are found, when as many as can be match.

    A match is one to one, with at least this IoU.
    """
    good = matrix >= threshold
    rows, columns = linear_sum_assignment(good, maximize=True)
    found = np.zeros(matrix.shape[1], bool)
    found[columns] = good[rows, columns]
    return found


@dataclass(frozen=True)
class MatchedKinds:
    """Of each true instance: how well it is found, and as what."""

    true: NDArray[np.int64]  # (T,) 1, 2, ...
    iou: NDArray[np.float64]  # (T,) with the instance of `strict_miou`'s matching, 0: none
    found: NDArray[np.int64]  # (T,) 1, 2, ... in the method's own order; 0: none


def matched_kinds(
    predicted: Labels,
    true: Labels,
    *,
    predicted_kinds: NDArray[np.integer],
    true_kinds: NDArray[np.integer],
) -> MatchedKinds:
    """The kinds of instances matched one to one for the largest sum of IoUs.

    Args:
        predicted_kinds: of the instances 1, 2, ... of `predicted`; `true_kinds` likewise.
    """
    kinds = np.asarray(true_kinds, np.int64)[np.unique(true[true != 0]) - 1]
    own = np.asarray(predicted_kinds, np.int64)[np.unique(predicted[predicted != 0]) - 1]
    matrix = iou_matrix(predicted, true)
    rows, columns = linear_sum_assignment(-matrix)
    met = matrix[rows, columns] > 0
    iou, found = np.zeros(len(kinds)), np.zeros(len(kinds), np.int64)
    iou[columns], found[columns[met]] = matrix[rows, columns], own[rows[met]]
    return MatchedKinds(kinds, iou, found)


def class_accuracy(matched: Sequence[MatchedKinds], least_iou: float = 0.5) -> float:
    """Share of the instances found with this IoU whose kind is right; NaN where none is found.

    Kinds that were learned without labels have no names: over all frames together, each is taken
    for the true kind that makes the largest number right, one to one.
    """
    true, found, iou = (
        np.concatenate([getattr(m, name) for m in matched] or [np.zeros(0)])
        for name in ('true', 'found', 'iou')
    )
    good = iou >= least_iou
    if not good.any():
        return float('nan')
    table = np.zeros((int(found.max()) + 1, int(true.max()) + 1))
    np.add.at(table, (found[good].astype(int), true[good].astype(int)), 1)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / good.sum())


def kind_miou(matched: Sequence[MatchedKinds]) -> dict[int, float]:
    """True kind -> mean IoU of all its instances, missed ones 0."""
    true, iou = (
        np.concatenate([getattr(m, name) for m in matched] or [np.zeros(0)])
        for name in ('true', 'iou')
    )
    return {int(kind): float(iou[true == kind].mean()) for kind in np.unique(true)}


def foreground_iou(predicted: Labels, true: Labels) -> float:
    """IoU of all that is predicted with all that is true; NaN where both are empty.

    Low where the bin was found wrongly: what a method is then given are not the parts.
    """
    p, t = predicted != 0, true != 0
    union = (p | t).sum()
    return float((p & t).sum() / union) if union else float('nan')


def ari_foreground(predicted: Labels, true: Labels) -> float:
    """Adjusted Rand index over the pixels whose truth is an instance; NaN where none is."""
    inside = true != 0
    if not inside.any():
        return float('nan')
    return float(adjusted_rand_score(true[inside], predicted[inside]))


def count_is_right(predicted: Labels, true: Labels) -> bool:
    """Whether as many instances are predicted as are visible."""
    shape = iou_matrix(predicted, true).shape
    return shape[0] == shape[1]


def average_precision(
    matrices: list[NDArray[np.float64]],
    scores: list[NDArray[np.floating]],
    thresholds: NDArray[np.floating] = AP_THRESHOLDS,
    *,
    ignored: list[NDArray[np.bool_]] | None = None,
) -> float:
    """Class-agnostic AP over a dataset, averaged over IoU thresholds, as COCO computes it.

    Args:
        matrices: for each image the (P, T) IoU of predictions with true instances.
        scores: for each image the (P,) confidence of its predictions.
        ignored: for each image, (T,) true instances that need not be found: a prediction that
            takes none of the others but one of these counts neither for nor against. BOP ignores
            those of which less than IGNORED_VISIBLE is visible.
    """
    if ignored is None:
        ignored = [np.zeros(matrix.shape[1], bool) for matrix in matrices]
    true_count = sum(int((~each).sum()) for each in ignored)
    if true_count == 0:
        return float('nan')
    order = np.argsort(-np.concatenate(scores), kind='stable')
    precisions = []
    for threshold in thresholds:
        images = zip(matrices, scores, ignored, strict=True)
        taken = np.concatenate([_hits(m, s, threshold, ignored=i) for m, s, i in images])[order]
        precisions.append(_interpolated_precision(taken[taken >= 0] > 0, true_count))
    return float(np.mean(precisions))


def _hits(
    matrix: NDArray[np.float64],
    scores: NDArray[np.floating],
    threshold: float,
    *,
    ignored: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """(P,) whether each prediction, best score first, takes a free instance well enough.

    1: it does, 0: it does not, -1: it takes one that is ignored.
    """
    hits = np.zeros(len(matrix), np.int8)
    free = np.ones(matrix.shape[1], bool)
    for k in np.argsort(-np.asarray(scores), kind='stable'):
        for wanted, worth in ((~ignored, 1), (ignored, -1)):
            candidates = np.where(free & wanted, matrix[k], -1.0)
            if candidates.size and candidates.max() >= threshold:
                free[candidates.argmax()] = False
                hits[k] = worth
                break
    return hits


def _interpolated_precision(hits: NDArray[np.bool_], true_count: int) -> float:
    """Mean over recalls 0, 0.01, ..., 1 of the best precision at that recall or beyond."""
    true_positives = np.cumsum(hits)
    recall = true_positives / true_count
    precision = true_positives / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    positions = np.searchsorted(recall, np.linspace(0, 1, 101), side='left')
    return float(np.mean([envelope[k] if k < len(envelope) else 0.0 for k in positions]))
