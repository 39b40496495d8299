"""Piles of random shapes: what a network may know of piles before it meets its part.

How surfaces overlap, where one part ends and another begins, is much the same whatever lies in the
bin. A network that has learned it from shapes of no product needs fewer steps for a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.depth_camera import D435
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.piles import PileConfig, PileMaker, store_piles
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.random_parts import random_part
from insegan_ros.synthetic.workers import start_worker
from insegan_ros.types import Intrinsics


@dataclass(frozen=True)
class ShapesConfig:
    """How many shapes, and the views of them."""

    shapes: int = 600
    piles: int = 12  # of each
    size: int = 112  # px, side of an image
    part_px: tuple[float, float] = (27.0, 48.0)  # a part's longest side on the floor
    bin_width: tuple[float, float] = (1.5, 2.8)  # in lengths of the part
    camera_height: tuple[float, float] = (0.4, 0.7)  # m
    margin: int = 4  # px at least between the bin and the image's edge
    no_wall: float = 0.15  # share of bins whose walls the camera does not see


def shape_maker(config: ShapesConfig, seed: int, shape: int) -> PileMaker:
    """Of one random shape, in a bin and under a camera drawn for it."""
    rng = np.random.default_rng([seed, shape])
    height = rng.uniform(*config.camera_height)
    pixel = height / D435.fx
    length_px = rng.uniform(*config.part_px)
    part = random_part(rng, length_px * pixel)
    width_px = min(length_px * rng.uniform(*config.bin_width), config.size - 2 * config.margin)
    wall = part.length * rng.uniform(0.4, 1.8) if rng.random() > config.no_wall else 0.0
    middle = (config.size - 1) / 2
    around = Surroundings(
        intrinsics=Intrinsics(config.size, config.size, D435.fx, D435.fx, middle, middle),
        camera_height=float(height),
        bin_centre=(0.0, 0.0),
        bin_width=float(width_px * pixel),
        bin_turn=float(rng.normal(0, np.radians(5))),
        wall_height=float(wall),
    )
    pieces = tuple((np.asarray(p.vertices), np.asarray(p.faces)) for p in part.convex_pieces)
    piles = PileConfig(count=config.piles, instances=_instances(part, around))
    mesh = part.mesh
    return PileMaker(np.asarray(mesh.vertices), np.asarray(mesh.faces), pieces, around, piles)


def _instances(part: Part, around: Surroundings) -> tuple[int, int]:
    """Least and most parts: at most what piles up to about three layers."""
    area = (around.bin_width - 0.5 * part.length) ** 2
    side = float(part.mesh.convex_hull.volume) ** (2 / 3)
    return 2, int(np.clip(3 * area / side, 5, 12))


def store_shapes(config: ShapesConfig, path: Path, seed: int, workers: int) -> Iterator[int]:
    """Piles of every shape, a dataset folder each; yields how many shapes are done.

    What is there already is kept. A shape that does not fit its bin is left out.
    """
    path.mkdir(parents=True, exist_ok=True)
    tasks = [(config, path / f'{shape:04d}', seed, shape) for shape in range(config.shapes)]
    with ProcessPoolExecutor(workers, get_context('spawn'), start_worker) as pool:
        for done, _ in enumerate(pool.map(_store_shape, tasks), 1):
            yield done


def _store_shape(task: tuple[ShapesConfig, Path, int, int]) -> None:
    config, path, seed, shape = task
    try:
        for _ in store_piles(shape_maker(config, seed, shape), path, seed, workers=1):
            pass
    except ValueError as error:
        if isinstance(error, DatasetError):
            raise


def load_shapes(
    path: Path, config: ShapesConfig, seed: int
) -> Iterator[tuple[Piles, NetworkConfig]]:
    """The stored shapes that have any piles."""
    for folder in sorted(path.glob('[0-9]*')):
        stored = Dataset(folder)
        if not len(stored):
            continue
        maker = shape_maker(config, seed, int(folder.name))
        sides = np.ptp(maker.vertices, axis=0)
        around = maker.surroundings
        pixel = around.camera_height / around.intrinsics.fx
        network = NetworkConfig(float(sides.max()), float(sides.min()), float(pixel))
        yield Piles.load(stored, stored.indices), network
