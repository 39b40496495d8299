"""Models with a template x frames -> how many instances' poses are right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.evaluation.benchmark import nothing
from insegan_ros.evaluation.pose_error import Match, PartModel, fit_frame, match_poses, recall
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.types import Segmenter

if TYPE_CHECKING:
    import trimesh

FITTED = 60  # validation frames, from which the template's frame is fitted
LIMITS = {'mssd': (0.05, 0.1, 0.2), 'add_s': (0.05, 0.1)}  # of the diameter


def true_mesh(part_or_file: str | Path) -> trimesh.Trimesh:
    """The mesh of a simulated part, or one's own, metres.

    Raises:
        DatasetError: neither is there, or the file holds no mesh.
    """
    if str(part_or_file) in PARTS:
        return make_part(str(part_or_file)).mesh
    if not Path(part_or_file).is_file():
        raise DatasetError(
            f'{part_or_file} is neither a file nor one of {", ".join(PARTS)}; give the true shape '
            'as a mesh in metres'
        )
    return read_mesh(part_or_file)


def with_template(name: str, device: str = 'cpu') -> DistilledSegmenter:
    """A model by name or folder.

    Raises:
        ValueError: it knows no shape.
    """
    segmenter = model_card.load_segmenter(name, device)
    if not isinstance(segmenter, DistilledSegmenter) or not segmenter.poses:
        raise ValueError(f'{name} has no template and gives no poses')
    return segmenter


def write_pose_report(
    dataset: Dataset,
    out: Path,
    methods: Sequence[str],
    *,
    indices: Sequence[int],
    mesh: Path | None,
    device: str,
) -> str:
    """Judge the poses of models in these frames: poses.json, and the table as Markdown.

    Args:
        mesh: the true shape; None: that of the simulated part.

    Raises:
        DatasetError: no validation split, no true shape, or frames without labels and poses.
        ValueError: a method that is no model with a template.
    """
    if 'val' not in dataset.splits():
        raise DatasetError(
            f"{dataset.path} has no val split, on which a template's frame is fitted; "
            'make one: --make-splits'
        )
    segmenters = {name: with_template(name, device) for name in methods}
    part = PartModel.of(true_mesh(mesh or dataset.info.part))
    fitting = [i for i in dataset.split('val') if i not in indices][:FITTED]
    figures = {
        name: judge_poses(
            dataset, segmenter, part, fitting=fitting, judging=list(indices), name=name
        )
        for name, segmenter in segmenters.items()
    }
    report = {
        'dataset': f'{dataset.path} ({dataset.info.part}, {dataset.content_hash()})',
        'frames': len(indices),
        'frames_of_the_fit': len(fitting),
        'diameter_mm': round(1e3 * part.diameter, 2),
        'symmetries': len(part.symmetries),
        'methods': figures,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / 'poses.json').write_text(json.dumps(report, indent=2))
    columns = list(next(iter(figures.values())))
    rows = [[name, *(str(row[column]) for column in columns)] for name, row in figures.items()]
    lines = [['', *columns], ['---'] * (len(columns) + 1), *rows]
    return '\n'.join(
        [
            *(f'| {" | ".join(line)} |' for line in lines),
            'instances at least half visible, those that no mask matches included; diameter '
            f'{1e3 * part.diameter:.1f} mm, {len(part.symmetries)} symmetries',
        ]
    )


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
