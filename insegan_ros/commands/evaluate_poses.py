"""`insegan evaluate --poses`: how many instances' poses are right, against the true mesh."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import trimesh

from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.evaluation.pose_benchmark import judge_poses, learned_frame, template_frame
from insegan_ros.evaluation.pose_error import PartModel
from insegan_ros.evaluation.pose_space import PoseSpace, read_symmetry, symmetry_of_mesh
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.types import Segmenter

FRAME_FRAMES = 60  # validation frames, from which the template's frame is fitted
EVERY = 10  # without validation frames the template's frame is fitted on one in so many


def true_mesh(name: str, mesh: Path | None) -> trimesh.Trimesh:
    """The mesh of a simulated part, or one's own in metres.

    Raises:
        DatasetError: neither is there, or the file holds no mesh.
    """
    if mesh is not None:
        return read_mesh(mesh)
    if name not in PARTS:
        raise DatasetError(f"the true shape of {name!r} isn't known; give it: --mesh part.stl")
    return make_part(name).mesh


def run_poses(
    dataset: Dataset,
    indices: list[int],
    methods: list[str],
    *,
    args: argparse.Namespace,
    out: Path,
) -> int:
    """Judge models with a template; prints a table and writes poses.json.

    Raises:
        DatasetError: no frame is left to fit a template's frame on, or frames without labels and
            poses.
        ValueError: a method that is no model with a template.
    """
    segmenters = {name: with_template(name, args.device) for name in methods}
    mesh = true_mesh(dataset.info.part, args.mesh)
    told = None if args.symmetry is None else read_symmetry(args.symmetry)
    part = PartModel.of(mesh)
    space = PoseSpace.of(mesh, told or symmetry_of_mesh(mesh, part.symmetries))
    frames = {name: learned_frame(model_card.find(name), mesh) for name in methods}
    fitting: list[int] = []
    if None in frames.values():
        fitting, indices = frames_to_fit_and_judge(dataset, indices)
    figures = {}
    for name, segmenter in segmenters.items():
        frame = frames[name]
        if frame is None:
            frame = template_frame(dataset, segmenter, part, fitting=fitting, name=name)
        figures[name] = judge_poses(
            dataset, segmenter, part, space=space, frame=frame, judging=indices, name=name
        )
    out.mkdir(parents=True, exist_ok=True)
    report = {
        'dataset': f'{dataset.path} ({dataset.info.part}, {dataset.content_hash()})',
        'frames': len(indices),
        'frames_of_the_fit': len(fitting),
        'diameter_mm': round(1e3 * part.diameter, 2),
        'symmetries': len(part.symmetries),
        'symmetry_class': space.symmetry.name,
        'methods': figures,
    }
    (out / 'poses.json').write_text(json.dumps(report, indent=2))
    print(figures_table(figures))
    print(
        'instances at least half visible, those that no mask matches included; diameter '
        f'{1e3 * part.diameter:.1f} mm, {len(part.symmetries)} symmetries; pose AP: within '
        f'{100 * space.diameter:.1f} mm, symmetry class: {space.symmetry.name}'
    )
    print(f'written: {out}/poses.json')
    return 0


def frames_to_fit_and_judge(dataset: Dataset, indices: list[int]) -> tuple[list[int], list[int]]:
    """Frames on which a template's frame is fitted, and those that are then judged.

    Raises:
        DatasetError: too few frames.
    """
    if 'val' in dataset.splits():
        return [i for i in dataset.split('val') if i not in indices][:FRAME_FRAMES], indices
    fitting = indices[::EVERY][:FRAME_FRAMES]
    judging = [i for i in indices if i not in fitting]
    if not judging:
        raise DatasetError(
            f"{dataset.path} has no val split, on which a template's frame is fitted, and too few "
            'frames to divide; make one: --make-splits'
        )
    return fitting, judging


def with_template(name: str, device: str) -> Segmenter:
    """Raises: ValueError, for a model that knows no shape."""
    segmenter = model_card.load_segmenter(name, device)
    if not isinstance(segmenter, DistilledSegmenter) or not segmenter.poses:
        raise ValueError(f'{name} has no template and gives no poses')
    return segmenter


def figures_table(figures: dict[str, dict]) -> str:
    """Markdown."""
    columns = list(next(iter(figures.values())))
    lines = [f'| | {" | ".join(columns)} |', '|---' * (len(columns) + 1) + '|']
    lines += [
        f'| {name} | {" | ".join(str(row[column]) for column in columns)} |'
        for name, row in figures.items()
    ]
    return '\n'.join(lines)
