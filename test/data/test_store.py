"""What is stored stays whole whatever happens to the writer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from insegan_ros.data import store
from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo, DatasetWriter
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(12, 8, 10.0, 10.0, 6.0, 4.0)
INFO = DatasetInfo(part='nut', intrinsics=CAMERA, source='test', floor=(0.0, 0.0, -1.0, 0.5))


def depth_image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, (8, 12)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with DatasetWriter(tmp_path / 'nuts', INFO) as writer:
        for seed in range(3):
            writer.append(
                depth_image(seed),
                labels=(depth_image(seed) % 4).astype(np.uint8),
                poses=np.tile(np.eye(4, dtype=np.float32), (3, 1, 1)),
                record={'stamp_ns': seed},
            )
    return tmp_path / 'nuts'


def problems(folder: Path) -> list[str]:
    return [problem for found in Dataset(folder).verify() for problem in found]


def test_what_is_appended_is_read_back(folder: Path) -> None:
    dataset = Dataset(folder)
    assert dataset.info == INFO
    assert dataset.indices == [0, 1, 2]
    sample = dataset[1]
    units = depth_image(1)
    np.testing.assert_array_equal(np.isnan(sample.frame.depth_m), units == 0)
    np.testing.assert_allclose(np.nan_to_num(sample.frame.depth_m), units / 1000, atol=1e-6)
    np.testing.assert_array_equal(sample.labels, units % 4)
    assert sample.poses.shape == (3, 4, 4)
    assert sample.frame.stamp_ns == 1
    assert problems(folder) == []


def test_units_and_metres_round_trip() -> None:
    units = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(store.to_units(store.to_metres(units, 1e-3), 1e-3), units)


def test_depth_beyond_the_range_or_unmeasured_becomes_representable() -> None:
    metres = np.array([[np.nan, np.inf, -1.0, 100.0]])
    np.testing.assert_array_equal(store.to_units(metres, 0.001), [[0, 0, 0, 65535]])


def test_a_second_writer_is_refused_and_the_first_goes_on(folder: Path) -> None:
    with DatasetWriter(folder, INFO) as writer:
        with pytest.raises(DatasetError, match='being written by another process'):
            DatasetWriter(folder, INFO)
        assert writer.append(depth_image(3)) == 3


@pytest.mark.parametrize(
    'other',
    [
        DatasetInfo(part='bolt', intrinsics=CAMERA, source='test'),
        DatasetInfo(part='nut', intrinsics=CAMERA.crop(0, 0, 6, 8), source='test'),
    ],
)
def test_a_folder_of_another_part_or_camera_is_refused(folder: Path, other: DatasetInfo) -> None:
    with pytest.raises(DatasetError, match='choose another folder'):
        DatasetWriter(folder, other)
    assert len(Dataset(folder)) == 3


def test_a_line_cut_short_by_a_crash_does_not_count_and_is_mended(folder: Path) -> None:
    with open(folder / 'frames.jsonl', 'ab') as file:
        file.write(b'{"index": 3, "sha')
    assert len(Dataset(folder)) == 3
    with DatasetWriter(folder, INFO) as writer:
        assert writer.append(depth_image(3)) == 3
    assert len(Dataset(folder)) == 4


def test_a_full_disk_loses_only_the_frame_being_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    with DatasetWriter(folder, INFO) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(os, 'fsync', full)
            with pytest.raises(OSError, match='No space'):
                writer.append(depth_image(3))
        assert writer.append(depth_image(4)) == 3
    assert problems(folder) == []
    np.testing.assert_array_equal(
        store.to_units(Dataset(folder)[3].frame.depth_m, 0.001), depth_image(4)
    )


def test_a_writer_killed_at_any_moment_leaves_a_whole_dataset(tmp_path: Path) -> None:
    program = (
        'import numpy as np\n'
        'from test_store import *\n'
        f'writer = DatasetWriter({str(tmp_path / "d")!r}, INFO)\n'
        "print('open', flush=True)\n"
        'while True: writer.append(depth_image(writer.next_index))\n'
    )
    for wait in (0.02, 0.05, 0.11):
        process = subprocess.Popen(
            [sys.executable, '-c', program],
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                'PYTHONPATH': os.pathsep.join([*sys.path, str(Path(__file__).parent)]),
            },
        )
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    dataset = Dataset(tmp_path / 'd')
    assert len(dataset) > 0
    assert dataset.indices == list(range(len(dataset)))
    assert problems(tmp_path / 'd') == []


def test_verify_names_every_damaged_frame(folder: Path) -> None:
    (folder / 'depth' / '000000.png').write_bytes(b'not a png')
    (folder / 'depth' / '000001.png').write_bytes(store.encode_png(depth_image(7)))
    (folder / 'depth' / '000002.png').unlink()
    found = '\n'.join(problems(folder))
    assert 'frame 0' in found
    assert 'frame 1: depth differs from what was captured' in found
    assert 'frame 2' in found


def test_an_image_of_another_size_is_refused(folder: Path) -> None:
    with (
        DatasetWriter(folder, INFO) as writer,
        pytest.raises(DatasetError, match=r'\(4, 4\) uint16; .* holds \(8, 12\)'),
    ):
        writer.append(np.zeros((4, 4), np.uint16))


def test_an_unknown_split_lists_those_there_are(folder: Path) -> None:
    with DatasetWriter(folder, INFO) as writer:
        writer.write_splits({'test': [2], 'train': [0, 1]}, rule='by hand')
    assert Dataset(folder).split('test') == [2]
    with pytest.raises(DatasetError, match="no split 'tset'; it has all, test, train"):
        Dataset(folder).split('tset')
