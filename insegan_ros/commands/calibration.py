"""What is chosen on piles not trained on: which instances are one part, and what scores mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.bin import Bin
from insegan_ros.camera import Plane
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.train import COUNT_WEIGHT
from insegan_ros.evaluation.metrics import count_is_right, iou_matrix, strict_miou
from insegan_ros.inference.confidence import RIGHT_IOU, Confidence
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.inference.distilled_card import Scoring
from insegan_ros.inference.found import Found
from insegan_ros.inference.merging import Merging, fit_merging
from insegan_ros.inference.poses import posed_cues
from insegan_ros.types import DepthFrame

THRESHOLDS = (0.0, 0.3, 0.5, 0.65, 0.8)  # below which an instance is no part of its own
SCORED_PILES = 40  # on which scores are calibrated


@dataclass(frozen=True)
class Case:
    """A pile as a camera measures it, what the network sees in it, and what it is."""

    frame: DepthFrame
    found: Found
    true: NDArray[np.integer]  # (H, W)
    length_m: float  # of the part


def look(segmenter: DistilledSegmenter, piles: Piles, seed: int) -> list[Case]:
    """What a segmenter sees in every pile."""
    cases = []
    for index in range(len(piles)):
        height = piles.camera_height[index]
        rng = np.random.default_rng([seed, index])
        frame = DepthFrame(height - piles.heights(index, rng), piles.intrinsics)
        found = segmenter.find(frame, Bin(Plane((0.0, 0.0, -1.0), float(height))))
        cases.append(Case(frame, found, piles.labels[index], segmenter.part_length_m))
    return cases


def learn_merging(cases: Sequence[Case]) -> Merging | None:
    """The rule by which most instances are right; None where it is better not to merge."""
    fitted = fit_merging((case.found, case.true, case.length_m) for case in cases)
    if fitted is None:
        return None
    rules = [Merging(*fitted, threshold) for threshold in THRESHOLDS]

    def worth(rule: Merging) -> float:
        miou, count = judge(merged(cases, rule))
        return miou + COUNT_WEIGHT * count

    best = max(rules, key=worth)
    return best if best.threshold else None


def merged(cases: Sequence[Case], rule: Merging | None) -> list[Case]:
    if rule is None:
        return list(cases)
    return [replace(case, found=rule(case.found, case.length_m)) for case in cases]


def judge(cases: Sequence[Case]) -> tuple[float, float]:
    """Mean strict mIoU and share of right counts."""
    pairs = [(case.found.labels, case.true) for case in cases]
    miou = float(np.nanmean([strict_miou(found, true) for found, true in pairs]))
    return miou, float(np.mean([count_is_right(found, true) for found, true in pairs]))


def calibrate_scores(segmenter: DistilledSegmenter, cases: Sequence[Case]) -> Scoring | None:
    """What an instance's cues say about its mask being right, from piles not trained on.

    None where the network finds no part in them.
    """
    assert segmenter.poses is not None
    plain, posed, right = [], [], []
    for case in tqdm(cases[:SCORED_PILES], desc='scores', unit='pile'):
        found = case.found
        if not len(found.centres):
            continue
        masks = found.labels == np.arange(1, len(found.centres) + 1)[:, None, None]
        fits = segmenter.poses.fit(case.frame, masks, found.centres)
        plain.append(found.cues)
        posed.append(posed_cues(found.cues, fits))
        ious = iou_matrix(found.labels, case.true)
        right.append(ious.max(axis=1, initial=0) >= RIGHT_IOU)
    if not right:
        return None
    correct = np.concatenate(right)
    return Scoring(
        Confidence.fit(np.concatenate(plain), correct),
        Confidence.fit(np.concatenate(posed), correct),
    )
