"""A collector that is deactivated or shut down in a shake leaves an arm that was seen to stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from collector_cell import QUICK, SLOW, Operator, World
from lifecycle_msgs.msg import Transition


@pytest.mark.parametrize(
    'transition', [Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN]
)
def test_the_arm_stands_before_the_transition_returns(
    world: World, start_node: Callable, tmp_path: Path, transition: int
) -> None:
    start_node('collector', **(QUICK | SLOW | {'dataset': tmp_path / 'nuts'}))
    operator = Operator(world)
    operator.begins_a_shake()
    assert operator.change(transition)
    assert not world.moving()
    assert world.brakes == 1, 'the shake was carried out to its end'
    assert world.rest_for(0.5)


def test_an_arm_that_is_not_seen_to_stand_is_a_fault_that_outlives_reactivation(
    world: World, start_node: Callable, tmp_path: Path
) -> None:
    start_node('collector', **(QUICK | SLOW | {'dataset': tmp_path / 'nuts'}))
    operator = Operator(world)
    operator.begins_a_shake()
    world.joints_on = False
    assert not operator.change(Transition.TRANSITION_DEACTIVATE)
    unseen = 'deactivated; joint_states did not show it at rest'
    assert world.spin_until(lambda: unseen in operator.said), operator.said
    assert operator.change(Transition.TRANSITION_DEACTIVATE)  # said is said
    world.joints_on = True
    shakes = world.shakes
    assert operator.change(Transition.TRANSITION_ACTIVATE)
    operator.said.clear()
    assert world.spin_until(lambda: unseen in operator.said), operator.said
    assert world.rest_for(1.0)
    assert world.shakes == shakes
