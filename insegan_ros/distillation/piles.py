"""Piles of a learned template in physics: labelled training images without anybody's labels.

What the bin and the camera are like is measured in the unlabelled dataset; the part is the
template that discovery found in it. Pile i depends on (seed, i) and the settings alone.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.data.store import DatasetInfo, Sample, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.depth_camera import EXACT_DEPTH_SCALE
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.synthetic.bin_world import BinSpec, BinWorld, Physics, SceneRejectedError
from insegan_ros.synthetic.convex import convex_pieces
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.synthetic.workers import in_processes
from insegan_ros.types import DepthFrame

MAX_ATTEMPTS = 30  # drops before a pile counts as impossible


class Solid(Protocol):
    """What piles need of a template."""

    def mesh(self) -> trimesh.Trimesh:
        """Its closed surface, metres."""


@dataclass(frozen=True)
class PileConfig:
    """What is varied between piles."""

    count: int = 12000
    instances: tuple[int, int] = (2, 10)  # least and most parts
    # of the template, which discovery measures only so well
    scale_jitter: float = 0.03
    stretch_jitter: float = 0.01  # along each of its axes
    swell_jitter: float = 0.008  # of its surface outwards, in part lengths
    width_jitter: float = 0.04  # of the bin's width
    height_jitter: float = 0.02  # of the camera's height
    shift_jitter: float = 0.004  # m sideways
    turn_jitter: float = 0.03  # rad


@dataclass(frozen=True)
class Shape:
    """A template's surface and what collides in its place."""

    vertices: NDArray[np.float64]  # metres, about its centre of mass
    faces: NDArray[np.int64]
    pieces: tuple[tuple[NDArray[np.float64], NDArray[np.int64]], ...]  # convex

    @staticmethod
    def of(solid: Solid) -> Shape:
        """Raises: ValueError where the template's mesh is empty."""
        mesh = solid.mesh()
        if len(mesh.faces) == 0:
            raise ValueError('the template is empty; discover it again, from more frames')
        mesh = mesh.copy()
        mesh.vertices -= mesh.center_mass if mesh.is_watertight else mesh.vertices.mean(axis=0)
        pieces = convex_pieces(mesh)
        return Shape(
            np.asarray(mesh.vertices, np.float64),
            np.asarray(mesh.faces, np.int64),
            tuple((np.asarray(p.vertices), np.asarray(p.faces)) for p in pieces),
        )

    def varied(self, settings: PileConfig, rng: np.random.Generator) -> Part:
        """What the template may be in truth: scaled, stretched, thicker or thinner."""
        scale = 1 + rng.uniform(-1, 1) * settings.scale_jitter
        stretch = scale * (1 + rng.uniform(-1, 1, 3) * settings.stretch_jitter)
        length = float(np.ptp(self.vertices, axis=0).max())
        swell = rng.uniform(-1, 1) * settings.swell_jitter * length

        def varied(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> trimesh.Trimesh:
            mesh = trimesh.Trimesh(vertices * stretch, faces, process=False)
            mesh.vertices = mesh.vertices + swell * mesh.vertex_normals
            return mesh

        pieces = [varied(v, f) for v, f in self.pieces]
        return Part('template', varied(self.vertices, self.faces), pieces)


@dataclass(frozen=True)
class PileMaker:
    """All that a pile depends on besides its seed; small enough to be sent to processes."""

    shapes: tuple[Shape, ...]  # one a kind of part
    surroundings: Surroundings
    config: PileConfig
    shares: tuple[float, ...] = (1.0,)  # of the kinds in a pile, on average

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.shapes) or not np.isclose(sum(self.shares), 1):
            raise ValueError(
                f'shares {self.shares} of {len(self.shapes)} shapes: one for each is expected, '
                '1 in all'
            )

    @staticmethod
    def of(
        solids: Sequence[Solid],
        surroundings: Surroundings,
        config: PileConfig,
        *,
        shares: Sequence[float] = (1.0,),
    ) -> PileMaker:
        """Raises: ValueError where a template's mesh is empty."""
        shapes = tuple(Shape.of(solid) for solid in solids)
        return PileMaker(shapes, surroundings, config, tuple(shares))

    def __call__(self, seed: tuple[int, ...]) -> Sample:
        """A settled pile under the dataset's camera, without noise.

        Raises:
            ValueError: the template does not fit the bin, whatever the drop.
        """
        settings, around = self.config, self.surroundings
        reason = ''
        for attempt in range(MAX_ATTEMPTS):
            rng = np.random.default_rng([*seed, attempt])
            low, high = settings.instances
            # after many rejections the bin is taken to hold fewer parts
            high = max(low, high - attempt // 4)
            count = int(rng.integers(low, high + 1))
            parts = [shape.varied(settings, rng) for shape in self.shapes]
            longest = max(part.length for part in parts)
            kinds = None
            if len(parts) > 1:
                kinds = rng.choice(len(parts), size=count, p=self.shares).tolist()
            width = around.bin_width * (1 + rng.uniform(-1, 1) * settings.width_jitter)
            # physics needs a wall as high as the pile, whether one is seen or not
            spec = BinSpec(width, max(around.wall_height, 1.6 * longest))
            # nobody has measured the friction; the template's surface may overlap a little
            physics = Physics(friction=float(rng.uniform(0.2, 0.6)), max_penetration=0.002)
            world = BinWorld(parts, spec, capacity=count, physics=physics)
            try:
                world.fill(count, rng, kinds)
            except SceneRejectedError as error:
                reason = str(error)
                continue
            return self._photograph(world, rng, seed)
        raise ValueError(
            f'no valid pile in {MAX_ATTEMPTS} drops ({reason}); is the bin '
            f'{around.bin_width * 1e3:.0f} mm wide, and the part {longest * 1e3:.0f} mm long?'
        )

    def _photograph(
        self, world: BinWorld, rng: np.random.Generator, seed: tuple[int, ...]
    ) -> Sample:
        settings, around = self.config, self.surroundings
        poses, kinds = world.poses(), world.kinds
        x, y = np.array(around.bin_centre) + rng.uniform(-1, 1, 2) * settings.shift_jitter
        height = around.camera_height * (1 + rng.uniform(-1, 1) * settings.height_jitter)
        turn = around.bin_turn + rng.uniform(-1, 1) * settings.turn_jitter
        # the walls stand along the world's axes: the camera is turned about the bin instead
        about_bin = trimesh.transformations.rotation_matrix(turn, (0, 0, 1))
        camera = Camera(around.intrinsics, about_bin @ looking_down(height, 0.0, (-x, y)))
        walls = None
        if around.wall_height:
            tall = around.wall_height * (1 + 0.1 * rng.uniform(-1, 1))
            walls = BinSpec(world.bin_spec.width, tall, rng.uniform(0.002, 0.008))
        raycaster = Raycaster([part.mesh for part in world.parts], walls)
        seen = raycaster.photograph(poses, camera, kinds)
        record: dict[str, object] = {
            'floor': [0.0, 0.0, -1.0, round(float(height), 6)],
            'visible': [round(float(v), 3) for v in seen.visible_fraction],
            'instances': len(poses),
        }
        if len(self.shapes) > 1:
            record['kinds'] = (kinds + 1).tolist()
        frame = DepthFrame(seen.depth_m, around.intrinsics)
        return Sample(seed[-1], frame, seen.labels, seen.poses, record)


def store_piles(
    maker: PileMaker, path: Path, seed: int, *, workers: int
) -> Generator[int, None, None]:
    """Make the piles that `path` lacks, in `workers` processes; yields how many there are.

    Raises:
        DatasetError: `path` holds piles of another template, bin or camera.
    """
    around = maker.surroundings
    info = DatasetInfo(
        part='template',
        intrinsics=around.intrinsics,
        source='piles',
        depth_scale=EXACT_DEPTH_SCALE,
        floor=(0.0, 0.0, -1.0, around.camera_height),
        generator=f'piles of {_described(maker)}: {asdict(maker.config)}',
        seed=seed,
    )
    path.mkdir(parents=True, exist_ok=True)
    with DatasetWriter(path, info) as writer:
        missing = [i for i in range(maker.config.count) if i not in writer.indices]
        for index, pile in zip(missing, _make(maker, seed, missing, workers=workers)):
            units = to_units(pile.frame.depth_m, EXACT_DEPTH_SCALE)
            writer.append(units, pile.labels, pile.poses, record=pile.record, index=index)
            yield len(writer.indices)


def _described(maker: PileMaker) -> str:
    """What distinguishes piles of one template from those of another."""
    vertices = ' + '.join(str(len(shape.vertices)) for shape in maker.shapes) + ' vertices'
    shares = ' : '.join(f'{share:.3f}' for share in maker.shares)
    return vertices if len(maker.shapes) == 1 else f'{vertices}, {shares}'


def _make(maker: PileMaker, seed: int, which: Iterable[int], *, workers: int) -> Iterator[Sample]:
    seeds = [(seed, index) for index in which]
    if workers <= 1:
        yield from map(maker, seeds)
        return
    with tempfile.TemporaryDirectory() as folder:
        # in a file: what is handed to processes goes through pipes that are smaller than a maker
        given = Path(folder) / 'maker'
        given.write_bytes(pickle.dumps(maker))
        yield from in_processes(_make_one, ((given, each) for each in seeds), workers, ahead=4)


@lru_cache(maxsize=1)
def _maker_in(file: Path) -> PileMaker:
    made: PileMaker = pickle.loads(file.read_bytes())
    return made


def _make_one(task: tuple[Path, tuple[int, int]]) -> Sample:
    file, seed = task
    return _maker_in(file)(seed)
