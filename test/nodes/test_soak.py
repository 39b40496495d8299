"""The soak tells what is lost, doubled or leaking; a short one finds nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('psutil', reason='psutil is not installed')

FILE = Path(__file__).parents[2] / 'benchmarks' / 'soak.py'
spec = importlib.util.spec_from_file_location('soak', FILE)
soak = importlib.util.module_from_spec(spec)
sys.modules['soak'] = soak
spec.loader.exec_module(soak)


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    info = DatasetInfo('nut', Intrinsics(8, 6, 9.0, 9.0, 4.0, 3.0), 'collector')
    with DatasetWriter(tmp_path, info) as writer:
        for k in range(4):
            writer.append(np.full((6, 8), 500 + k, np.uint16), record={'stamp_ns': 100 + k})
    return tmp_path


def test_a_whole_dataset_has_lost_nothing(collected: Path) -> None:
    assert soak.losses(collected, stored=4) == []


def test_a_frame_that_was_counted_but_is_not_there_is_told(collected: Path) -> None:
    assert soak.losses(collected, stored=5) == ['5 frames were counted as stored, 4 are there']


def test_a_missing_image_is_told(collected: Path) -> None:
    (collected / 'depth' / '000002.png').unlink()
    assert any('000002.png' in problem for problem in soak.losses(collected, stored=4))


def test_the_same_frame_twice_is_told(collected: Path) -> None:
    with DatasetWriter(collected, Dataset(collected).info) as writer:
        writer.append(np.full((6, 8), 503, np.uint16), record={'stamp_ns': 103})
    found = soak.losses(collected, stored=5)
    assert '1 frames have the sha256 of another' in found
    assert '1 frames have the stamp_ns of another' in found


@pytest.mark.parametrize('leak', [0.0, 300.0])
def test_the_slope_of_memory_is_that_of_the_leak(leak: float) -> None:
    rng = np.random.default_rng(0)
    samples = [
        soak.Sample(k, k, 90_000 + leak * k / 100 + rng.normal(0, 4), k) for k in range(600)
    ]
    assert abs(soak.memory(samples).slope - leak) < 2


def test_too_few_captures_tell_nothing_of_memory() -> None:
    assert soak.memory([soak.Sample(k, k, 1.0, k) for k in range(150)]) is None


def test_a_short_soak_finds_nothing_and_goes_on_where_it_was(
    ros_environment: None, tmp_path: Path
) -> None:
    for count in (2, 4):
        assert soak.main(['--count', str(count), '--out', str(tmp_path)]) == 0
        found = json.loads((tmp_path / 'soak.json').read_text())
        assert (found['stored'], found['problems']) == (count, [])
        assert found['stored by this run'] == 2
