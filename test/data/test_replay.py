"""Any kind of recording plays the same frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros.data.bag_export import write_bag
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.replay import Replay
from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(width=8, height=6, fx=10.0, fy=10.0, cx=3.5, cy=2.5)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / 'bin'
    with DatasetWriter(path, DatasetInfo('nut', CAMERA, 'simulated')) as writer:
        for k in range(3):
            labels = np.full((6, 8), k, np.uint8)
            writer.append(np.full((6, 8), 500 + k, np.uint16), labels)
    return path


def depths(path: Path) -> list[int]:
    replay = Replay(path)
    found = [round(float(item.frame.depth_m[0, 0]) * 1000) for item in replay]
    replay.close()
    return found


def test_a_dataset_and_its_export_replay_alike(dataset: Path, tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    how = {'frame_id': 'camera', 'topic': '/depth', 'left_out': LeftOut('frames')}
    assert len(list(write_bag(Dataset(dataset), bag, **how))) == 3
    assert depths(dataset) == depths(bag) == [500, 501, 502]


def test_the_true_labels_come_along(dataset: Path) -> None:
    assert [int(item.labels.max()) for item in Replay(dataset)] == [0, 1, 2]


def test_the_number_of_parts_is_known_only_where_it_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / 'five'
    with DatasetWriter(path, DatasetInfo('nut', CAMERA, 'simulated', instances=5)) as writer:
        writer.append(np.full((6, 8), 500, np.uint16))
    assert Replay(path).instances == 5


def test_a_damaged_frame_is_left_out_and_named(dataset: Path) -> None:
    (dataset / 'depth' / '000001.png').write_bytes(b'')
    replay = Replay(dataset)
    assert len(list(replay)) == 2
    assert '000001.png' in replay.skipped[0]


@pytest.mark.parametrize(('count', 'seen'), [(1, 1), (2, 2), (5, 3)])
def test_no_more_frames_are_spread_than_asked_for(dataset: Path, count: int, seen: int) -> None:
    assert len(list(Replay(dataset).spread(count))) == seen


def test_a_damaged_frame_that_was_met_before_counts_once(dataset: Path) -> None:
    (dataset / 'depth' / '000000.png').write_bytes(b'')
    replay = Replay(dataset)
    assert len(list(replay.spread(3))) == len(list(replay)) == 2
    assert (replay.left_out.count, len(replay.skipped)) == (1, 1)


def test_what_cannot_be_replayed_is_refused_with_what_can(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').write_text('')
    for path in (tmp_path, tmp_path / 'absent'):
        with pytest.raises(DatasetError, match='dataset folder'):
            Replay(path)
