"""From frames to a model: each step alone and short; all of it together takes minutes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.demos import learn_demo, processes
from insegan_ros.demos.demo_picture import Snapshot
from insegan_ros.depth_camera import D435

PROJECT = Path(__file__).parents[2]


def start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, '-m', 'insegan_ros.demos.learn_demo', '--out', str(out), *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=PROJECT,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts() -> None:
    """In a shell's background jobs, and what they start, interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def arguments(out: Path, count: int):
    return learn_demo.argparse.Namespace(out=out, part='nut', seed=0, count=count, minutes=0.1)


def store(folder: Path, count: int, part: str = 'nut') -> None:
    info = DatasetInfo(part, D435, 'collector', instances=5)
    with DatasetWriter(folder, info) as writer:
        for _ in range(count):
            writer.append(np.full((480, 848), 500, np.uint16))


def left_over(out: Path) -> list[str]:
    """Command lines of processes that still work in `out`."""
    lines = []
    for process in psutil.process_iter():
        try:
            line = ' '.join(process.cmdline())
        except psutil.Error:
            continue
        if str(out) in line and process.pid != os.getpid():
            lines.append(line)
    return lines


def test_frames_are_collected_and_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    demo = start(tmp_path, '--count', '500')
    folder = tmp_path / '1_collected' / 'dataset'
    deadline = time.monotonic() + 150
    while learn_demo.stored_frames(folder) < 2 and time.monotonic() < deadline:
        assert demo.poll() is None, demo.communicate()[0]
        time.sleep(0.2)
    demo.send_signal(signal.SIGINT)
    said = demo.communicate(timeout=100)[0]
    assert demo.returncode == 130, said
    assert 'goes on from here' in said
    assert left_over(tmp_path) == []
    dataset = Dataset(folder)
    assert len(dataset) >= 2
    assert [problem for found in dataset.verify() for problem in found] == []
    assert dataset[0].labels is None  # what is learned from has none


def test_what_is_collected_is_not_collected_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / '1_collected' / 'dataset'
    store(folder, 3)
    monkeypatch.setattr(learn_demo, 'run_until_stored', None)  # would fail if it were called
    assert learn_demo.collect_frames(arguments(tmp_path, count=3)) == folder
    assert '3 unlabelled frames' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('part', 'said'),
    [
        ('bolt', 'holds frames of bolt, not nut'),
        ('nut', 'the training ended with code 1'),  # nothing but floor
    ],
)
def test_a_step_that_fails_ends_the_demo_with_its_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch, part: str, said: str
) -> None:
    monkeypatch.setattr(processes, 'prepare_environment', lambda: None)  # the test's own
    monkeypatch.setenv('PYTHONPATH', str(PROJECT))
    store(tmp_path / '1_collected' / 'dataset', 3, part=part)
    assert learn_demo.main(['--out', str(tmp_path), '--count', '3', '--minutes', '0.1']) == 1
    assert said in capfd.readouterr().err


def test_an_interrupted_training_is_ended_with_all_its_processes() -> None:
    program = (
        'import subprocess, sys, time\n'
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        'time.sleep(60)\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', program], start_new_session=True, stderr=subprocess.DEVNULL
    )
    while not (children := psutil.Process(process.pid).children()):
        time.sleep(0.05)
    learn_demo.stop_group(process)
    assert process.returncode != 0
    psutil.wait_procs(children, timeout=60)
    assert not any(child.is_running() for child in children)


def snapshot(rng: np.random.Generator, x: int) -> Snapshot:
    """A part at column x, under the noise of another moment."""
    truth = np.zeros((480, 848), np.uint16)
    truth[200:260, x : x + 60] = 1
    depth = (600 + rng.integers(-1, 2, truth.shape) - 50 * truth).astype(np.uint16)
    return Snapshot(depth, truth.copy(), np.zeros((0, 480, 848), np.float32), truth)


def test_methods_are_compared_on_scenes_that_both_have_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ours = [snapshot(rng, x) for x in (300, 400, 500)]
    theirs = [snapshot(rng, x) for x in (300, 500)]
    learn_demo.draw_comparison(ours, theirs, tmp_path / 'result.png')
    picture = cv2.imread(str(tmp_path / 'result.png'))
    assert picture is not None
    height, width = 400, 400
    assert picture.shape[0] // height == 2  # rows
    assert picture.shape[1] // width == 4  # depth, learned, K-means, truth


def test_the_simulated_bin_is_as_wide_as_said_for_every_part() -> None:
    for part in learn_demo.PARTS:
        assert 0.05 <= learn_demo.bin_width(part) <= 1.0, part  # what the simulator takes
