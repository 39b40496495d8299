"""A simulated cell: a bin of parts and a gripper whose bodies really touch them, by MuJoCo.

The world is `bin_world`'s: metres, z up, the floor at z = 0. A gripper hangs from a hand that
moves along straight lines. Nothing is glued: a suction cup holds by an attraction of limited force
that lasts only while its whole lip touches one part, fingers hold by friction.
"""

from __future__ import annotations

from enum import Enum

import mujoco
import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.gripper import Gripper, ParallelJaw, SuctionCup
from insegan_ros.synthetic.bin_model import compiled, world_of
from insegan_ros.synthetic.bin_world import BinSpec, Physics, poses_of, require_inside
from insegan_ros.synthetic.gripper_bodies import PARTS_BIT, TOOL_BIT, add_finite_walls, add_hand
from insegan_ros.synthetic.hanging_tool import HangingTool
from insegan_ros.synthetic.parts import Part

SPEED = 0.15  # m/s of the hand
CLEAR_M = 0.10  # above the rim, where the hand starts and where it lifts to
PRESS_M = 0.004  # beyond the first touch
SETTLE_S = 0.25  # that a lifted part hangs before it is looked at
BLOCKED_M = 0.006  # the hand is ahead of the gripper by more: something is in the way
# MuJoCo's cone and impratio while parts fall, and while fingers hold: with the first, what they
# squeeze creeps out between them, however rough it is
LOOSE = mujoco.mjtCone.mjCONE_PYRAMIDAL, 1.0
FIRM = mujoco.mjtCone.mjCONE_ELLIPTIC, 10.0
UNSTABLE = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
)
MIN_DOWN = 0.3  # of the approach: a flatter one would have to pass through the walls


class Outcome(Enum):
    """How a try ended."""

    LIFTED = 'lifted'  # exactly one part, the one that was meant
    WRONG = 'wrong part'  # exactly one, another one
    DOUBLE = 'double'  # more than one
    NO_HOLD = 'no hold'  # the lip found no closed surface, or the fingers no part
    BLOCKED = 'blocked'  # the gripper ran into something on its way
    DROPPED = 'dropped'  # it was held, and lost while it was lifted


class UnstableError(RuntimeError):
    """The simulation became unstable, and knows no outcome."""


