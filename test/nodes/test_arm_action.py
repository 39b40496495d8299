"""The arm through the FollowJointTrajectory action, against a real action server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('control_msgs', reason='control_msgs is not installed (it is on no registry)')

import rclpy
from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.executors import MultiThreadedExecutor
from sensor_msgs.msg import JointState

from insegan_ros.collection.machine import Motion
from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.collection.trajectory import Trajectory, shake
from insegan_ros.nodes.arm_interface import ActionArm, UnsafeTrajectoryError
from insegan_ros.nodes.joints import JointMonitor

SETTINGS = CollectorSettings()


class Controller:
    """A trajectory controller that behaves as it is told."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.goals = self.cancels = 0
        self.dead = False
        self.node = rclpy.create_node('controller')
        self.joints = self.node.create_publisher(JointState, 'joint_states', 1)
        self.node.create_timer(0.05, self._publish)
        self.server = ActionServer(
            self.node,
            FollowJointTrajectory,
            'arm_controller/follow_joint_trajectory',
            execute_callback=self._execute,
            goal_callback=self._judge,
            cancel_callback=self._cancel,
        )

    def die(self) -> None:
        if not self.dead:
            self.dead = True
            self.server.destroy()

    def _publish(self) -> None:
        state = JointState(name=list(SETTINGS.arm.joints), position=list(SETTINGS.shake.home))
        state.velocity = [0.0] * len(SETTINGS.arm.joints)
        self.joints.publish(state)

    def _judge(self, _: object) -> GoalResponse:
        return GoalResponse.REJECT if self.behaviour == 'reject' else GoalResponse.ACCEPT

    def _cancel(self, _: object) -> CancelResponse:
        self.cancels += 1
        return CancelResponse.ACCEPT

    def _execute(self, handle) -> FollowJointTrajectory.Result:
        self.goals += 1
        deadline = time.monotonic() + (30 if self.behaviour == 'never ends' else 0.2)
        while time.monotonic() < deadline and not handle.is_cancel_requested:
            time.sleep(0.02)
        result = FollowJointTrajectory.Result()
        if handle.is_cancel_requested:
            handle.canceled()
        elif self.behaviour == 'abort':
            handle.abort()
            result.error_code = FollowJointTrajectory.Result.PATH_TOLERANCE_VIOLATED
            result.error_string = 'elbow_flex_joint strayed'
        else:
            handle.succeed()
        return result


class Setup:
    def __init__(self, behaviour: str) -> None:
        self.controller = Controller(behaviour)
        self.node = rclpy.create_node('client')
        self.monitor = JointMonitor(self.node, SETTINGS.arm.joints)
        self.arm = ActionArm(
            self.node, SETTINGS.arm.action, self.monitor, limits=SETTINGS.arm.limits
        )
        self.executor = MultiThreadedExecutor(3)
        for node in (self.controller.node, self.node):
            self.executor.add_node(node)
        assert self.spin_until(lambda: self.arm.ready() is None and self.monitor.positions)

    def spin_until(self, condition: Callable[[], object], seconds: float = 60.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)
        return bool(condition())

    def trajectory(self) -> Trajectory:
        rng = np.random.default_rng(0)
        return shake(SETTINGS.shake.spec, SETTINGS.arm.limits, SETTINGS.shake.home, rng=rng)

    def close(self) -> None:
        self.executor.shutdown()
        self.controller.die()
        self.controller.node.destroy_node()
        self.node.destroy_node()


@pytest.fixture
def setup(ros_environment: None) -> Iterator[Callable[[str], Setup]]:
    rclpy.init()
    made: list[Setup] = []

    def make(behaviour: str) -> Setup:
        made.append(Setup(behaviour))
        return made[-1]

    yield make
    for one in made:
        one.close()
    rclpy.try_shutdown()


@pytest.mark.parametrize(
    ('behaviour', 'motion', 'reason'),
    [
        ('succeed', Motion.SUCCEEDED, ''),
        ('reject', Motion.FAILED, 'the controller rejected the trajectory'),
        ('abort', Motion.FAILED, 'error -4: elbow_flex_joint strayed'),
    ],
)
def test_what_became_of_a_trajectory_is_said(
    setup: Callable[[str], Setup], behaviour: str, motion: Motion, reason: str
) -> None:
    cell = setup(behaviour)
    cell.arm.send(cell.trajectory())
    assert cell.spin_until(lambda: cell.arm.motion is not Motion.ACTIVE)
    assert (cell.arm.motion, reason in cell.arm.reason) == (motion, True)


def test_a_trajectory_that_never_ends_can_be_cancelled(setup: Callable[[str], Setup]) -> None:
    cell = setup('never ends')
    cell.arm.send(cell.trajectory())
    assert cell.spin_until(lambda: cell.controller.goals == 1)
    cell.arm.cancel()
    assert cell.spin_until(lambda: cell.arm.motion is Motion.FAILED)
    assert cell.arm.reason == 'cancelled'


def test_an_unsafe_trajectory_never_reaches_the_controller(setup: Callable[[str], Setup]) -> None:
    cell = setup('succeed')
    good = cell.trajectory()
    fast = Trajectory(
        good.joints, good.times / 9, good.positions, good.velocities, good.accelerations
    )
    with pytest.raises(UnsafeTrajectoryError, match='is the most'):
        cell.arm.send(fast)
    cell.spin_until(lambda: False, seconds=0.5)
    assert cell.controller.goals == 0


def test_an_arm_that_stays_where_it_is_while_its_controller_is_silent_is_a_fault(
    setup: Callable[[str], Setup],
) -> None:
    cell = setup('never ends')  # and joint_states say on and on: at home
    cell.arm.send(cell.trajectory())

    def failed() -> bool:
        cell.arm.poll()
        return cell.arm.motion is Motion.FAILED

    assert cell.spin_until(failed)
    assert 'from the way of its trajectory' in cell.arm.reason
    cell.arm.cancel()  # as the collector does then
    assert cell.spin_until(lambda: cell.controller.cancels == 1)


def test_a_controller_that_dies_in_a_motion_is_a_fault(setup: Callable[[str], Setup]) -> None:
    cell = setup('dies')
    cell.arm.send(cell.trajectory())
    assert cell.spin_until(lambda: cell.controller.goals == 1)
    cell.controller.die()

    def failed() -> bool:
        cell.arm.poll()
        return cell.arm.motion is Motion.FAILED

    assert cell.spin_until(failed)
    assert 'is gone' in cell.arm.reason
