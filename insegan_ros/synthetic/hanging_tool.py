"""A tool that hangs from a hand in MuJoCo: where it is, what it touches, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.gripper import Gripper, ParallelJaw
from insegan_ros.synthetic.gripper_bodies import GRIP

LIP_NEEDED = 11  # points of the lip that touch one part, or air gets in


class HangingTool:
    """The bodies of `gripper_bodies.add_hand` in a world that runs."""

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        kind: Gripper,
        *,
        parts: Sequence[int],
    ) -> None:
        """`parts`: the bodies that may be held; their joints come before the tool's."""
        self.kind, self._model, self._data, self._parts = kind, model, data, parts
        self._body = model.body('tool').id
        names = [model.geom(k).name for k in range(model.ngeom)]
        self._grip_geoms = {k for k, name in enumerate(names) if name.startswith(GRIP)}

    @property
    def position(self) -> NDArray[np.float64]:
        """(3,) of the lip or the fingertips, world, metres."""
        return self._data.xpos[self._body]

    def place(self, pose: NDArray[np.float64], *, opening: float) -> None:
        """Put hand and tool at a pose (4, 4) at once, without moving there."""
        self.move(pose)
        address = 7 * len(self._parts)
        self._data.qpos[address : address + 3] = self._data.mocap_pos[0]
        self._data.qpos[address + 3 : address + 7] = self._data.mocap_quat[0]
        self._data.qvel[6 * len(self._parts) :] = 0
        self._data.ctrl[:] = 0
        if isinstance(self.kind, ParallelJaw):
            half = min(opening / 2 + 0.003, self.kind.stroke_m / 2)
            self._data.qpos[address + 7 :] = half
            self._data.ctrl[:] = half
        mujoco.mj_forward(self._model, self._data)

    def move(self, pose: NDArray[np.float64]) -> None:
        """Send the hand to a pose (4, 4); the tool follows when the world goes on."""
        self._data.mocap_pos[0] = pose[:3, 3]
        mujoco.mju_mat2Quat(self._data.mocap_quat[0], pose[:3, :3].ravel())

    def suck(self) -> bool:
        """The vacuum lasts while the whole lip touches one part; whether it does."""
        lips: dict[int, set[int]] = {}
        for lip, part in self._contacts():
            lips.setdefault(part, set()).add(lip)
        self._data.ctrl[0] = float(any(len(some) >= LIP_NEEDED for some in lips.values()))
        return bool(self._data.ctrl[0])

    def touches_part(self) -> bool:
        """Whether the lip or a finger touches one."""
        return bool(self._contacts())

    def _contacts(self) -> list[tuple[int, int]]:
        """Pairs of a geom of the lip or the fingers and the part's body that it touches."""
        pairs = []
        for first, second in self._data.contact.geom[: self._data.ncon]:
            for own, other in ((first, second), (second, first)):
                body = int(self._model.geom_bodyid[other])
                if own in self._grip_geoms and body in self._parts:
                    pairs.append((int(own), body))
        return pairs