class PickCell:
    """A bin, its parts, and one gripper."""

    def __init__(
        self,
        part: Part,
        bin_spec: BinSpec,
        *,
        capacity: int,
        tool: Gripper,
        physics: Physics | None = None,
    ) -> None:
        self.part, self.bin_spec = part, bin_spec
        self.physics = physics or Physics()
        world = world_of([part], bin_spec, capacity, physics=self.physics)
        add_finite_walls(world, bin_spec)
        add_hand(world, tool)
        self._model = compiled(world, [part], self.physics)
        self._data = mujoco.MjData(self._model)
        self._capacity = capacity
        self._radius = float(np.linalg.norm(part.mesh.vertices, axis=1).max())
        self._bodies = [self._model.body(f'part{k}').id for k in range(capacity)]
        self.tool = HangingTool(self._model, self._data, tool, parts=self._bodies)
        self._present = np.zeros(capacity, bool)
        self._park_hand()
        self._apply_presence()

    # --- the bin -------------------------------------------------------------------------------

    @property
    def present(self) -> NDArray[np.int64]:
        """Indices of the parts that are still in the bin, ascending."""
        return np.flatnonzero(self._present)

    def fill(self, count: int, rng: np.random.Generator) -> None:
        """Empty the bin, drop `count` parts one after another and let them settle.

        Raises:
            ValueError: more parts than the cell holds.
            SceneRejectedError: they did not come to rest inside the bin.
        """
        if not 0 <= count <= self._capacity:
            raise ValueError(f'{count} parts: this cell holds 0 to {self._capacity}')
        mujoco.mj_resetData(self._model, self._data)
        self._present[:] = False
        self._park_hand()
        room = max(self.bin_spec.width / 2 - self._radius, 0.0)
        qpos, qvel = self._part_qpos(), self._part_qvel()
        for k in range(count):
            top = float(qpos[:k, 2].max(initial=0.0)) + (self._radius if k else 0.0)
            turn = rng.normal(size=4)
            place = rng.uniform(-room, room, 2)
            qpos[k] = [*place, top + 1.1 * self._radius, *turn / np.linalg.norm(turn)]
            qvel[k] = [0, 0, -0.5, *rng.normal(0.0, 2.0, 3)]
            self._present[k] = True
            self._apply_presence()
            self._step(self.physics.drop_interval)
        self.settle()
        require_inside(qpos[:count, :3], self.bin_spec)

    def settle(self, seconds: float = 2.5) -> bool:
        """Wait until every part is at rest; False if some still move after `seconds`."""
        for _ in range(int(seconds / 0.03)):
            self._step(0.03)
            velocity = self._part_qvel()[self._present]
            speed = np.linalg.norm(velocity[:, :3], axis=1)
            speed += self._radius * np.linalg.norm(velocity[:, 3:], axis=1)
            if speed.max(initial=0.0) < self.physics.still_speed:
                return True
        return False

    def poses(self) -> NDArray[np.float64]:
        """(M, 4, 4) world_T_part of those in the bin, in the order of `present`."""
        return poses_of(self._part_qpos()[self.present])

    def take_over(self, other: PickCell) -> None:
        """Make this bin hold the parts of another cell of the same part, as they lie there."""
        self._present[:] = other._present
        self._part_qpos()[:], self._part_qvel()[:] = other._part_qpos(), other._part_qvel()
        self._apply_presence()
        self._park_hand()

    # --- a pick --------------------------------------------------------------------------------

    def pick(
        self, world_T_tool: NDArray[np.floating], *, meant: int | None, width_m: float = 0.0
    ) -> Outcome:
        """Go down along the tool's z, take hold, lift straight up, and take out what came along.

        Args:
            world_T_tool: (4, 4) where the lip or the fingertips shall be, z the approach.
            meant: index of the part that should come up; None if no part lies there.
            width_m: of a jaw's hold.

        Raises:
            UnstableError: the simulation became unstable.
        """
        pose = np.asarray(world_T_tool, np.float64)
        if -pose[2, 2] < MIN_DOWN:
            return Outcome.BLOCKED
        start = self._start(pose)
        self.tool.place(start, opening=width_m)
        reached, touched = self._approach(start, pose)
        held = self._take_hold() if touched or isinstance(self.tool.kind, ParallelJaw) else False
        self._lift(reached)
        came = self._lifted()
        if any(self._data.warning[int(kind)].number for kind in UNSTABLE):
            raise UnstableError(
                f'the simulated pick of a {self.part.name} became unstable; try another seed'
            )
        self._let_go(came)
        if len(came) > 1:
            return Outcome.DOUBLE
        if len(came) == 1:
            return Outcome.LIFTED if came[0] == meant else Outcome.WRONG
        if held:
            return Outcome.DROPPED
        return Outcome.NO_HOLD if touched else Outcome.BLOCKED

    def _start(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        """Back along the approach until the tool is above the rim."""
        start = pose.copy()
        height = max(self.bin_spec.wall_height + 0.02 - pose[2, 3], 0.05)
        start[:3, 3] -= pose[:3, 2] * height / -pose[2, 2]
        return start

    def _approach(
        self, start: NDArray[np.float64], pose: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], bool]:
        """Move from `start` to `pose` and a little beyond; stop where the tool is stopped.

        Returns the pose reached, and whether a cup's lip touched a part; fingers only arrive.
        """
        z = pose[:3, 2]
        cup = isinstance(self.tool.kind, SuctionCup)
        way = float((pose[:3, 3] - start[:3, 3]) @ z) + (PRESS_M if cup else 0.0)
        steps = max(int(way / SPEED / self.physics.timestep), 1)
        reached = start.copy()
        for step in range(1, steps + 1):
            reached[:3, 3] = start[:3, 3] + z * way * step / steps
            self.tool.move(reached)
            mujoco.mj_step(self._model, self._data)
            if step % 4:
                continue
            lag = float((reached[:3, 3] - self.tool.position) @ z)
            if cup and self.tool.suck():  # an ejector runs before the lip touches
                return reached, True
            if lag > BLOCKED_M:
                return reached, cup and self.tool.touches_part()
        return reached, self.tool.touches_part() if cup else True

    def _take_hold(self) -> bool:
        if isinstance(self.tool.kind, SuctionCup):
            for _ in range(5):
                self._step(0.01)
                held = self.tool.suck()
            return held
        self._hold_by(FIRM)
        self._data.ctrl[:] = [0.0, 0.0]  # close: the fingers' targets meet in the middle
        self._step(0.25)
        return self.tool.touches_part()

    def _lift(self, reached: NDArray[np.float64]) -> None:
        """Straight up until what hangs on the tool is above the rim, and wait."""
        top = self.bin_spec.wall_height + CLEAR_M + 2 * self._radius
        way = max(top - float(reached[2, 3]), 0.05)
        steps = int(way / SPEED / self.physics.timestep)
        pose = reached.copy()
        for step in range(1, steps + 1):
            pose[2, 3] = reached[2, 3] + way * _smooth(step / steps)
            self.tool.move(pose)
            mujoco.mj_step(self._model, self._data)
            if step % 4 == 0 and isinstance(self.tool.kind, SuctionCup):
                self.tool.suck()
        for _ in range(int(SETTLE_S / 0.02)):
            self._step(0.02)
            if isinstance(self.tool.kind, SuctionCup):
                self.tool.suck()

    def _lifted(self) -> list[int]:
        """Indices of the parts that are above the rim now."""
        qpos = self._part_qpos()
        return [int(k) for k in self.present if qpos[k, 2] > self.bin_spec.wall_height]

    def _let_go(self, came: list[int]) -> None:
        """Take the lifted parts out of the cell, and what fell beside the bin."""
        self._park_hand()
        self._hold_by(LOOSE)
        qpos, qvel = self._part_qpos(), self._part_qvel()
        outside = np.abs(qpos[:, :2]).max(axis=1) > self.bin_spec.width / 2 + 0.02
        for k in {*came, *np.flatnonzero(outside & self._present).tolist()}:
            self._present[k] = False
            qpos[k, :3], qvel[k] = [10.0 + k, 0, 0], 0
        self._apply_presence()
        self.settle()

    def _hold_by(self, friction: tuple[mujoco.mjtCone, float]) -> None:
        self._model.opt.cone, self._model.opt.impratio = friction

    # --- the model's arrays --------------------------------------------------------------------

    def _part_qpos(self) -> NDArray[np.float64]:
        return self._data.qpos[: 7 * self._capacity].reshape(-1, 7)

    def _part_qvel(self) -> NDArray[np.float64]:
        return self._data.qvel[: 6 * self._capacity].reshape(-1, 6)

    def _step(self, seconds: float) -> None:
        steps = max(round(seconds / self.physics.timestep), 1)
        mujoco.mj_step(self._model, self._data, steps)

    def _apply_presence(self) -> None:
        """Parts that are not in the bin float, parked far away, and touch nothing."""
        for k, body in enumerate(self._bodies):
            here = bool(self._present[k])
            self._model.body_gravcomp[body] = not here
            first, count = self._model.body_geomadr[body], self._model.body_geomnum[body]
            self._model.geom_contype[first : first + count] = PARTS_BIT if here else 0
            collides = PARTS_BIT | TOOL_BIT if here else 0
            self._model.geom_conaffinity[first : first + count] = collides

    def _park_hand(self) -> None:
        pose = np.diag([1.0, -1, -1, 1])
        pose[:3, 3] = [0, 0, self.bin_spec.wall_height + 1.0]
        self.tool.place(pose, opening=0.0)


def _smooth(share: float) -> float:
    """From 0 to 1 with no jerk at either end."""
    return float(share**3 * (10 - 15 * share + 6 * share**2))
