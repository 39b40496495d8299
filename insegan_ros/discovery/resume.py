"""What a discovery leaves behind, so that an interrupted one goes on."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from insegan_ros import tensors
from insegan_ros.config import dump
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.reconstruct import Reconstruction, reconstruction
from insegan_ros.discovery.state import DiscoveryConfig, DiscoveryState, Poses
from insegan_ros.files import write_atomically


@dataclass(frozen=True)
class RoundsDone:
    """How far a run has come: `rounds` rounds of `stage` are done."""

    stage: int
    rounds: int


def run_of(dataset: Path, frames: int, config: DiscoveryConfig, *, seed: int) -> dict[str, Any]:
    """What must not change when a run goes on, as YAML can hold it."""
    return {
        'dataset': str(dataset),
        'frames': frames,
        'seed': seed,
        'settings': yaml.safe_load(dump(config)),
    }


def same_run(file: Path, run: dict[str, Any]) -> None:
    """Write the run down, or see that it is the one that goes on.

    Raises:
        ValueError: the folder holds another.
    """
    if file.exists() and yaml.safe_load(file.read_text()) != run:
        raise ValueError(
            f'{file.parent} holds a discovery with other frames or settings; '
            'choose another folder, or the settings in its discovery.yaml'
        )
    write_atomically(file, yaml.safe_dump(run, sort_keys=False).encode())


def save_state(
    file: Path, work: Reconstruction, state: DiscoveryState, *, place: RoundsDone
) -> None:
    """Store the state of a reconstruction, so that it can go on from here."""
    stored = {
        'length_m': torch.tensor(work.width_m / work.config.margin, dtype=torch.float64),
        'logits': state.logits,
        'place': torch.tensor([*asdict(place).values()]),
    }
    if state.poses is not None:
        stored |= vars(state.poses)
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in stored.items()}
    write_atomically(file, tensors.save(arrays))


def resume(
    file: Path, pieces: list[Piece], config: DiscoveryConfig, *, seed: int, device: str
) -> tuple[Reconstruction | None, DiscoveryState | None, RoundsDone]:
    """What `save_state` left in a file; nothing, at the beginning, where there is none."""
    if not file.exists():
        return None, None, RoundsDone(0, 0)
    stored = {k: torch.from_numpy(v).to(device) for k, v in tensors.load(file).items()}
    stage, done = stored['place'].tolist()
    poses = None
    if 'rotations' in stored:
        poses = Poses(stored['rotations'], stored['shifts'], stored['residual'])
    length = float(stored['length_m'])
    work = reconstruction(pieces, length, config, seed=seed, device=device)
    return work, DiscoveryState(stored['logits'], work.width_m, poses), RoundsDone(stage, done)


def stored_pieces(file: Path, make: Callable[[], list[Piece]]) -> list[Piece]:
    """Those in a file, or made now and stored there."""
    if file.exists():
        return load_pieces(file)
    pieces = make()
    _save_pieces(file, pieces)
    return pieces


def _save_pieces(file: Path, pieces: list[Piece]) -> None:
    content = io.BytesIO()
    np.savez(
        content,
        points=np.concatenate([p.points for p in pieces] or [np.zeros((0, 3), np.float32)]),
        counts=np.array([len(p.points) for p in pieces], int),
        lengths=np.array([p.length_m for p in pieces]),
        alone=np.array([p.alone for p in pieces], bool),
        pixels=np.array([p.pixel_m for p in pieces]),
        edges=np.array([p.edge_px for p in pieces]),
    )
    write_atomically(file, content.getbuffer())


def load_pieces(file: Path) -> list[Piece]:
    """Those that `stored_pieces` stored."""
    with np.load(file, allow_pickle=False) as stored:
        points = np.split(stored['points'], np.cumsum(stored['counts']))[:-1]
        facts = (stored[name].tolist() for name in ('lengths', 'alone', 'pixels', 'edges'))
        return [Piece(*one) for one in zip(points, *facts, strict=True)]
