"""The whole collector with an arm that is reached by the FollowJointTrajectory action."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('control_msgs', reason='control_msgs is not installed (it is on no registry)')

from collector_cell import QUICK, SLOW, Cell, Operator, World
from control_msgs.action import FollowJointTrajectory
from lifecycle_msgs.msg import Transition
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from std_msgs.msg import Bool

from insegan_ros.collection.machine import State
from insegan_ros.data.store import Dataset

ACTION = {'arm.interface': 'action', 'arm.action': 'follow_joint_trajectory'}


class Controller:
    """Makes the cell's arm follow goals; a cancelled one brakes before its result is sent."""

    def __init__(self, cell: World) -> None:
        self._cell = cell
        self._goal: ServerGoalHandle | None = None
        self.ended: list[str] = []
        self._server = ActionServer(
            cell.world,
            FollowJointTrajectory,
            'follow_joint_trajectory',
            execute_callback=self._result,
            handle_accepted_callback=self._begin,
            cancel_callback=self._brake,
        )
        cell.world.create_timer(0.02, self._watch)

    def _begin(self, handle: ServerGoalHandle) -> None:
        self._cell.begin(handle.request.trajectory)
        self._goal = handle

    def _brake(self, _: ServerGoalHandle) -> CancelResponse:
        self._cell.brake()
        return CancelResponse.ACCEPT

    def _watch(self) -> None:
        if self._goal is not None and not self._cell.moving():
            goal, self._goal = self._goal, None
            goal.execute()

    def _result(self, handle: ServerGoalHandle) -> FollowJointTrajectory.Result:
        if handle.is_cancel_requested:
            handle.canceled()
            self.ended.append('cancelled')
        else:
            handle.succeed()
            self.ended.append('succeeded')
        return FollowJointTrajectory.Result()


def test_what_was_wanted_is_stored(cell: Callable[..., Cell], tmp_path: Path) -> None:
    running = cell(**ACTION)
    controller = Controller(running)
    assert running.spin_until(lambda: running.state is State.DONE)
    dataset = Dataset(tmp_path / 'nuts')
    assert dataset.indices == [0, 1, 2]
    assert not any(problem for found in dataset.verify() for problem in found)
    assert running.shakes >= 2
    assert controller.ended == ['succeeded'] * running.shakes


def test_a_run_stop_in_a_shake_cancels_the_goal_and_the_arm_rests(
    cell: Callable[..., Cell],
) -> None:
    running = cell(**ACTION, **SLOW)
    controller = Controller(running)
    running.until_moving()
    running.spin_until(lambda: False, seconds=0.3)
    running.run_stop.publish(Bool(data=True))
    assert running.spin_until(lambda: running.state is State.LATCHED)
    assert running.reason == 'the run-stop was pressed'
    assert controller.ended == ['cancelled']
    assert not running.moving()
    assert running.rest_for(1.0)
    assert running.shakes == 1


def test_a_deactivation_returns_when_the_goal_is_cancelled_and_the_arm_stands(
    world: World, start_node: Callable, tmp_path: Path
) -> None:
    controller = Controller(world)
    start_node('collector', **(QUICK | SLOW | ACTION | {'dataset': tmp_path / 'nuts'}))
    operator = Operator(world)
    operator.begins_a_shake()
    assert operator.change(Transition.TRANSITION_DEACTIVATE)
    assert not world.moving()
    assert controller.ended == ['cancelled']
    assert world.rest_for(0.5)
