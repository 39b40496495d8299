"""Where the arm's joints are and whether they move, by joint_states alone."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState

from insegan_ros.data.depth_messages import stamp_ns

STILL_RAD_S = 0.01


class JointMonitor:
    """The newest position and velocity of the arm's joints, from joint_states."""

    def __init__(self, node: Node, names: Sequence[str]) -> None:
        self._node = node
        # of all that tells of the arm: received while another callback waits for its standstill
        self.group = MutuallyExclusiveCallbackGroup()
        self.names = tuple(names)
        self.positions: tuple[float, ...] | None = None  # rad, in the order of `names`
        self.velocities: tuple[float, ...] | None = None  # rad/s
        self._seen = -math.inf
        self._stamp = 0
        self._subscription = node.create_subscription(
            JointState,
            'joint_states',
            self._store,
            qos_profile_sensor_data,
            callback_group=self.group,
        )

    def close(self) -> None:
        """Undo the constructor."""
        self._node.destroy_subscription(self._subscription)

    def _store(self, message: JointState) -> None:
        index = {name: k for k, name in enumerate(message.name)}
        if not all(name in index and index[name] < len(message.position) for name in self.names):
            return  # another part of the robot: grippers and wheels report on the same topic
        now = time.monotonic()
        positions = tuple(float(message.position[index[name]]) for name in self.names)
        stamp = stamp_ns(message.header)
        if not all(math.isfinite(p) for p in positions) or (stamp and stamp == self._stamp):
            return  # the same stamp again: somebody repeats what a controller said before it died
        self._stamp = stamp
        if len(message.velocity) == len(message.name):
            velocities = tuple(float(message.velocity[index[name]]) for name in self.names)
        elif self.positions is not None and now > self._seen > -math.inf:
            step = now - self._seen
            velocities = tuple((b - a) / step for a, b in zip(self.positions, positions))
        else:
            velocities = None
        self.positions, self.velocities, self._seen = positions, velocities, now

    @property
    def age(self) -> float:
        """Seconds since the newest joint state of this arm; inf before the first."""
        return time.monotonic() - self._seen

    @property
    def by_name(self) -> dict[str, float] | None:
        """The positions, rad; None before the first joint state."""
        return None if self.positions is None else dict(zip(self.names, self.positions))

    @property
    def still(self) -> bool:
        """Whether no joint moves."""
        return self.velocities is not None and all(abs(v) < STILL_RAD_S for v in self.velocities)
