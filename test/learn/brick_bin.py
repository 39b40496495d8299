"""Depth images of bricks in a bin with walls; no labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import trimesh

from insegan_ros.distillation.piles import PileConfig, PileMaker, Shape, store_piles
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.model.template import Template
from insegan_ros.types import Intrinsics

SIZE = (0.04, 0.024, 0.016)  # m


def brick() -> Template:
    grid = (np.arange(16) - 7.5) * 0.003
    inside = [np.abs(grid) < side / 2 for side in SIZE]
    occupied = inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
    return Template(np.where(occupied, 6, -6).astype(np.float32), 0.003, {'explained': 0.9})


def store_frames(folder: Path) -> None:
    """Six of them, as a dataset."""
    mesh = trimesh.creation.box(SIZE)
    pieces = ((np.asarray(mesh.vertices), np.asarray(mesh.faces)),)
    camera = Intrinsics(96, 96, 250.0, 250.0, 47.5, 47.5)
    around = Surroundings(camera, 0.5, (0.0, 0.0), 0.12, 0.0, 0.03)
    settings = PileConfig(6, (2, 3), height_jitter=0.0, turn_jitter=0.0)
    shape = Shape(np.asarray(mesh.vertices), np.asarray(mesh.faces), pieces)
    list(store_piles(PileMaker((shape,), around, settings), folder, 0, workers=1))
    for kind in ('labels', 'poses'):
        shutil.rmtree(folder / kind)
