"""Parts dropped into a square bin, settled and shaken, by MuJoCo.

World frame: metres, z up, the bin's floor at z = 0, its centre at the origin. The physics run in
the bin's own frame: a bin that moves by d(t) without turning is the same as one at rest under
gravity g - d''(t), so shaking costs no moving geometry and is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.optional import needed_for
from insegan_ros.synthetic.bin_model import compiled, world_of
from insegan_ros.synthetic.parts import Part

with needed_for('the simulated bin'):
    import mujoco

GRAVITY = np.array([0.0, 0.0, -9.81])  # m/s^2


class SceneRejectedError(RuntimeError):
    """A drop that did not end in a valid scene: draw another one."""


def fill_validly(
    fill: Callable[[np.random.Generator], None], seed: Sequence[int], attempts: int
) -> tuple[np.random.Generator, int]:
    """Call `fill` with a generator of (seed, attempt) until it gives a valid scene.

    Returns:
        The generator, as the valid drop left it, and how many drops were rejected before.

    Raises:
        SceneRejectedError: all were rejected; the message is that of the last.
    """
    reason = ''
    for attempt in range(attempts):
        rng = np.random.default_rng([*seed, attempt])
        try:
            fill(rng)
        except SceneRejectedError as error:
            reason = str(error)
            continue
        return rng, attempt
    raise SceneRejectedError(reason)


@dataclass(frozen=True)
class BinSpec:
    """A square bin without a lid, in metres: four walls standing on a flat floor."""

    width: float  # between the walls' inner faces
    wall_height: float
    wall_thickness: float = 0.004
    wall_lean: float = 0.0  # m outwards for each up: what is seen; parts meet upright walls

    @staticmethod
    def for_part(part: Part, width_in_lengths: float) -> BinSpec:
        """A bin sized by the part: its walls higher than a part is long, so that a pile fits."""
        return BinSpec(width=width_in_lengths * part.length, wall_height=1.6 * part.length)


def require_inside(centres: NDArray[np.float64], spec: BinSpec) -> None:
    """Raises: SceneRejectedError, where one of (N, 3) points lies outside the bin or too high."""
    if (np.abs(centres[:, :2]) > spec.width / 2).any() or (centres[:, 2] < 0).any():
        raise SceneRejectedError('a part left the bin')
    if (centres[:, 2] > spec.wall_height).any():
        raise SceneRejectedError('a part lies above the rim')


def poses_of(qpos: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 7) places and quaternions of MuJoCo -> (N, 4, 4) world_T_part."""
    poses = np.tile(np.eye(4), (len(qpos), 1, 1))
    poses[:, :3, 3] = qpos[:, :3]
    matrix = np.empty(9)
    for pose, quaternion in zip(poses, qpos[:, 3:]):
        mujoco.mju_quat2Mat(matrix, quaternion)
        pose[:3, :3] = matrix.reshape(3, 3)
    return poses


@dataclass(frozen=True)
class Physics:
    """What the simulation trades between speed and accuracy."""

    timestep: float = 0.003  # s
    iterations: int = 12  # of the constraint solver
    friction: float = 0.4
    density: float = 2500.0  # kg/m^3
    drop_interval: float = 0.12  # s between one part's release and the next
    still_speed: float = 0.01  # m/s at the part's rim: slower counts as at rest
    max_settle: float = 2.5  # s of simulated time
    max_penetration: float = 0.0012  # m: deeper contacts reject a scene


