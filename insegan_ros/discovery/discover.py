"""Discovery from start to end: a dataset and a folder in, a template out; resumable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from insegan_ros.data.store import Dataset
from insegan_ros.discovery.crops import Piece, dataset_pieces
from insegan_ros.discovery.reconstruct import (
    Poses,
    Reconstruction,
    Settings,
    State,
    choose_pieces,
    explained,
    part_length,
)
from insegan_ros.files import write_atomically
from insegan_ros.model.explicit import Template, render, resting_heights

CHECKPOINT = 'discovery.safetensors'
PIECES = 'pieces.npz'
RUN = 'discovery.yaml'
PICTURE = 'template.png'


@dataclass(frozen=True)
class Place:
    """How far a run has come: `round` rounds of `stage` are done."""

    stage: int
    round: int


def discover(
    dataset: Dataset,
    indices: Sequence[int],
    out: Path,
    settings: Settings,
    max_seconds: float = 480.0,
) -> Template:
    """Find the part's shape in unlabelled frames; the same call goes on where one was stopped.

    Writes the template, its picture, the settings and a checkpoint after every round into `out`.
    A time limit ends each stage early enough for the next ones.

    Raises:
        ValueError: too few pieces in the frames, or `out` holds a run with other settings.
        FloorNotFoundError: no frame shows the bin's floor.
    """
    begun = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    run = {'dataset': str(dataset.path), 'frames': len(indices), 'settings': _plain(settings)}
    _same_run(out / RUN, run)
    rng = np.random.default_rng([settings.seed, 0])
    if (out / PIECES).exists():
        pieces = _load_pieces(out / PIECES)
    else:
        pieces = dataset_pieces(dataset, indices, rng)
        _save_pieces(out / PIECES, pieces)
    length = part_length(pieces)
    chosen = choose_pieces(
        pieces, length, settings.crops, np.random.default_rng([settings.seed, 1])
    )
    work = Reconstruction(chosen, length * settings.margin, settings)
    state, place = _resume(out / CHECKPOINT, work.width_m)
    if state is None:
        seeds = tqdm(total=settings.seeds, desc='seeds', unit='seed')
        state, _ = work.begin(_generator(settings, 0), seeds.update)
        seeds.close()
        _checkpoint(out / CHECKPOINT, state, place)
    total = sum(settings.rounds)
    bar = tqdm(total=total, desc='rounds', unit='round')
    bar.update(sum(settings.rounds[: place.stage]) + place.round)
    for stage in range(place.stage, len(settings.grids)):
        start = place.round if stage == place.stage else 0
        share = (stage + 1) / len(settings.grids)
        for done in range(start, settings.rounds[stage]):
            if time.monotonic() - begun > max_seconds * (0.35 + 0.6 * share):
                break
            step = sum(settings.rounds[:stage]) + done + 1
            state = work.round(state, stage, _generator(settings, step))
            _checkpoint(out / CHECKPOINT, state, Place(stage, done + 1))
            assert state.poses is not None
            bar.set_postfix(residual=f'{float(state.poses.residual.median()):.3f}')
            bar.update()
    bar.close()
    state = work.conclude(state, _generator(settings, total + 1))
    template = Template(state.logits.numpy(), state.voxel_m, _account(state, len(pieces), length))
    template.save(out)
    draw(out / PICTURE, work, state)
    return template


def _generator(settings: Settings, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(settings.seed * 1_000_003 + step)


def _account(state: State, pieces: int, length: float) -> dict[str, Any]:
    assert state.poses is not None
    residual = state.poses.residual.numpy()
    return {
        'pieces': pieces,
        'crops': len(residual),
        'part_length_m': round(length, 5),
        'residual': round(float(np.median(residual)), 4),
        'residual_best_quarter': round(float(np.percentile(residual, 25)), 4),
        'explained': round(explained(residual), 3),
    }


def _plain(settings: Settings) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items()}


def _same_run(file: Path, run: dict[str, Any]) -> None:
    if file.exists() and yaml.safe_load(file.read_text()) != run:
        raise ValueError(
            f'{file.parent} holds a discovery with other frames or settings; '
            'choose another folder, or the settings in its discovery.yaml'
        )
    write_atomically(file, yaml.safe_dump(run, sort_keys=False).encode())


def _checkpoint(file: Path, state: State, place: Place) -> None:
    tensors = {
        'logits': state.logits.contiguous(),
        'place': torch.tensor([*asdict(place).values()]),
    }
    if state.poses is not None:
        tensors |= {k: v.contiguous() for k, v in vars(state.poses).items()}
    temporary = file.with_name(f'.{file.name}.tmp')
    save_file(tensors, temporary)
    temporary.replace(file)


def _resume(file: Path, width_m: float) -> tuple[State | None, Place]:
    if not file.exists():
        return None, Place(0, 0)
    tensors = load_file(file)
    stage, done = tensors['place'].tolist()
    poses = None
    if 'rotations' in tensors:
        poses = Poses(tensors['rotations'], tensors['shifts'], tensors['residual'])
    return State(tensors['logits'], width_m, poses), Place(stage, done)


def _save_pieces(file: Path, pieces: list[Piece]) -> None:
    temporary = file.with_name('.pieces.tmp.npz')
    np.savez(
        temporary,
        points=np.concatenate([p.points for p in pieces] or [np.zeros((0, 3), np.float32)]),
        counts=np.array([len(p.points) for p in pieces], int),
        lengths=np.array([p.length_m for p in pieces]),
        alone=np.array([p.alone for p in pieces], bool),
    )
    temporary.replace(file)


def _load_pieces(file: Path) -> list[Piece]:
    with np.load(file, allow_pickle=False) as stored:
        points = np.split(stored['points'], np.cumsum(stored['counts'])[:-1])
        facts = zip(points, stored['lengths'].tolist(), stored['alone'].tolist(), strict=True)
        return [Piece(p, length, alone) for p, length, alone in facts]


def draw(file: Path, work: Reconstruction, state: State, columns: int = 12) -> None:
    """Rows in pairs: crops, from best to worst explained, and the template in their poses."""
    assert state.poses is not None
    crops = work.crops(state.logits.shape[0])
    order = torch.argsort(state.poses.residual)
    shown = order[torch.linspace(0, len(order) - 1, 3 * columns).long()]
    turns = state.poses.rotations[shown]
    with torch.no_grad():
        views = render(
            state.occupancy, state.voxel_m, turns, state.poses.shifts[shown], crops.mask.shape[1]
        )
        rest = resting_heights(state.occupancy, state.voxel_m, turns)
    seen = (views.silhouette > 0.5).numpy()
    model = (views.height / views.silhouette.clamp(min=1e-3) + rest[:, None, None]).numpy()
    rows = []
    for start in range(0, len(shown), columns):
        part = slice(start, start + columns)
        picked = shown[part].numpy()
        mask, height = crops.mask[picked] > 0, crops.height[picked]
        rows.append(np.hstack([_tile(h, m) for h, m in zip(height, mask, strict=True)]))
        rows.append(np.hstack([_tile(h, m) for h, m in zip(model[part], seen[part], strict=True)]))
    done, encoded = cv2.imencode('.png', np.vstack(rows))
    if done:
        write_atomically(file, encoded.tobytes())


def _tile(height: NDArray, mask: NDArray, side: int = 72) -> NDArray[np.uint8]:
    """Relief, brightest at the highest point."""
    top = float(height[mask].max()) if mask.any() else 0.0
    bright = np.where(mask, np.clip(255 - (top - height) * 6000, 40, 255), 0).astype(np.uint8)
    return cv2.resize(bright, (side, side), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
