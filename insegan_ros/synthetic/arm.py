"""A simulated arm that holds the bin: it carries out trajectories and says where the bin is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BPoly
from scipy.spatial.transform import Rotation

from insegan_ros.collection.trajectory import JointLimits, Trajectory, violations

FloatArray = NDArray[np.float64]

# metres that the bin moves in x, y, z for a radian of each joint of a Fetch's arm near the pose in
# which it holds a box before itself: lever arms, not its full kinematics
FETCH_LEVERS = np.array(
    [
        [0.0, -0.2, 0.0, -0.3, 0.0, -0.1, 0.0],
        [0.7, 0.0, 0.1, 0.0, 0.1, 0.0, 0.0],
        [0.0, -0.6, 0.0, -0.4, 0.0, -0.15, 0.0],
    ]
)

# and the radians by which it rolls (about x) and pitches (about y)
FETCH_TILTS = np.array(
    [
        [0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 1.0],
        [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
    ]
)
GRAVITY = np.array([0.0, 0.0, -9.81])  # m/s^2


class SimulatedArm:
    """Follows its trajectories exactly, within its limits, and refuses what exceeds them."""

    def __init__(
        self,
        limits: Sequence[JointLimits],
        home: Sequence[float],
        levers: FloatArray = FETCH_LEVERS,
        *,
        tilts: FloatArray = FETCH_TILTS,
    ) -> None:
        """What a radian of each joint does to the bin: levers (3, J) metres, tilts (2, J) rad."""
        joints = len(limits)
        if levers.shape != (3, joints) or tilts.shape != (2, joints) or len(home) != joints:
            raise ValueError(
                f'levers {levers.shape}, tilts {tilts.shape} and {len(home)} home positions '
                f'for {joints} joints'
            )
        self.limits, self.levers, self.tilts = tuple(limits), levers, tilts
        self._home = np.asarray(home, np.float64)
        self._rest(self._home)

    def _rest(self, pose: FloatArray) -> None:
        self._curves = [BPoly.from_derivatives([0.0, 1.0], [[q, 0, 0]] * 2) for q in pose]
        self._began, self._duration = 0.0, 0.0

    def follow(self, trajectory: Trajectory, now: float) -> list[str]:
        """Begin a trajectory at time `now` (s); the reasons it is refused, none if it is not."""
        start, velocity, _ = self.state(now)
        reasons = violations(trajectory, self.limits, start.tolist())
        if reasons:
            return reasons
        times = np.concatenate([[0.0], trajectory.times])
        rest = np.zeros((1, len(start)))
        position, velocity, acceleration = (
            np.concatenate([first, points])
            for first, points in (
                (start[None], trajectory.positions),
                (velocity[None], trajectory.velocities),
                (rest, trajectory.accelerations),
            )
        )
        derivatives = np.stack([position, velocity, acceleration], axis=1)  # (T + 1, 3, J)
        self._curves = [
            BPoly.from_derivatives(times, derivatives[:, :, k]) for k in range(len(start))
        ]
        self._began, self._duration = now, trajectory.duration
        return []

    def brake(self, now: float) -> None:
        """Come to rest as fast as the acceleration limits let."""
        position, velocity, _ = self.state(now)
        most = np.array([limit.max_acceleration for limit in self.limits])
        # a quintic from v to rest in T decelerates by at most 1.5 v / T
        duration = max(0.05, float((1.6 * np.abs(velocity) / most).max()))
        end = position + velocity * duration / 2
        self._curves = [
            BPoly.from_derivatives([0.0, duration], [[q, v, 0], [e, 0, 0]])
            for q, v, e in zip(position, velocity, end)
        ]
        self._began, self._duration = now, duration

    def moving(self, now: float) -> bool:
        """Whether a trajectory is being carried out at time `now`."""
        return now < self._began + self._duration

    def state(self, now: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Position (rad), velocity and acceleration of the joints, (J,) each, at time `now`."""
        t = float(np.clip(now - self._began, 0.0, self._duration))
        position = np.array([curve(t) for curve in self._curves])
        if not self.moving(now):
            return position, np.zeros_like(position), np.zeros_like(position)
        velocity, acceleration = (
            np.array([curve(t, order) for curve in self._curves]) for order in (1, 2)
        )
        return position, velocity, acceleration

    def bin_displacement(self, now: float) -> FloatArray:
        """(3,) of the bin from where it is when the arm is at home, world frame, metres."""
        return self.levers @ (self.state(now)[0] - self._home)

    def bin_acceleration(self, now: float) -> FloatArray:
        """(3,) world frame, m/s^2."""
        return self.levers @ self.state(now)[2]

    def felt_acceleration(self, now: float) -> FloatArray:
        """(3,) m/s^2: an upright bin accelerated so weighs its parts down as this one does.

        In the bin's own frame parts feel gravity turned by the tilt, less the acceleration; what
        turning itself adds is left out.
        """
        roll, pitch = self.tilts @ (self.state(now)[0] - self._home)
        turn = Rotation.from_euler('xy', [roll, pitch])
        return GRAVITY - turn.inv().apply(GRAVITY - self.bin_acceleration(now))
