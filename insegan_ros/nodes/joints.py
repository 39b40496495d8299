"""Where the arm's joints are and whether they move, by joint_states alone."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState

from insegan_ros.data.depth_messages import stamp_ns

STILL_RAD_S = 0.01
WINDOW_S = 0.5  # over which positions must not change for an arm to stand still
LEAST_SAMPLES, MOST_SAMPLES = 3, 2000  # in it
ESTIMATE_S = 0.1  # least time between two positions that give a velocity
CLOCK_SET_S = 1.0  # a stamp earlier than the last by more: a clock was set


@dataclass(frozen=True)
class JointSample:
    """One joint_states message of this arm."""

    seconds: float  # of its stamp, or of its arrival where it has none
    positions: tuple[float, ...]  # rad


class JointMonitor:
    """The newest position and velocity of the arm's joints, from joint_states.

    Hardware without velocity interfaces reports NaN velocities or none; then positions alone show
    that the arm rests. They do so only where stamps go on: otherwise a message that is repeated
    for ever looks like an arm at rest.
    """

    def __init__(self, node: Node, names: Sequence[str]) -> None:
        self._node = node
        # of all that concerns the arm: received while another callback waits for its standstill
        self.group = MutuallyExclusiveCallbackGroup()
        self.names = tuple(names)
        self.positions: tuple[float, ...] | None = None  # rad, in the order of `names`
        self._reported: tuple[float, ...] = ()  # rad/s, NaN where not known
        self._samples: deque[JointSample] = deque(maxlen=MOST_SAMPLES)
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
        positions = tuple(float(message.position[index[name]]) for name in self.names)
        stamp = stamp_ns(message.header)
        if not all(math.isfinite(p) for p in positions) or self._repeated(stamp):
            return  # somebody repeats what a controller said before it died
        now = time.monotonic()
        if bool(stamp) != bool(self._stamp) or stamp < self._stamp:
            self._samples.clear()  # other times than those before
        self._stamp = stamp
        known = len(message.velocity) == len(message.name)
        self._reported = tuple(
            float(message.velocity[index[name]]) if known else math.nan for name in self.names
        )
        self.positions, self._seen = positions, now
        self._samples.append(JointSample(stamp / 1e9 if stamp else now, positions))
        begin = self._samples[-1].seconds - WINDOW_S
        while len(self._samples) > LEAST_SAMPLES and self._samples[1].seconds <= begin:
            self._samples.popleft()

    def _repeated(self, stamp: int) -> bool:
        """Whether a stamp was there before: the last one, or one from shortly before it."""
        return bool(stamp) and 0 <= self._stamp - stamp < CLOCK_SET_S * 1e9

    @property
    def age(self) -> float:
        """Seconds since the newest joint state of this arm; inf before the first."""
        return time.monotonic() - self._seen

    @property
    def by_name(self) -> dict[str, float] | None:
        """The positions, rad; None before the first joint state."""
        return None if self.positions is None else dict(zip(self.names, self.positions))

    @property
    def velocities(self) -> tuple[float, ...] | None:
        """rad/s: reported, else from positions; None where neither gives them."""
        estimated = self._estimated()
        if estimated is None:
            known = self._reported and all(map(math.isfinite, self._reported))
            return self._reported if known else None
        return tuple(
            told if math.isfinite(told) else seen for told, seen in zip(self._reported, estimated)
        )

    def _estimated(self) -> tuple[float, ...] | None:
        """Velocities from the newest position and one some time before it."""
        if not self._samples:
            return None
        last = self._samples[-1]
        for before in reversed(self._samples):
            step = last.seconds - before.seconds
            if step >= ESTIMATE_S:
                return tuple((b - a) / step for a, b in zip(before.positions, last.positions))
        return None

    @property
    def unrest(self) -> str:
        """Why the arm cannot be said to stand still, in words; empty where it does."""
        if self.positions is None:
            return 'no joint_states have come'
        if not self._stamp and not all(map(math.isfinite, self._reported)):
            return (
                'joint_states have neither velocities nor stamps: an arm at rest cannot be known '
                'from a message that is repeated'
            )
        if any(abs(v) >= STILL_RAD_S for v in self._reported):  # False for NaN
            return 'a joint moves, by its velocity'
        span = self._samples[-1].seconds - self._samples[0].seconds
        if len(self._samples) < LEAST_SAMPLES or span < 0.8 * WINDOW_S:
            return 'it has not been watched for long enough'
        most = STILL_RAD_S * max(span, WINDOW_S)
        if any(max(p) - min(p) >= most for p in zip(*(s.positions for s in self._samples))):
            return 'a joint moves, by its positions'
        return ''

    @property
    def still(self) -> bool:
        """Velocities, where they are reported, and positions show rest."""
        return not self.unrest
