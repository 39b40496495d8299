"""Piles of a brick, for the tests of what is made of them."""

from __future__ import annotations

import numpy as np
import trimesh

from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.piles import PileConfig, PileMaker, Shape
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.types import Intrinsics

AROUND = Surroundings(
    intrinsics=Intrinsics(64, 64, 200.0, 200.0, 31.5, 31.5),
    camera_height=0.5,
    bin_centre=(0.0, 0.0),
    bin_width=0.11,
    bin_turn=0.0,
    wall_height=0.0,
)
CONFIG = NetworkConfig(0.04, 0.015, 0.5 / 200, widths=(16, 24, 32, 32))


def brick_piles(count: int) -> PileMaker:
    mesh = trimesh.creation.box((0.04, 0.025, 0.015))
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    shape = Shape(vertices, faces, ((vertices, faces),))
    return PileMaker((shape,), AROUND, PileConfig(count, (2, 3)))
