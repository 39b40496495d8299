"""Models with a template x frames -> how many instances' poses are right."""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from insegan_ros.data.store import Dataset
from insegan_ros.evaluation.benchmark import nothing
from insegan_ros.evaluation.pose_error import Match, PartModel, fit_frame, match_poses, recall
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.types import Segmenter

LIMITS = {'mssd': (0.05, 0.1, 0.2), 'add_s': (0.05, 0.1)}  # of the diameter


def judge_poses(
    dataset: Dataset,
    segmenter: Segmenter,
    part: PartModel,
    *,
    fitting: list[int],
    judging: list[int],
    name: str,
) -> dict[str, Any]:
    """Recall and median errors of a model's poses.

    Args:
        part: the true shape.
        fitting: frames from which the template's own frame is fitted to the part's.
        judging: frames that are judged.
        name: of the model, for the progress bar.
    """
    fitted = matches_in(dataset, segmenter, fitting, said=f'{name}, fitting')[0]
    frame = fit_frame(part, fitted)
    matches, wanted = matches_in(dataset, segmenter, judging, said=f'{name}, judging')
    placed = [(m.estimated @ frame, m.true) for m in matches]
    errors = {
        'mssd': [part.mssd(*pair) for pair in placed],
        'add_s': [part.add_s(*pair) for pair in placed],
    }
    return {
        'instances': wanted,
        'matched': round(len(matches) / max(wanted, 1), 4),
        **{
            f'{kind}_recall_{limit:g}': round(recall(each, wanted, limit * part.diameter), 4)
            for kind, each in errors.items()
            for limit in LIMITS[kind]
        },
        **{
            f'median_{kind}_mm': round(1e3 * float(np.median(each)), 3) if each else None
            for kind, each in errors.items()
        },
    }


def matches_in(
    dataset: Dataset, segmenter: Segmenter, frames: list[int], *, said: str
) -> tuple[list[Match], int]:
    """Matches in all frames, and how many instances were to be found."""
    matches: list[Match] = []
    wanted = 0
    for index in tqdm(frames, desc=said, unit='frame'):
        sample = dataset[index]
        try:
            found = segmenter.segment(sample.frame, pose_seconds=float('inf'))
        except FloorNotFoundError:
            found = nothing(sample.frame)
        some, count = match_poses(found, sample)
        matches, wanted = matches + some, wanted + count
    return matches, wanted
