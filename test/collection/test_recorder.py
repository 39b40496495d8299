"""A collection's folder is begun by its first frame and gone on with by a later run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros.collection.recorder import Recorder
from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(64, 48, 60.0, 60.0, 32.0, 24.0)


def frame(seed: int, floor_m: float = 0.6) -> DepthFrame:
    rng = np.random.default_rng(seed)
    depth = np.full((48, 64), floor_m, np.float32)
    for y, x in zip(rng.integers(0, 34, 4), rng.integers(0, 50, 4)):
        depth[y : y + 14, x : x + 14] = floor_m - 0.04
    return DepthFrame(depth, CAMERA, stamp_ns=seed)


def recorder(folder: Path, said: list[str], part: str = 'nut') -> Recorder:
    return Recorder(CollectorSettings(dataset=str(folder), part=part), said.append)


def test_a_later_run_knows_the_last_frame_and_the_floor_of_the_first(tmp_path: Path) -> None:
    said: list[str] = []
    first = recorder(tmp_path, said)
    first.open(frame(0))
    assert first.rejection(frame(0)) is None
    first.store(frame(0), {'elbow': 0.5})
    first.close()
    again = recorder(tmp_path, said)
    again.open(frame(1, floor_m=0.7))  # somebody has moved the bin in between
    assert again.stored == 1
    assert 'too like the last one' in again.rejection(frame(0))
    assert 'the bin floor is not where it was' in again.rejection(frame(1, floor_m=0.7))
    again.close()
    dataset = Dataset(tmp_path)
    assert dataset.records[0]['joints'] == {'elbow': 0.5}
    np.testing.assert_allclose(dataset[0].frame.depth_m, frame(0).depth_m, atol=0.0005)
    assert said == []


def test_a_bin_without_a_floor_in_sight_is_collected_with_a_warning(tmp_path: Path) -> None:
    said: list[str] = []
    rng = np.random.default_rng(0)
    rough = DepthFrame(rng.uniform(0.4, 0.9, (48, 64)).astype(np.float32), CAMERA)
    one = recorder(tmp_path, said)
    one.open(rough)
    assert one.rejection(rough) is None
    assert 'not checked for a moved bin' in said[0]
    one.close()


def test_nothing_is_stored_in_a_folder_of_another_part(tmp_path: Path) -> None:
    first = recorder(tmp_path, [])
    first.open(frame(0))
    first.close()
    other = recorder(tmp_path, [], part='bolt')
    with pytest.raises(DatasetError, match='part = nut, not bolt'):
        other.open(frame(0))
    assert (other.is_open, other.stored) == (False, 0)
