"""The demo as a user runs it, only shorter."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
if importlib.util.find_spec('insegan_ros.nodes.segmenter') is None:
    pytest.skip('there is no segmenter node', allow_module_level=True)

PROJECT = Path(__file__).parents[2]


def run_demo(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, '-m', 'insegan_ros.nodes.demo', '--out', str(out), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False, cwd=PROJECT
    )


def test_a_simulated_bin_is_segmented_and_shown(tmp_path: Path) -> None:
    done = run_demo(tmp_path, '--seconds', '4', '--rows', '2')
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / 'result.json').read_text())
    assert result['segmented'] > 0
    assert result['arrived at the demo'] == result['sent'] > 90  # none of 120 lost on the way
    assert 0 <= result['mean IoU'] <= 1
    picture = cv2.imread(str(tmp_path / 'overlay.png'))
    assert picture is not None
    assert picture.std() > 10


def test_a_segmenter_that_cannot_start_fails_the_demo(tmp_path: Path) -> None:
    done = run_demo(tmp_path, '--seconds', '3', '--method', 'banana')
    assert done.returncode == 1
    assert 'segmenter' in done.stderr
