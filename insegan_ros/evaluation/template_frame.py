"""Where a model's template lies in the true mesh's frame, so that its poses can be judged."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.camera import rigid
from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import Dataset, DatasetError, Sample
from insegan_ros.evaluation.benchmark import nothing
from insegan_ros.evaluation.pose_error import Match, PartModel, fit_frame, match_poses
from insegan_ros.evaluation.pose_space import same_surface, surface_moments
from insegan_ros.types import Segmentation, Segmenter

if TYPE_CHECKING:
    import trimesh

FITTED = 60  # frames on which a template's frame is fitted, at most
EVERY = 10  # without a split of validation frames, one frame in so many
LEARNED_MESH = 'part.ply'  # beside a model that was learned from a mesh, in its poses' frame
ALIKE = 0.01  # of the covariance's trace: meshes that differ less are one


def frames_to_fit_and_judge(
    dataset: Dataset, indices: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Frames on which a template's frame is fitted, and those that are then judged.

    Raises:
        DatasetError: too few frames.
    """
    val = dataset.split('val') if 'val' in dataset.splits() else []
    if others := [i for i in val if i not in indices]:
        return others[:FITTED], list(indices)
    fitting = list(indices[::EVERY][:FITTED])
    judging = [i for i in indices if i not in fitting]
    if not judging:
        raise DatasetError(
            f'{dataset.path} has no frames besides those judged on which the frame of a template '
            'could be fitted (--make-splits makes a split val for it), and too few to divide'
        )
    return fitting, judging


def template_frame(
    dataset: Dataset, segmenter: Segmenter, part: PartModel, *, fitting: list[int], name: str
) -> NDArray[np.float64]:
    """(4, 4) template_T_part of a discovered shape, fitted on frames that are not judged.

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
        learned = read_mesh(model / LEARNED_MESH)
        theirs, spread = surface_moments(learned)
    except DatasetError:
        return None
    frame = rigid(np.eye(3), theirs - centre)
    alike = np.abs(spread - covariance).max() <= ALIKE * np.trace(covariance)
    return frame if alike and same_surface(mesh, learned, moved=frame[:3, 3]) else None


def segmented(
    dataset: Dataset, segmenter: Segmenter, frames: list[int], *, said: str
) -> Iterator[tuple[Sample, Segmentation]]:
    """Each frame and what is found in it; nothing where the method gives up, which is said."""
    for index in tqdm(frames, desc=said, unit='frame'):
        sample = dataset[index]
        try:
            yield sample, segmenter.segment(sample.frame, pose_seconds=float('inf'))
        except ValueError as error:
            tqdm.write(f'{said}, frame {index:06d} counts as empty: {error}', file=sys.stderr)
            yield sample, nothing(sample.frame)
