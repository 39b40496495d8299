"""A pick: where a gripper takes hold of one instance, and what speaks for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import rigid


@dataclass(frozen=True, kw_only=True)
class Cues:
    """What a pick's chance of success is judged by; each is 0 at worst and about 1 at best."""

    seal: float  # suction: share of the lip that lies on the part; jaw: depth of hold
    smooth: float  # 1 as smooth as the camera can tell, 0 as rough as the gripper takes; below 0
    # it is tried as a last resort alone
    level: float  # cosine between the approach and the vertical
    centred: float  # 1 above the part's middle, 0 at its rim
    room: float  # surface beyond the lip, or clearance beside the fingers, as a share of its need
    known: float  # 1 where the direction is the posed template's, 0 where it is the measured one
    visible: float  # fraction of the part that is seen
    score: float  # the instance's own score

    def vector(self) -> NDArray[np.float64]:
        """(8,) in the order of the fields."""
        return np.array([getattr(self, name) for name in self.names()])

    @staticmethod
    def names() -> tuple[str, ...]:
        """The names of the measures, in the order of their values."""
        return ('seal', 'smooth', 'level', 'centred', 'room', 'known', 'visible', 'score')


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One way to take hold of one instance.

    The tool's frame: its origin is where the cup's lip or the middle between the fingertips comes
    to rest, z is the direction of approach, x is the direction in which fingers close.
    """

    label: int  # of the instance in the label image
    kind: str  # suction or parallel
    pose: NDArray[np.float64]  # (4, 4) camera_T_tool
    chance: float  # of lifting exactly this part, in [0, 1]
    cues: Cues
    width_m: float = 0.0  # jaw: between the contacts; suction: radius of the flat place
    tool: int = 0  # which of the grippers that were planned for
    waits_for: tuple[int, ...] = ()  # labels of the instances that lie on this one


@dataclass(frozen=True, kw_only=True)
class NoPick:
    """An instance that cannot be taken hold of, and why."""

    label: int
    reason: str


def tool_pose(
    point: NDArray[np.floating], approach: NDArray[np.floating], closing: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(4, 4) camera_T_tool with z along `approach` and x as near to `closing` as z allows."""
    z = np.asarray(approach, np.float64) / np.linalg.norm(approach)
    x = np.asarray(closing, np.float64) - (closing @ z) * z
    if np.linalg.norm(x) < 1e-6:  # any direction across will do
        x = np.eye(3)[np.argmin(np.abs(z))]
        x = x - (x @ z) * z
    x = x / np.linalg.norm(x)
    return rigid(np.stack([x, np.cross(z, x), z], axis=1), point)
