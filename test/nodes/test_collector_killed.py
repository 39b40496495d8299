"""kill -9 of a collector: what is stored stays, the arm comes to rest, another one goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('psutil', reason='psutil is not installed')

import psutil
from collector_cell import QUICK, World, collector

from insegan_ros.data.store import Dataset
from insegan_ros.nodes.lifecycle import autostart

# each holds the process, by its own SIGSTOP, at one moment of writing frame 1
MOMENTS = {
    'temporary file written, not yet renamed': """
replace = os.replace
def held(source, target):
    if str(target).endswith('000001.png'):
        os.kill(os.getpid(), signal.SIGSTOP)
    replace(source, target)
os.replace = held
""",
    'image there, its line not yet': """
append = writer.DatasetWriter._append_line
def held(self, line):
    if '"index": 1' in line:
        os.kill(os.getpid(), signal.SIGSTOP)
    append(self, line)
writer.DatasetWriter._append_line = held
""",
    'half of the line written': """
append = writer.DatasetWriter._append_line
def held(self, line):
    if '"index": 1' in line:
        with open(self.path / 'frames.jsonl', 'a') as file:
            file.write(line[: len(line) // 2])
        os.kill(os.getpid(), signal.SIGSTOP)
    append(self, line)
writer.DatasetWriter._append_line = held
""",
}
PROGRAM = """
import os, signal
from insegan_ros.data import writer
from insegan_ros.nodes.collector import main
{}
main()
"""


@pytest.fixture
def collect(tmp_path: Path, python_path: str) -> Iterator[Callable[..., psutil.Process]]:
    """collect(program, name=value, ...) runs a collector on the folder `nuts`, wanting 3."""
    started: list[subprocess.Popen] = []

    def start(held: str = '', **parameters: object) -> psutil.Process:
        given = QUICK | {'dataset': tmp_path / 'nuts', 'count': 3} | parameters
        command = [sys.executable, '-c', PROGRAM.format(held), '--ros-args']
        for key, value in given.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{key}:={text}']
        environment = os.environ | {'PYTHONPATH': python_path, 'OMP_NUM_THREADS': '1'}
        started.append(subprocess.Popen(command, env=environment, cwd=tmp_path))
        return psutil.Process(started[-1].pid)

    yield start
    for process in started:
        process.kill()
        process.wait()


def stored(folder: Path) -> dict[int, dict]:
    """The lines by index, of a dataset in which nothing may be wrong."""
    dataset = Dataset(folder)
    assert not any(problem for found in dataset.verify() for problem in found)
    assert dataset.indices == list(range(len(dataset)))
    return dataset.records


def goes_on(world: World, folder: Path, before: dict[int, dict]) -> None:
    """Another collector adds what is missing, and leaves what is there."""
    another = collector(folder)
    world.executor.add_node(another)
    assert autostart(another)
    assert world.spin_until(lambda: len(Dataset(folder)) == 3, seconds=60)
    another.trigger_shutdown()
    world.executor.remove_node(another)
    another.destroy_node()
    after = stored(folder)
    assert {index: after[index] for index in before} == before
    assert len({record['stamp_ns'] for record in after.values()}) == 3


@pytest.mark.parametrize('moment', MOMENTS)
def test_a_kill_in_the_middle_of_a_write_loses_nothing_stored(
    world: World, collect: Callable, tmp_path: Path, moment: str
) -> None:
    process = collect(MOMENTS[moment])
    assert world.spin_until(lambda: process.status() == psutil.STATUS_STOPPED, seconds=60)
    shakes = world.shakes
    process.kill()
    process.wait()
    assert world.rest_for(0.5)
    assert world.shakes == shakes
    before = dict(stored(tmp_path / 'nuts'))
    assert list(before) == [0]
    goes_on(world, tmp_path / 'nuts', before)


def test_after_a_kill_in_a_shake_the_arm_ends_that_shake_and_rests(
    world: World, collect: Callable, tmp_path: Path
) -> None:
    """A dead process can cancel nothing: the guarantee is the end of what was sent, at rest."""
    process = collect(**{'shake.frequency_hz': [0.5, 0.6]})
    assert world.spin_until(world.moving, seconds=60)
    process.kill()
    process.wait()
    before = dict(stored(tmp_path / 'nuts'))
    assert world.spin_until(lambda: not world.moving())
    assert not world.arm.state(time.monotonic())[1].any()
    assert world.rest_for(1.0)
    assert world.shakes == 1
    goes_on(world, tmp_path / 'nuts', before)
