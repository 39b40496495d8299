"""The arm as the collector needs it: trajectories sent and cancelled.

Two interfaces: the FollowJointTrajectory action, and the JointTrajectory topic of ros2_control's
joint_trajectory_controller. Neither controller is trusted to enforce limits: both refuse to send
what `collection.trajectory.violations` objects to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient  # type: ignore[attr-defined]
from rclpy.node import Node
from rclpy.task import Future
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from insegan_ros.collection.machine import Motion
from insegan_ros.collection.settings import ArmSettings
from insegan_ros.collection.trajectory import JointLimits, Trajectory, deviation, violations
from insegan_ros.nodes.joints import JointMonitor

LAG_S = 1.0  # by which an arm may follow late
STRAYED_RAD = 0.2  # from its way: it does not follow, or joint_states are wrong


class UnsafeTrajectoryError(ValueError):
    """A trajectory that was not sent, and why."""


class Arm(Protocol):
    """Sends one trajectory at a time and says what became of it."""

    motion: Motion
    reason: str  # why motion is FAILED

    def ready(self) -> str | None:
        """What is missing before a trajectory can be sent, in words, or None."""

    def send(self, trajectory: Trajectory) -> None:
        """Raises: UnsafeTrajectoryError, with nothing sent, if a limit would be exceeded."""

    def cancel(self) -> None:
        """Ask for standstill now; whether it came is to be read from joint_states."""

    def poll(self) -> None:
        """Bring `motion` up to date; called a few times a second."""

    def close(self) -> None:
        """Undo the constructor; the arm is at rest."""


class ActionArm:
    """FollowJointTrajectory (control_msgs), e.g. arm_controller/follow_joint_trajectory."""

    def __init__(
        self, node: Node, name: str, joints: JointMonitor, *, limits: Sequence[JointLimits]
    ) -> None:
        """Raises: ModuleNotFoundError where control_msgs is not installed."""
        from control_msgs.action import FollowJointTrajectory

        self._type = FollowJointTrajectory
        self._client: Any = ActionClient(
            node, FollowJointTrajectory, name, callback_group=joints.group
        )
        self._name, self._joints, self._limits = name, joints, limits
        self._handle = None
        self._cancelled = False
        self.motion, self.reason = Motion.IDLE, ''

    def ready(self) -> str | None:
        """What is missing before a trajectory can be sent, in words; None: nothing."""
        return None if self._client.server_is_ready() else f'the action server {self._name}'

    def send(self, trajectory: Trajectory) -> None:
        """Send a trajectory, or raise UnsafeTrajectoryError with nothing sent."""
        require_safe(trajectory, self._limits, self._joints)
        self.motion, self.reason = Motion.ACTIVE, ''
        self._handle, self._cancelled = None, False
        self._way, self._sent = trajectory, time.monotonic()
        goal = self._type.Goal(trajectory=to_message(trajectory))
        self._client.send_goal_async(goal).add_done_callback(self._answered)

    def _answered(self, future: Future[Any]) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            self._fail('the controller rejected the trajectory')
            return
        self._handle = handle
        if self._cancelled:  # asked for before the goal was accepted
            handle.cancel_goal_async()
        handle.get_result_async().add_done_callback(self._ended)

    def _ended(self, future: Future[Any]) -> None:
        result = future.result().result
        if self._cancelled:
            self._fail('cancelled')
        elif result.error_code == self._type.Result.SUCCESSFUL:
            self.motion = Motion.SUCCEEDED
        else:
            text = f': {result.error_string}' if result.error_string else ''
            self._fail(f'the controller ended with error {result.error_code}{text}')

    def _fail(self, reason: str) -> None:
        self.motion, self.reason = Motion.FAILED, reason

    def cancel(self) -> None:
        """Cancel the goal, also one that is not accepted yet."""
        self._cancelled = True
        if self._handle is not None:
            self._handle.cancel_goal_async()

    def poll(self) -> None:
        """Bring `motion` up to date."""
        if self.motion is Motion.ACTIVE and not self._client.server_is_ready():
            self._fail(f'the action server {self._name} is gone')
        elif self.motion is Motion.ACTIVE and (
            why := strayed(self._way, self._sent, self._joints)
        ):
            self._fail(why)

    def close(self) -> None:
        """Undo the constructor."""
        self._client.destroy()


class TopicArm:
    """The joint_trajectory topic, which answers nothing: joint_states show whether it arrived."""

    ARRIVED_RAD = 0.05
    LATE_S = 3.0

    def __init__(
        self, node: Node, topic: str, joints: JointMonitor, *, limits: Sequence[JointLimits]
    ) -> None:
        self._node = node
        self._publisher = node.create_publisher(JointTrajectory, topic, 1)
        self._joints, self._limits = joints, limits
        self.motion, self.reason = Motion.IDLE, ''

    def ready(self) -> str | None:
        """What is missing before a trajectory can be sent, in words; None: nothing."""
        if self._publisher.get_subscription_count():
            return None
        return f'a controller on {self._publisher.topic_name}'

    def send(self, trajectory: Trajectory) -> None:
        """Send a trajectory, or raise UnsafeTrajectoryError with nothing sent."""
        require_safe(trajectory, self._limits, self._joints)
        self._publisher.publish(to_message(trajectory))
        self._way, self._sent = trajectory, time.monotonic()
        self.motion, self.reason = Motion.ACTIVE, ''

    def cancel(self) -> None:
        """Replace what is being carried out by a stop along the limits of acceleration."""
        if self._joints.positions is not None:
            self._publisher.publish(to_message(braking(self._joints, self._limits)))
        self.motion, self.reason = Motion.FAILED, 'cancelled'

    def poll(self) -> None:
        """Bring `motion` up to date."""
        if self.motion is not Motion.ACTIVE:
            return
        if why := strayed(self._way, self._sent, self._joints):
            self.motion, self.reason = Motion.FAILED, why
            return
        late = time.monotonic() - self._sent - self._way.duration
        if late < 0:
            return
        error = deviation(self._way, math.inf, self._joints.positions, lag=0.0)
        if error < self.ARRIVED_RAD and self._joints.still:
            self.motion = Motion.SUCCEEDED
        elif late > self.LATE_S:
            self.motion = Motion.FAILED
            self.reason = f'the arm stands {error:.3f} rad from the end of its trajectory'

    def close(self) -> None:
        """Undo the constructor."""
        self._node.destroy_publisher(self._publisher)


def make_arm(node: Node, settings: ArmSettings, joints: JointMonitor) -> Arm:
    """Raises: ModuleNotFoundError for the action where control_msgs is not installed."""
    if settings.interface == 'topic':
        return TopicArm(node, settings.topic, joints, limits=settings.limits)
    return ActionArm(node, settings.action, joints, limits=settings.limits)


def strayed(trajectory: Trajectory, since: float, joints: JointMonitor) -> str | None:
    """Why an arm does not carry out the trajectory sent at time `since`; None if it seems to."""
    assert joints.positions is not None  # `require_safe` let the trajectory through
    seconds = time.monotonic() - since
    error = deviation(trajectory, seconds, joints.positions, lag=LAG_S)
    if error < STRAYED_RAD:
        return None
    return f'by joint_states the arm is {error:.2f} rad from the way of its trajectory'


def require_safe(
    trajectory: Trajectory, limits: Sequence[JointLimits], joints: JointMonitor
) -> None:
    """Raises: UnsafeTrajectoryError with every reason not to send a trajectory."""
    if joints.positions is None:
        raise UnsafeTrajectoryError('where the arm stands is not known: no joint_states')
    found = violations(trajectory, limits, joints.positions)
    if found:
        raise UnsafeTrajectoryError('; '.join(found))


def braking(joints: JointMonitor, limits: Sequence[JointLimits]) -> Trajectory:
    """From the present motion to rest, each joint at most at its acceleration limit.

    Where the velocity is not known the arm is to stop where it was seen last.
    """
    fastest = np.array([limit.max_velocity for limit in limits])
    known = joints.velocities or (0.0,) * len(fastest)
    velocity = np.clip(np.asarray(known, np.float64), -fastest, fastest)
    most = np.array([limit.max_acceleration for limit in limits])
    # a quintic from v to rest in T decelerates by at most 1.5 v / T
    duration = max(0.1, float((1.6 * np.abs(velocity) / most).max()))
    position = np.asarray(joints.positions, np.float64) + velocity * duration / 2
    zero = np.zeros((1, len(position)))
    return Trajectory(joints.names, np.array([duration]), position[None], zero, zero)


def to_message(trajectory: Trajectory) -> JointTrajectory:
    """A trajectory that starts when it is received."""
    message = JointTrajectory(joint_names=list(trajectory.joints))
    for k, seconds in enumerate(trajectory.times):
        whole = int(seconds)
        message.points.append(
            JointTrajectoryPoint(
                positions=trajectory.positions[k].tolist(),
                velocities=trajectory.velocities[k].tolist(),
                accelerations=trajectory.accelerations[k].tolist(),
                time_from_start=Duration(sec=whole, nanosec=int((seconds - whole) * 1e9)),
            )
        )
    return message


def from_message(message: JointTrajectory) -> Trajectory:
    """The inverse of `to_message`; what a message leaves out is zero."""
    joints, points = tuple(message.joint_names), message.points

    def rows(name: str) -> np.ndarray:
        given = [list(getattr(point, name)) or [0.0] * len(joints) for point in points]
        return np.array(given, np.float64).reshape(len(points), -1)

    times = [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in points]
    return Trajectory(
        joints, np.array(times), rows('positions'), rows('velocities'), rows('accelerations')
    )
