"""The collector stores what is good, and after any fault nothing moves until a person says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from insegan_ros.collection.machine import State
from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.data.store import Dataset
from insegan_ros.nodes.arm import from_message
from insegan_ros.nodes.collector import Collector
from insegan_ros.nodes.lifecycle import autostart
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.synthetic.arm import SimulatedArm
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(64, 48, 60.0, 60.0, 32.0, 24.0)
SETTINGS = CollectorSettings()
QUICK = {
    'part': 'nut',
    'count': 3,
    'dry_run': False,
    'start': True,
    'arm.interface': 'topic',
    'arm.topic': 'joint_trajectory',
    'timing.settle': 0.1,
    'timing.joints_timeout': 0.4,
    'timing.frame_timeout': 1.0,
    'timing.stop_timeout': 2.0,
    'shake.frequency_hz': [1.0, 1.2],
    'shake.cycles': 1,
}


class Cell:
    """A collector, a camera over parts that every shake rearranges, and a simulated arm."""

    def __init__(self, dataset: Path, **parameters: object) -> None:
        given = QUICK | {'dataset': str(dataset)} | parameters
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        self.collector = Collector(parameter_overrides=overrides)
        self.world = rclpy.create_node('world')
        self.images = self.world.create_publisher(Image, 'depth/image', 1)
        self.infos = self.world.create_publisher(CameraInfo, 'depth/camera_info', 1)
        self.joints = self.world.create_publisher(JointState, 'joint_states', 1)
        self.run_stop = self.world.create_publisher(Bool, 'run_stop', 1)
        self.world.create_subscription(JointTrajectory, 'joint_trajectory', self._follow, 1)
        self.arm = SimulatedArm(SETTINGS.arm.limits, SETTINGS.shake.home)
        self.rng = np.random.default_rng(0)
        self.shakes = 0
        self.camera_on = self.joints_on = True
        self.obeys = True
        self.scene = self._rearranged()
        self.still: Image | None = None
        self.world.create_timer(0.05, self._show)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.collector)
        self.executor.add_node(self.world)
        assert autostart(self.collector)

    def _rearranged(self) -> np.ndarray:
        depth = np.full((48, 64), 600, np.uint16)
        for _ in range(4):
            y, x = self.rng.integers(0, 34), self.rng.integers(0, 50)
            depth[y : y + 14, x : x + 14] = 560
        return depth

    def _follow(self, message: JointTrajectory) -> None:
        if not self.obeys:
            return
        now = time.monotonic()
        if self.arm.moving(now) and len(message.points) == 1:
            self.arm.brake(now)
        else:
            assert self.arm.follow(from_message(message), now) == []
            self.shakes += 1

    def _show(self) -> None:
        now = time.monotonic()
        stamp = self.world.get_clock().now().to_msg()
        if self.joints_on:
            position, velocity, _ = self.arm.state(now)
            state = JointState(name=list(SETTINGS.arm.joints))
            state.position, state.velocity = position.tolist(), velocity.tolist()
            state.header.stamp = stamp
            self.joints.publish(state)
        if self.arm.moving(now):
            self.scene = self._rearranged()
        if self.camera_on:
            noise = self.rng.integers(-1, 2, self.scene.shape)
            image = self.still or to_image((self.scene + noise).astype(np.uint16))
            info = to_camera_info(CAMERA)
            image.header.stamp = info.header.stamp = stamp
            self.infos.publish(info)
            self.images.publish(image)

    def spin_until(self, condition: Callable[[], object], seconds: float = 20.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)
        return bool(condition())

    @property
    def state(self) -> State:
        return self.collector._machine.state

    @property
    def reason(self) -> str:
        return self.collector._machine.reason

    def until_moving(self) -> None:
        assert self.spin_until(lambda: self.arm.moving(time.monotonic()))

    def close(self) -> None:
        self.collector.trigger_shutdown()
        self.executor.shutdown()
        self.collector.destroy_node()
        self.world.destroy_node()


@pytest.fixture
def cell(ros_environment: None, tmp_path: Path) -> Iterator[Callable[..., Cell]]:
    rclpy.init()
    made: list[Cell] = []

    def make(**parameters: object) -> Cell:
        made.append(Cell(tmp_path / 'nuts', **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()
    rclpy.try_shutdown()


def test_what_was_wanted_is_stored_and_a_restart_adds_nothing(
    cell: Callable[..., Cell], tmp_path: Path
) -> None:
    first = cell()
    assert first.spin_until(lambda: first.state is State.DONE)
    dataset = Dataset(tmp_path / 'nuts')
    assert dataset.indices == [0, 1, 2]
    assert not any(problem for found in dataset.verify() for problem in found)
    assert set(dataset.records[0]['joints']) == set(SETTINGS.arm.joints)
    assert first.shakes >= 2
    first.collector.trigger_deactivate()
    first.collector.trigger_cleanup()
    again = cell()
    assert again.spin_until(lambda: again.state is State.DONE)
    assert len(Dataset(tmp_path / 'nuts')) == 3
    assert again.shakes == 0


def test_nothing_moves_in_a_dry_run(cell: Callable[..., Cell]) -> None:
    rehearsal = cell(dry_run=True)
    assert rehearsal.spin_until(lambda: rehearsal.collector._rejected)
    assert rehearsal.shakes == 0


def test_nothing_begins_before_a_person_starts_it(
    cell: Callable[..., Cell], tmp_path: Path
) -> None:
    waiting = cell(start=False)
    waiting.spin_until(lambda: False, seconds=1.0)
    assert not (tmp_path / 'nuts').exists()
    waiting.collector._start(Trigger.Request(), Trigger.Response())
    waiting.until_moving()


FAULTS = {
    'run-stop': (lambda cell: cell.run_stop.publish(Bool(data=True)), 'run-stop'),
    'camera silent': (lambda cell: setattr(cell, 'camera_on', False), 'camera has shown nothing'),
    'camera frozen': (
        lambda cell: setattr(cell, 'still', to_image(cell.scene.copy())),
        'camera has shown nothing',
    ),
    'joint_states stale': (lambda cell: setattr(cell, 'joints_on', False), 'joint_states are'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_during_a_shake_stops_the_arm_for_good(
    cell: Callable[..., Cell], fault: str
) -> None:
    cause, reason = FAULTS[fault]
    # a long shake, so that the fault comes in the middle of it
    running = cell(**{'shake.frequency_hz': [0.3, 0.35], 'shake.cycles': 2})
    running.until_moving()
    shakes = running.shakes
    cause(running)
    assert running.spin_until(lambda: running.state is State.LATCHED), running.state
    assert reason in running.reason
    assert running.spin_until(lambda: not running.arm.moving(time.monotonic()), seconds=3)
    running.spin_until(lambda: False, seconds=1.0)
    assert running.shakes == shakes
    assert running.state is State.LATCHED


def test_an_arm_that_does_not_follow_is_a_fault(cell: Callable[..., Cell]) -> None:
    deaf = cell(**{'shake.directions': [0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]})
    deaf.obeys = False
    deaf.arm._rest(np.asarray(SETTINGS.shake.home) + 0.3)  # so that there is a way to go
    assert deaf.spin_until(lambda: deaf.state is State.LATCHED)
    assert 'from the end of its trajectory' in deaf.reason


def test_a_second_collector_on_one_folder_refuses(
    cell: Callable[..., Cell], tmp_path: Path
) -> None:
    from insegan_ros.data.store import DatasetWriter

    first = cell()
    first.until_moving()
    info = first.collector._writer.info
    with pytest.raises(ValueError, match='being written by another process'):
        DatasetWriter(tmp_path / 'nuts', info)


def test_a_folder_of_another_part_is_refused_before_anything_moves(
    cell: Callable[..., Cell], tmp_path: Path
) -> None:
    from insegan_ros.data.store import DatasetInfo, DatasetWriter

    DatasetWriter(tmp_path / 'nuts', DatasetInfo('bolt', CAMERA, 'collector')).close()
    refused = cell()
    assert refused.spin_until(lambda: refused.state is State.LATCHED)
    assert 'was made with part = bolt, not nut' in refused.reason
    assert refused.shakes == 0


def test_a_full_disk_stops_the_collection_and_says_so(
    cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import os

    running = cell()
    running.until_moving()

    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    assert running.spin_until(lambda: running.state is State.LATCHED)
    assert 'No space left' in running.reason
    monkeypatch.undo()
    assert not any(problem for found in Dataset(tmp_path / 'nuts').verify() for problem in found)


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('part', '', 'parameters dataset'),
        ('count', 0, 'count must be at least 1'),
        ('shake.directions', [0.1], 'multiple of the 7 joints'),
        ('arm.max_velocity', [1.0], '1 values for 7 joints'),
        ('arm.interface', 'telepathy', "valid: 'action', 'topic'"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    ros_environment: None,
    name: str,
    value: object,
    reason: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rclpy.init()
    given = QUICK | {'dataset': '/tmp/none'} | {name: value}
    node = Collector(parameter_overrides=[Parameter(k, value=v) for k, v in given.items()])
    assert not autostart(node)
    assert reason in capfd.readouterr().err
    node.destroy_node()
    rclpy.try_shutdown()
