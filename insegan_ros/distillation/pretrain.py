"""Bins full of random parts: what a network may know of piles before it meets its part.

How surfaces overlap, where one part ends and another begins, is much the same whatever lies in the
bin. A network that has learned it from shapes of no product needs fewer steps for a new one.

<path>/0000.views.npz     pictures of one shape's bins by any camera, with a length that may be
                          wrong
       0000.straight.npz  pictures of them by a D435 that looks straight down
       0000.compact.npz   such pictures of a compact shape, whose bins cost little
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.random_views import (
    LENGTH_M,
    Picture,
    RandomView,
    ViewConfig,
    photograph,
    view_of,
)
from insegan_ros.synthetic.bin_world import BinSpec, BinWorld, Physics, SceneRejectedError
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.random_parts import part_of_any_kind, random_part
from insegan_ros.synthetic.workers import in_processes

VIEWS, STRAIGHT, COMPACT = '.views.npz', '.straight.npz', '.compact.npz'
ATTEMPTS = 4  # to fill a bin
COMPACT_PARTS, COMPACT_WIDTH = 22, (1.5, 2.8)  # most in a bin; its width in lengths


@dataclass(frozen=True)
class ShapesConfig:
    """How many shapes, how they fill bins, and how they are looked at."""

    shapes: int = 1500
    bins: int = 3  # of each shape
    stages: int = 2  # looks at a bin while it is filled
    pictures: int = 4  # of each look
    straight: int = 2  # of each look, by a D435 that looks straight down
    parts: tuple[int, int] = (3, 40)  # in a full bin
    bin_width: tuple[float, float] = (1.3, 4.0)  # in lengths of the part
    deep: float = 3.0  # lengths
    most_pieces: int = 320  # convex ones in a bin: more takes too long
    view: ViewConfig = field(default_factory=ViewConfig)

    @property
    def seen_straight(self) -> ShapesConfig:
        """The same bins, as a D435 sees them that looks straight down."""
        return replace(self, pictures=self.straight, view=self.view.straight)

    @property
    def compact(self) -> ShapesConfig:
        """Bins of compact shapes, seen so."""
        low, high = self.parts
        most, width = min(high, COMPACT_PARTS), COMPACT_WIDTH
        return replace(self.seen_straight, parts=(min(low + 1, most), most), bin_width=width)


@dataclass(frozen=True)
class Filled:
    """Parts at rest in a bin."""

    width_m: float
    poses: NDArray[np.float32]  # (N, 3, 4) world_T_part


def shape(seed: int, index: int) -> Part:
    """Random shape `index`, LENGTH_M long: the same wherever it is drawn."""
    return part_of_any_kind(np.random.default_rng([seed, index]), LENGTH_M)


def compact_shape(seed: int, index: int) -> Part:
    """Compact random shape `index`, likewise."""
    return random_part(np.random.default_rng([seed, index, 4]), LENGTH_M)


def fill_bins(config: ShapesConfig, part: Part, key: Sequence[int]) -> list[Filled]:
    """Bins of one shape at rest, the same for the same key; none where it does not fit."""
    filled: list[Filled] = []
    for k in range(config.bins):
        for attempt in range(ATTEMPTS):
            try:
                filled += fill_bin(config, part, np.random.default_rng([*key, k, attempt]))
                break
            except SceneRejectedError:
                continue
    return filled


def fill_bin(config: ShapesConfig, part: Part, rng: np.random.Generator) -> list[Filled]:
    """One bin of a part LENGTH_M long, after some of its parts and after all.

    Raises:
        SceneRejectedError: the parts do not come to lie in it.
    """
    width = LENGTH_M * float(np.exp(rng.uniform(*np.log(config.bin_width))))
    low, high = config.parts
    room = 0.3 * width**2 * config.deep * LENGTH_M / float(part.mesh.convex_hull.volume)
    high = int(max(low + 1, min(high, room, config.most_pieces / len(part.convex_pieces))))
    count = int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))
    if rng.random() < 0.5:  # else few are as often as many
        count = int(rng.integers(low, high + 1))
    physics = Physics(
        friction=float(rng.uniform(0.15, 0.7)),
        drop_interval=0.12 if count < 15 else 0.07,
        still_speed=0.05,
        max_settle=0.9,
        max_penetration=0.006,
    )
    world = BinWorld(part, BinSpec(width, 4 * LENGTH_M), capacity=count, physics=physics)
    world.drop(0, rng)
    looks = []
    for stage in range(config.stages):
        world.add(round(count * (stage + 1) / config.stages) - world.count, rng)
        world.settle()  # a little motion does not show
        world.check()
        if world.count:
            looks.append(Filled(width, world.poses()[:, :3].astype(np.float32)))
    return looks


def picture_looks(
    config: ShapesConfig,
    mesh: trimesh.Trimesh,
    filled: Sequence[Filled],
    *,
    rng: np.random.Generator,
) -> list[Picture]:
    """Pictures of bins of a mesh LENGTH_M long, each as another camera may take it."""
    pictures = []
    for parts_bin in filled:
        poses = np.tile(np.eye(4), (len(parts_bin.poses), 1, 1))
        poses[:, :3] = parts_bin.poses
        for _ in range(config.pictures):
            picture = photograph(mesh, poses, parts_bin.width_m, rng=rng, config=config.view)
            if (picture.labels > 0).sum() > 60:
                pictures.append(picture)
    return pictures


def store_shapes(config: ShapesConfig, path: Path, seed: int, *, workers: int) -> Iterator[int]:
    """Bins and pictures of every shape; yields how many shapes are done.

    What is there already is kept.
    """
    path.mkdir(parents=True, exist_ok=True)
    tasks = ((config, path, seed, index) for index in range(config.shapes))
    for done, _ in enumerate(in_processes(_store_shape, tasks, workers), 1):
        yield done


def _store_shape(task: tuple[ShapesConfig, Path, int, int]) -> None:
    config, path, seed, index = task
    views, straight, compact = (
        path / f'{index:04d}{ending}' for ending in (VIEWS, STRAIGHT, COMPACT)
    )
    if not (views.exists() and straight.exists()):
        part = shape(seed, index)
        filled = fill_bins(config, part, (seed, index, 1))
        for file, looks, number in ((straight, config.seen_straight, 5), (views, config, 2)):
            rng = np.random.default_rng([seed, index, number])
            save_views(file, picture_looks(looks, part.mesh, filled, rng=rng))
    if not compact.exists():
        part, looks = compact_shape(seed, index), config.compact
        rng = np.random.default_rng([seed, index, 6])
        filled = fill_bins(looks, part, (seed, index, 7))
        save_views(compact, picture_looks(looks, part.mesh, filled, rng=rng))


def save_views(path: Path, pictures: Sequence[Picture]) -> None:
    """Write pictures that `load_views` reads, whole or not at all."""
    part = path.with_suffix('.part')
    with part.open('wb') as file:
        np.savez(file, **_packed(pictures))  # type: ignore[arg-type]
    part.rename(path)


def _packed(pictures: Sequence[Picture]) -> dict[str, NDArray]:
    if not pictures:
        return {'counts': np.zeros(0, int)}
    return {
        'counts': np.array([len(p.visible) for p in pictures]),
        'depth': np.stack([p.depth for p in pictures]),
        'labels': np.stack([p.labels for p in pictures]),
        'centres': np.concatenate([p.centres for p in pictures]),
        'visible': np.concatenate([p.visible for p in pictures]),
        'camera': np.array([p.camera for p in pictures]),
        'told': np.array([p.told_m for p in pictures]),
    }


def load_views(
    path: Path, config: ViewConfig, length_m: float = LENGTH_M
) -> list[tuple[RandomView, NetworkConfig]]:
    """One shape's pictures, as if it were `length_m` long."""
    with np.load(path) as stored:
        if not len(stored['counts']):
            return []
        kept = {name: stored[name] for name in stored.files}
    ends = np.cumsum(kept['counts'])[:-1]
    centres, visible = np.split(kept['centres'], ends), np.split(kept['visible'], ends)
    return [
        view_of(
            Picture(
                kept['depth'][k],
                kept['labels'][k],
                centres[k],
                visible[k],
                tuple(kept['camera'][k].tolist()),
                float(kept['told'][k]),
            ),
            config,
            length_m,
        )
        for k in range(len(kept['told']))
    ]


def load_shapes(
    path: Path, config: ShapesConfig, *, last: int | None = None, ending: str = VIEWS
) -> Iterator[list[tuple[RandomView, NetworkConfig]]]:
    """The stored shapes to before `last`, those that have any pictures of the kind."""
    view = config.view if ending == VIEWS else config.view.straight
    for file in sorted(path.glob(f'[0-9]*{ending}')):
        if int(file.name.split('.')[0]) < (config.shapes if last is None else last):
            views = load_views(file, view)
            if views:
                yield views
