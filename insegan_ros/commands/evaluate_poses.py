"""`insegan evaluate --poses`: how many instances' poses are right, against the true mesh."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.evaluation.benchmark import nothing
from insegan_ros.evaluation.poses import Match, Part, fit_frame, match_poses, recall
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.synthetic.parts import PARTS, make_part

FRAME_FRAMES = 60  # validation frames, from which the template's frame is fitted
LIMITS = {'mssd': (0.05, 0.1, 0.2), 'add_s': (0.05, 0.1)}  # of the diameter


def true_part(name: str, mesh: Path | None) -> Part:
    """The mesh of a simulated part, or one's own in metres.

    Raises:
        DatasetError: neither is there, or the file holds no mesh.
    """
    if mesh is not None:
        return Part.of(read_mesh(mesh))
    if name not in PARTS:
        raise DatasetError(f"the true shape of {name!r} isn't known; give it: --mesh part.stl")
    return Part.of(make_part(name).mesh)


def run_poses(
    dataset: Dataset, indices: list[int], methods: list[str], args: argparse.Namespace, out: Path
) -> int:
    """Judge models with a template; prints a table and writes poses.json.

    Raises:
        DatasetError: no validation split, or frames without labels and poses.
        ValueError: a method that is no model with a template.
    """
    if 'val' not in dataset.splits():
        raise DatasetError(
            f"{dataset.path} has no val split, on which a template's frame is fitted; "
            'make one: --make-splits'
        )
    segmenters: dict[str, DistilledSegmenter] = {}
    for name in methods:
        segmenter = model_card.load_segmenter(name, args.device, pose_seconds=1e9)
        if not isinstance(segmenter, DistilledSegmenter) or segmenter.poses is None:
            raise ValueError(f'{name} has no template and gives no poses')
        segmenters[name] = segmenter
    part = true_part(dataset.info.part, args.mesh)
    fitting = [i for i in dataset.split('val') if i not in indices][:FRAME_FRAMES]
    figures = {}
    for name, segmenter in segmenters.items():
        fitted = matches_in(dataset, segmenter, fitting, f'{name}, fitting')[0]
        frame = fit_frame(part, fitted)
        matches, wanted = matches_in(dataset, segmenter, indices, f'{name}, judging')
        placed = [(m.estimated @ frame, m.true) for m in matches]
        errors = {
            'mssd': [part.mssd(*pair) for pair in placed],
            'add_s': [part.add_s(*pair) for pair in placed],
        }
        figures[name] = {
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
    out.mkdir(parents=True, exist_ok=True)
    report = {
        'dataset': f'{dataset.path} ({dataset.info.part}, {dataset.content_hash()})',
        'frames': len(indices),
        'frames_of_the_fit': len(fitting),
        'diameter_mm': round(1e3 * part.diameter, 2),
        'symmetries': len(part.symmetries),
        'methods': figures,
    }
    (out / 'poses.json').write_text(json.dumps(report, indent=2))
    print(table(figures))
    print(
        'instances at least half visible, those that no mask matches included; diameter '
        f'{1e3 * part.diameter:.1f} mm, {len(part.symmetries)} symmetries'
    )
    print(f'written: {out}/poses.json')
    return 0


def matches_in(
    dataset: Dataset, segmenter: DistilledSegmenter, frames: list[int], said: str
) -> tuple[list[Match], int]:
    """Matches in all frames, and how many instances were to be found."""
    matches: list[Match] = []
    wanted = 0
    for index in tqdm(frames, desc=said, unit='frame'):
        sample = dataset[index]
        try:
            found = segmenter.segment(sample.frame)
        except FloorNotFoundError:
            found = nothing(sample.frame)
        some, count = match_poses(found, sample)
        matches, wanted = matches + some, wanted + count
    return matches, wanted


def table(figures: dict[str, dict]) -> str:
    """Markdown."""
    columns = list(next(iter(figures.values())))
    lines = [f'| | {" | ".join(columns)} |', '|---' * (len(columns) + 1) + '|']
    lines += [
        f'| {name} | {" | ".join(str(row[column]) for column in columns)} |'
        for name, row in figures.items()
    ]
    return '\n'.join(lines)
