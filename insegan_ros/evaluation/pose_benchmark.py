"""Models with a template x frames -> how many instances' poses are right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.cad import METRES, Units
from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import PART, Dataset, DatasetError, Sample
from insegan_ros.evaluation.pose_ap import LEAST_VISIBLE, LIMIT, PoseScene, pose_average_precision
from insegan_ros.evaluation.pose_error import Match, PartModel, match_poses, recall
from insegan_ros.evaluation.pose_space import PoseSpace, read_symmetry, symmetry_of_mesh
from insegan_ros.evaluation.report import aligned
from insegan_ros.evaluation.template_frame import (
    frames_to_fit_and_judge,
    learned_frame,
    segmented,
    template_frame,
)
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.types import Segmentation, Segmenter

if TYPE_CHECKING:
    import trimesh

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
    units: Units = 'm',
    symmetry: str | None = None,
    device: str = 'cpu',
) -> str:
    """Judge the poses of models in these frames: poses.json, and the table as Markdown.

    Args:
        mesh: the true shape; None: that of the simulated part, or what lies beside the frames.
        units: of the mesh.
        symmetry: its class, as `pose_space.read_symmetry` takes it; None: what the mesh shows.

    Raises:
        DatasetError: too few frames, no true shape or symmetry, or frames without labels or poses.
        ValueError: a method that is no model with a template, or none finds an instance.
    """
    segmenters = {name: with_template(name, device) for name in methods}
    told = None if symmetry is None else read_symmetry(symmetry)
    true = _mesh_of(dataset, mesh, units)
    part = PartModel.of(true)
    space = PoseSpace.of(true, told or symmetry_of_mesh(true, part.symmetries))
    known = {name: learned_frame(model_card.find(name), true) for name in methods}
    fitting: list[int] = []
    judging = list(indices)
    if any(frame is None for frame in known.values()):
        fitting, judging = frames_to_fit_and_judge(dataset, indices)
    frames, left_out = _frames_of(dataset, segmenters, part, known=known, fitting=fitting)
    figures = {
        name: judge_poses(
            dataset, segmenters[name], part, space=space, frame=frame, judging=judging, name=name
        )
        for name, frame in frames.items()
    }
    report = {
        'dataset': f'{dataset.path} ({dataset.info.part}, {dataset.content_hash()})',
        'frames': len(judging),
        'frames_of_the_fit': len(fitting),
        'diameter_mm': round(1e3 * part.diameter, 2),
        'symmetries': len(part.symmetries),
        'symmetry_class': space.symmetry.name,
        'methods': figures,
        'left_out': left_out,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / 'poses.json').write_text(json.dumps(report, indent=2))
    columns = list(next(iter(figures.values())))
    rows = [['', *columns], *([name, *map(str, row.values())] for name, row in figures.items())]
    return '\n'.join([*aligned(rows), *_notes(left_out, part, space)])


def _mesh_of(dataset: Dataset, mesh: Path | None, units: Units) -> trimesh.Trimesh:
    """Raises: DatasetError, where the true shape is not known."""
    if mesh is not None and mesh.is_file():
        return read_mesh(mesh, METRES[units])
    stored = dataset.path / PART
    return true_mesh(mesh or (stored if stored.is_file() else dataset.info.part))


def _frames_of(
    dataset: Dataset,
    segmenters: Mapping[str, Segmenter],
    part: PartModel,
    *,
    known: Mapping[str, NDArray[np.float64] | None],
    fitting: list[int],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """(4, 4) template_T_part by method, and why that of some cannot be fitted.

    Raises:
        ValueError: that of none can be.
    """
    frames: dict[str, NDArray[np.float64]] = {}
    left_out: dict[str, str] = {}
    for name, segmenter in segmenters.items():
        frame = known[name]
        try:
            if frame is None:
                frame = template_frame(dataset, segmenter, part, fitting=fitting, name=name)
            frames[name] = frame
        except ValueError as error:
            if len(left_out) + 1 == len(segmenters):
                raise
            left_out[name] = str(error)
    return frames, left_out


def _notes(left_out: Mapping[str, str], part: PartModel, space: PoseSpace) -> list[str]:
    """What is said below the table."""
    return [
        *(f'{name} is left out: {reason}' for name, reason in left_out.items()),
        'instances at least half visible, those that no mask matches included; diameter '
        f'{1e3 * part.diameter:.1f} mm, {len(part.symmetries)} symmetries; pose AP: within '
        f'{1e3 * LIMIT * space.diameter:.1f} mm, symmetry class: {space.symmetry.name}',
    ]


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


def pose_scene(
    sample: Sample, found: Segmentation, *, space: PoseSpace, frame: NDArray[np.floating]
) -> PoseScene:
    """A frame's poses beside the true ones, those of hidden instances included."""
    true = np.zeros((0, 4, 4)) if sample.poses is None else sample.poses
    placed = np.asarray(found.poses, np.float64) @ frame
    visible = np.asarray(sample.record['visible'], np.float64).reshape(-1)
    return PoseScene(space.distances(placed, true), found.scores, visible >= LEAST_VISIBLE)
