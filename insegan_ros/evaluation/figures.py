"""Figures of merit of a method: of one frame, and of all frames together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.evaluation import metrics
from insegan_ros.types import Segmentation


@dataclass(frozen=True)
class FrameFigures:
    """One method's result on one frame. NaN where the frame has no truth to judge by."""

    index: int
    milliseconds: float
    failed: str  # why nothing was segmented: no bin was found, say; empty: it was
    renders: bool = False  # its rendered depth is its own, not the measured one repeated
    rerendering_mm: float = float('nan')
    empty_bin_mm: float = float('nan')  # the re-rendering error of a method that finds nothing
    paper_miou: float = float('nan')
    strict_miou: float = float('nan')
    ari: float = float('nan')
    foreground_iou: float = float('nan')
    false_positives: float = float('nan')
    count_right: float = float('nan')
    ious: NDArray[np.float64] | None = None  # (P, T)
    scores: NDArray[np.float32] | None = None  # (P,)
    kinds: metrics.MatchedKinds | None = None  # None: the truth has no kinds
    visible: NDArray[np.float64] | None = None  # (T,) share of each outline; None: not known


def label_figures(found: Segmentation, true: NDArray[np.integer]) -> dict:
    """The fields of FrameFigures that need the (H, W) true labels, -1 where nothing is judged."""
    labels, true = where_judged(found.labels, true)
    return {
        'paper_miou': metrics.paper_miou(labels, true),
        'strict_miou': metrics.strict_miou(labels, true),
        'ari': metrics.ari_foreground(labels, true),
        'foreground_iou': metrics.foreground_iou(labels, true),
        'false_positives': metrics.false_positives(labels, true),
        'count_right': float(metrics.count_is_right(labels, true)),
        'ious': metrics.iou_matrix(labels, true),
        'scores': found.scores[np.unique(labels[labels > 0]) - 1],  # one for each row of ious
    }


def where_judged(
    labels: NDArray[np.integer], true: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """(H, W) labels and truth without the pixels whose truth is -1, which is 0 in both then.

    An instance of which more than half lies there is taken away, as COCO does with its crowds.
    """
    unknown = true < 0
    if not unknown.any():
        return labels, true
    area = np.bincount(labels.ravel())
    inside = np.bincount(labels[unknown], minlength=len(area))
    away = (2 * inside > area)[labels] | unknown
    return np.where(away, 0, labels), np.where(unknown, 0, true)


def visible_shares(true: NDArray[np.integer], visible: Sequence[float]) -> NDArray[np.float64]:
    """(T,) what share of its outline is seen, of each of the instances in (H, W) labels.

    Args:
        visible: the same of instance k + 1.
    """
    return np.array([visible[k - 1] for k in np.unique(true[true > 0]).astype(int)], float)


@dataclass(frozen=True)
class Run:
    """One method with one seed on all frames."""

    method: str
    seed: int
    frames: tuple[FrameFigures, ...]

    def bop_ap(self) -> float:
        """COCO's AP of masks as BOP takes it; NaN where visible fractions are not known."""
        frames = [f for f in self.frames if f.ious is not None and f.visible is not None]
        if not frames or len(frames) < sum(f.ious is not None for f in self.frames):
            return float('nan')
        return metrics.average_precision(
            [f.ious for f in frames if f.ious is not None],
            [f.scores for f in frames if f.scores is not None],
            ignored=[f.visible < metrics.IGNORED_VISIBLE for f in frames if f.visible is not None],
        )

    def recall_of_visible(self) -> float:
        """Share of the instances at least half visible that are found; NaN where none is known."""
        found = [
            metrics.found_instances(f.ious)[f.visible >= metrics.WELL_VISIBLE]
            for f in self.frames
            if f.ious is not None and f.visible is not None
        ]
        all_found = np.concatenate([np.zeros(0), *found])
        return float(all_found.mean()) if len(all_found) else float('nan')

    def summary(self) -> dict[str, float]:
        """Means over the frames, NaNs left out; the median of the times."""

        def mean(values: list[float]) -> float:
            known = [v for v in values if np.isfinite(v)]
            return float(np.mean(known)) if known else float('nan')

        judged = [(f.ious, f.scores) for f in self.frames if f.ious is not None]
        kinds = [f.kinds for f in self.frames if f.kinds is not None]
        renders = any(f.renders for f in self.frames)  # not in all: nothing may be found in some
        return {
            'paper_miou': mean([f.paper_miou for f in self.frames]),
            'strict_miou': mean([f.strict_miou for f in self.frames]),
            'ari_foreground': mean([f.ari for f in self.frames]),
            'average_precision': metrics.average_precision(
                [ious for ious, _ in judged if ious is not None],
                [scores for _, scores in judged if scores is not None],
            )
            if judged
            else float('nan'),
            'class_accuracy': metrics.class_accuracy(kinds),
            **{f'strict_miou_{kind}': miou for kind, miou in metrics.kind_miou(kinds).items()},
            'bop_ap': self.bop_ap(),
            'recall_of_visible': self.recall_of_visible(),
            'count_accuracy': mean([f.count_right for f in self.frames]),
            'false_positives': mean([f.false_positives for f in self.frames]),
            'foreground_iou': mean([f.foreground_iou for f in self.frames]),
            'rerendering_mm': mean([f.rerendering_mm for f in self.frames if renders]),
            'empty_bin_mm': mean([f.empty_bin_mm for f in self.frames if renders]),
            'milliseconds': float(np.median([f.milliseconds for f in self.frames])),
            'failed_frames': float(sum(bool(f.failed) for f in self.frames)),
        }
