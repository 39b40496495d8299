"""Models with a template x frames -> how many instances' poses are right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import Dataset, DatasetError, Sample
from insegan_ros.evaluation.benchmark import nothing
from insegan_ros.evaluation.pose_ap import (
    LEAST_VISIBLE,
    LIMIT,
    PoseScene,
    pose_average_precision,
)
from insegan_ros.evaluation.pose_error import Match, PartModel, fit_frame, match_poses, recall
from insegan_ros.evaluation.pose_space import PoseSpace, surface_moments
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.types import Segmentation, Segmenter

LIMITS = {'mssd': (0.05, 0.1, 0.2), 'add_s': (0.05, 0.1)}  # of the diameter
LEARNED_MESH = 'part.ply'  # beside a model that was learned from a mesh, in its poses' frame
ALIKE = 0.01  # of the spread: meshes that differ less are one


def judge_poses(
    dataset: Dataset,
    segmenter: Segmenter,
    part: PartModel,
    *,
    space: PoseSpace,
    frame: NDArray[np.floating],
    judging: list[int],
    name: str,
) -> dict[str, Any]:
    """Recall, median errors and average precision of a model's poses.

    Args:
        part, space: the true shape, and its poses.
        frame: (4, 4) template_T_part.
        judging: frames that are judged.
        name: of the model, for the progress bar.
    """
    matches: list[Match] = []
    scenes: list[PoseScene] = []
    wanted = 0
    for sample, found in segmented(dataset, segmenter, judging, said=f'{name}, judging'):
        some, count = match_poses(found, sample)
        matches, wanted = matches + some, wanted + count
        scenes.append(pose_scene(sample, found, space=space, frame=frame))
    placed = [(m.estimated @ frame, m.true) for m in matches]
    errors = {
        'mssd': [part.mssd(*pair) for pair in placed],
        'add_s': [part.add_s(*pair) for pair in placed],
    }
    precision = pose_average_precision(scenes, LIMIT * space.diameter)
    return {
        'instances': wanted,
        'matched': round(len(matches) / max(wanted, 1), 4),
        'pose_ap': round(precision, 4),
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


def template_frame(
    dataset: Dataset, segmenter: Segmenter, part: PartModel, *, fitting: list[int], name: str
) -> NDArray[np.float64]:
    """(4, 4) template_T_part, fitted on frames that are not judged.

    Raises:
        ValueError: nothing is found in these frames.
    """
    matches: list[Match] = []
    for sample, found in segmented(dataset, segmenter, fitting, said=f'{name}, fitting'):
        matches += match_poses(found, sample)[0]
    return fit_frame(part, matches)


def learned_frame(model: Path, mesh: trimesh.Trimesh) -> NDArray[np.float64] | None:
    """(4, 4) template_T_part of a model that was learned from this mesh; None: it was not.

    Such a model's poses have another origin than the mesh, and the same axes.
    """
    if not (model / LEARNED_MESH).is_file():
        return None
    centre, covariance = surface_moments(mesh)
    try:
        theirs, spread = surface_moments(read_mesh(model / LEARNED_MESH))
    except DatasetError:
        return None
    if np.abs(spread - covariance).max() > ALIKE * np.trace(covariance):
        return None
    frame = np.eye(4)
    frame[:3, 3] = theirs - centre
    return frame


def segmented(
    dataset: Dataset, segmenter: Segmenter, frames: list[int], *, said: str
) -> Iterator[tuple[Sample, Segmentation]]:
    """Each frame and what is found in it; nothing where no bin is seen."""
    for index in tqdm(frames, desc=said, unit='frame'):
        sample = dataset[index]
        try:
            yield sample, segmenter.segment(sample.frame, pose_seconds=float('inf'))
        except FloorNotFoundError:
            yield sample, nothing(sample.frame)


def pose_scene(
    sample: Sample, found: Segmentation, *, space: PoseSpace, frame: NDArray[np.floating]
) -> PoseScene:
    """A frame's poses beside the true ones, those of hidden instances included."""
    true = np.zeros((0, 4, 4)) if sample.poses is None else sample.poses
    placed = np.asarray(found.poses, np.float64) @ frame
    visible = np.asarray(sample.record['visible'], np.float64).reshape(-1)
    return PoseScene(space.distances(placed, true), found.scores, visible >= LEAST_VISIBLE)
