"""The collector stores what is good, and after any fault nothing moves until a person says so."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from collector_cell import CAMERA, QUICK, SETTINGS, Cell
from rclpy.parameter import Parameter
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from insegan_ros.collection.machine import State
from insegan_ros.data.store import Dataset
from insegan_ros.nodes.arm_interface import TopicArm
from insegan_ros.nodes.collector import Collector
from insegan_ros.nodes.lifecycle import autostart
from insegan_ros.nodes.messages import to_image


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


def test_a_collector_that_is_activated_again_goes_on_counting(cell: Callable[..., Cell]) -> None:
    one = cell()
    assert one.spin_until(lambda: one.collector._machine.stored == 1)
    one.collector.trigger_deactivate()
    assert one.spin_until(lambda: not one.moving())
    one.collector.trigger_activate()
    assert one.spin_until(lambda: one.state is State.DONE)
    assert len(Dataset(one.collector._settings.dataset)) == 3


def test_a_collector_that_is_configured_again_hears_and_commands_once(
    cell: Callable[..., Cell],
) -> None:
    one = cell()
    assert one.spin_until(lambda: one.collector._machine.stored == 1)
    assert one.spin_until(lambda: one.state is State.SETTLING)
    one.collector.trigger_deactivate()
    one.collector.trigger_cleanup()
    for _ in range(2):
        one.collector.trigger_configure()
        one.collector.trigger_cleanup()
    one.collector.trigger_configure()
    one.collector.trigger_activate()
    assert one.collector.count_subscribers('joint_states') == 1
    assert one.collector.count_publishers('joint_trajectory') == 1
    assert one.spin_until(lambda: one.state is State.DONE)
    assert len(Dataset(one.collector._settings.dataset)) == 3


def test_nothing_moves_in_a_dry_run(cell: Callable[..., Cell]) -> None:
    rehearsal = cell(dry_run=True)
    assert rehearsal.spin_until(lambda: rehearsal.collector._progress.rejected)
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
    assert running.spin_until(lambda: not running.moving(), seconds=3)
    assert running.rest_for(1.0)
    assert running.shakes == shakes
    assert running.state is State.LATCHED


@pytest.mark.parametrize(
    ('away', 'reason'),
    [(0.1, 'from the end of its trajectory'), (0.4, 'from the way of its trajectory')],
)
def test_an_arm_that_does_not_follow_is_a_fault(
    cell: Callable[..., Cell], away: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TopicArm, 'LATE_S', 0.5)
    deaf = cell(**{'shake.amplitude': [0.01, 0.02]})
    deaf.obeys = False
    deaf.arm._rest(np.asarray(SETTINGS.shake.home) + away)  # so that there is a way to go
    assert deaf.spin_until(lambda: deaf.state is State.LATCHED)
    assert reason in deaf.reason


@pytest.mark.parametrize(
    ('fresh_stamps', 'reason'),
    [(True, 'from the way of its trajectory'), (False, 'joint_states are')],
)
def test_joint_states_that_repeat_themselves_during_a_shake_are_a_fault(
    cell: Callable[..., Cell], fresh_stamps: bool, reason: str
) -> None:
    running = cell(**{'shake.frequency_hz': [0.3, 0.35], 'shake.cycles': 2})
    running.until_moving()
    running.spin_until(lambda: False, seconds=1.0)
    shakes = running.shakes
    running.frozen, running.fresh_stamps = running.shown, fresh_stamps
    assert running.spin_until(lambda: running.state is State.LATCHED)
    assert reason in running.reason
    assert running.spin_until(lambda: not running.moving(), seconds=3)
    assert running.rest_for(1.0)
    assert running.shakes == shakes


def test_a_second_collector_on_one_folder_refuses(
    cell: Callable[..., Cell], tmp_path: Path
) -> None:
    from insegan_ros.data.writer import DatasetWriter

    first = cell()
    first.until_moving()
    info = Dataset(tmp_path / 'nuts').info
    with pytest.raises(ValueError, match='being written by another process'):
        DatasetWriter(tmp_path / 'nuts', info)


def test_a_folder_of_another_part_is_refused_before_anything_moves(
    cell: Callable[..., Cell], tmp_path: Path
) -> None:
    from insegan_ros.data.store import DatasetInfo
    from insegan_ros.data.writer import DatasetWriter

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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / 'disk'
    disk.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f'no small disk can be mounted here: {mounted.stderr.decode().strip()}')
    yield disk
    subprocess.run(['umount', '--lazy', str(disk)], check=True)


def test_a_disk_that_fills_up_loses_nothing_and_there_is_a_way_on(
    cell: Callable[..., Cell], small_disk: Path
) -> None:
    folder, ballast = small_disk / 'nuts', small_disk / 'ballast'
    running = cell(folder, count=4)
    running.until_moving()
    with contextlib.suppress(OSError), open(ballast, 'wb', buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert running.spin_until(lambda: running.state is State.LATCHED)
    assert 'No space left' in running.reason
    shakes, before = running.shakes, Dataset(folder)
    assert before.indices == [0]
    assert not any(problem for found in before.verify() for problem in found)
    assert running.rest_for(1.0)
    assert running.shakes == shakes
    ballast.unlink()
    running.collector._start(Trigger.Request(), Trigger.Response())
    assert running.spin_until(lambda: running.state is State.DONE)
    after = Dataset(folder)
    assert after.indices == [0, 1, 2, 3]
    assert after.records[0] == before.records[0]
    assert not any(problem for found in after.verify() for problem in found)


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('part', '', 'parameters dataset'),
        ('count', 0, 'count must be at least 1'),
        ('shake.directions', [0.1], 'multiple of the 7 joints'),
        ('arm.max_velocity', [1.0], '1 values for 7 joints'),
        ('arm.joints', ['a', 'a', 'b', 'c', 'd', 'e', 'f'], 'names a joint twice'),
        ('shake.frequency_hz', [1.0, float('inf')], 'least <= most is expected'),
        ('shake.directions', [float('nan')] + 6 * [0.0], 'must be finite'),
        ('shake.home', [9.0] + 6 * [0.0], 'shoulder_pan_joint at 9.000 rad is outside'),
        ('shake.cycles', 1000, 'timing.motion_timeout'),
        ('arm.topic', 'bad topic!', 'bad topic!'),
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
