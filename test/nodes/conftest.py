"""Real nodes in processes of their own, on a domain that nobody else uses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

PATIENCE_S = 60.0  # until an event counts as absent: much longer than it takes on a busy machine
PROJECT = Path(__file__).parents[2]
# the stand-ins come last: where ROS is installed, its own packages are found first
PYTHONPATH = ':'.join([str(PROJECT), os.environ.get('PYTHONPATH', ''), f'{PROJECT}/embedded'])


@pytest.fixture(scope='session', autouse=True)
def ros_environment() -> None:
    """Domain, discovery and transport of this test run; before the first participant is made."""
    os.environ['ROS_DOMAIN_ID'] = str(10 + os.getpid() % 90)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['FASTDDS_DEFAULT_PROFILES_FILE'] = str(PROJECT / 'config' / 'fastdds.xml')


@pytest.fixture(scope='session')
def python_path() -> str:
    """PYTHONPATH of a process that runs the package."""
    return PYTHONPATH


@pytest.fixture
def ros(ros_environment):
    """A node of the test itself, spun by `wait_for`."""
    rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    rclpy.init()
    node = rclpy.create_node(f'test_{os.getpid()}')
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def wait_for(ros) -> Callable[..., bool]:
    """wait_for(condition, seconds) spins the test's node until the condition holds."""
    import rclpy

    def wait(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            rclpy.spin_once(ros, timeout_sec=0.05)
        return condition()

    return wait


@pytest.fixture
def start_node(ros_environment, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """start_node('camera', rate=5.0, ...) runs a node; its output goes to `process.log`."""
    started: list[subprocess.Popen] = []

    def start(name: str, *arguments: str, **parameters: object) -> subprocess.Popen:
        command = [sys.executable, '-m', f'insegan_ros.nodes.{name}', '--ros-args', *arguments]
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{key}:={text}']
        log = tmp_path / f'{name}{len(started)}.log'
        environment = os.environ | {'PYTHONPATH': PYTHONPATH, 'OMP_NUM_THREADS': '1'}
        with open(log, 'w') as file:
            process = subprocess.Popen(
                command, env=environment, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path
            )
        process.log = log  # type: ignore[attr-defined]
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in started:
        try:
            process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def bench(ros_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """A segmenter_bench.Bench whose node reports often, so that tests need not wait."""
    rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from segmenter_bench import Bench

    from insegan_ros.nodes import segmenter

    monkeypatch.setattr(segmenter, 'REPORT_S', 0.1)
    monkeypatch.setattr(segmenter, 'SILENT_S', 0.5)
    rclpy.init()
    made = Bench()
    yield made
    made.close()
    rclpy.try_shutdown()


@pytest.fixture
def world(ros_environment: None) -> Iterator:
    """A collector_cell.World: what a collector in another process needs around it."""
    rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from collector_cell import World

    rclpy.init()
    made = World()
    yield made
    made.close()
    rclpy.try_shutdown()


class SteadyClock:
    """Quick seconds that this process had: while a busy machine lets it wait, the clock waits too.

    Collector, arm and camera share a process and its executor, which asks for the time every few
    milliseconds; a longer gap is the machine's, and would look like joint_states that stopped.
    """

    RATE = 2.5  # of its seconds in one of a wall clock's: arms need not be waited for
    GAP_S = 0.05  # of its own seconds, counted at most between two questions

    def __init__(self) -> None:
        self._seconds, self._asked = 1000.0, time.monotonic()
        self._one_at_a_time = threading.Lock()

    def __call__(self) -> float:
        with self._one_at_a_time:
            now = time.monotonic()
            self._seconds += min(self.RATE * (now - self._asked), self.GAP_S)
            self._asked = now
            return self._seconds


@pytest.fixture
def cell(
    ros_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable]:
    """cell(**parameters) is a collector_cell.Cell whose collector fills the folder `nuts`."""
    rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    import collector_cell
    from collector_cell import Cell

    from insegan_ros.nodes import arm_interface as arm
    from insegan_ros.nodes import collector, joints, lifecycle

    steady = SimpleNamespace(monotonic=SteadyClock())
    for module in (collector_cell, arm, collector, joints, lifecycle):
        monkeypatch.setattr(module, 'time', steady)
    timer = lifecycle.steady_timer
    monkeypatch.setattr(
        collector,
        'steady_timer',
        lambda node, seconds, callback: timer(node, seconds / SteadyClock.RATE, callback),
    )
    rclpy.init()
    made: list[Cell] = []

    def make(dataset: Path = tmp_path / 'nuts', **parameters: object) -> Cell:
        made.append(Cell(dataset, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()
    rclpy.try_shutdown()