class BinWorld:
    """A bin and up to `capacity` parts, of one kind or of several."""

    def __init__(
        self,
        parts: Part | Sequence[Part],
        bin_spec: BinSpec,
        capacity: int = 8,
        *,
        physics: Physics | None = None,
    ) -> None:
        """Make a world for `parts`, one a kind; each kind alone may fill the whole capacity."""
        self.parts = (parts,) if isinstance(parts, Part) else tuple(parts)
        self.bin_spec, self.capacity = bin_spec, capacity
        self.physics = physics or Physics()
        self.displacement: NDArray[np.float64] = np.zeros(3)  # of the bin in the world, metres
        world = world_of(self.parts, bin_spec, capacity, physics=self.physics)
        self._model = compiled(world, self.parts, self.physics)
        self._data = mujoco.MjData(self._model)
        radii = [float(np.linalg.norm(part.mesh.vertices, axis=1).max()) for part in self.parts]
        self._radii = np.repeat(radii, capacity)  # of the bodies
        # in the bin, in the order in which they fell
        self._bodies: NDArray[np.int64] = np.zeros(0, np.int64)
        self._take_part(())

    @property
    def count(self) -> int:
        """How many parts are in the bin."""
        return len(self._bodies)

    @property
    def kinds(self) -> NDArray[np.int64]:
        """(N,) of the parts in the bin: places in `parts`."""
        return self._bodies // self.capacity

    def drop(
        self, count: int, rng: np.random.Generator, kinds: Sequence[int] | None = None
    ) -> None:
        """Empty the bin, then let `count` parts fall one after another, in random poses.

        Args:
            kinds: of these parts; None: where there are several, each part's is drawn.

        Raises:
            ValueError: more parts than the world's capacity.
        """
        mujoco.mj_resetData(self._model, self._data)
        self.displacement = np.zeros(3)
        self._take_part(())
        self.add(count, rng, kinds)

    def add(
        self, count: int, rng: np.random.Generator, kinds: Sequence[int] | None = None
    ) -> None:
        """Let `count` parts more, of these kinds, fall onto what lies in the bin.

        Raises:
            ValueError: more parts than the world's capacity.
        """
        if not 0 <= count <= self.capacity - self.count:
            raise ValueError(
                f'{count} parts beside {self.count}: this world holds 0 to {self.capacity}'
            )
        if kinds is None:
            several = len(self.parts) > 1
            kinds = rng.integers(len(self.parts), size=count).tolist() if several else [0] * count
        qpos = self._data.qpos.reshape(-1, 7)
        qvel = self._data.qvel.reshape(-1, 6)
        pause = round(self.physics.drop_interval / self.physics.timestep)
        for kind in kinds:
            body = kind * self.capacity + self.count  # no other part of that number falls
            radius = float(self._radii[body])
            room = max(self.bin_spec.width / 2 - radius, 0.0)
            below = self._bodies
            top = float(qpos[below, 2].max(initial=0.0))
            top += float(self._radii[below].max(initial=0.0))
            place = rng.uniform(-room, room, 2)
            turn = rng.normal(size=4)
            qpos[body] = [*place, top + 1.1 * radius, *turn / np.linalg.norm(turn)]
            qvel[body] = [0, 0, -0.5, *rng.normal(0.0, 2.0, 3)]  # m/s, rad/s
            self._take_part((*below, body))
            mujoco.mj_step(self._model, self._data, pause)

    def fill(
        self, count: int, rng: np.random.Generator, kinds: Sequence[int] | None = None
    ) -> None:
        """Drop, settle and check.

        Raises:
            SceneRejectedError: this drop gave no valid scene; another one may.
        """
        self.drop(count, rng, kinds)
        if not self.settle():
            raise SceneRejectedError('parts would not come to rest')
        self.check()

    def settle(self) -> bool:
        """Run until every part is at rest, bounded in time; False if some still move."""
        physics = self.physics
        block = 10  # steps between looks
        calm = 0
        for _ in range(int(physics.max_settle / physics.timestep / block)):
            mujoco.mj_step(self._model, self._data, block)
            calm = calm + 1 if self.speed() < physics.still_speed else 0
            if calm >= 2:
                return True
        return False

    @property
    def seconds(self) -> float:
        """Simulated time since the drop began."""
        return float(self._data.time)

    def speed(self) -> float:
        """The fastest part's speed at its rim relative to the bin, m/s."""
        velocity = self._data.qvel.reshape(-1, 6)[self._bodies]
        linear = np.linalg.norm(velocity[:, :3], axis=1)
        angular = np.linalg.norm(velocity[:, 3:], axis=1)
        return float((linear + self._radii[self._bodies] * angular).max(initial=0.0))

    def advance(self, seconds: float, bin_acceleration: NDArray[np.float64] | None = None) -> None:
        """Run physics for a while; the bin meanwhile accelerates (world frame, m/s^2)."""
        gravity = GRAVITY if bin_acceleration is None else GRAVITY - np.asarray(bin_acceleration)
        self._model.opt.gravity[:] = gravity
        steps = max(1, round(seconds / self.physics.timestep))
        mujoco.mj_step(self._model, self._data, steps)
        self._model.opt.gravity[:] = GRAVITY

    def poses(self) -> NDArray[np.float64]:
        """(N, 4, 4) world_T_part."""
        poses = poses_of(self._data.qpos.reshape(-1, 7)[self._bodies])
        poses[:, :3, 3] += self.displacement
        return poses

    def check(self) -> None:
        """Accept the scene or say what is wrong with it.

        Raises:
            SceneRejectedError: a part lies outside the bin or over its rim, or parts overlap.
        """
        mujoco.mj_forward(self._model, self._data)
        require_inside(self.poses()[:, :3, 3] - self.displacement, self.bin_spec)
        depth = self.penetration()
        if depth > self.physics.max_penetration:
            raise SceneRejectedError(f'parts interpenetrate by {depth * 1e3:.1f} mm')

    def penetration(self) -> float:
        """Deepest contact, metres."""
        distances = self._data.contact.dist
        return float(max(-distances.min(initial=0.0), 0.0))

    def _take_part(self, bodies: Sequence[int]) -> None:
        """Let these parts fall and collide; the others float, parked far away."""
        self._bodies = np.array(bodies, np.int64)
        taken = np.zeros(self._model.nbody, bool)
        taken[0] = True  # the bin
        taken[self._bodies + 1] = True
        self._model.body_gravcomp[:] = ~taken
        self._model.geom_contype[:] = taken[self._model.geom_bodyid]
        self._model.geom_conaffinity[:] = self._model.geom_contype
