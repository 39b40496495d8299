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
from stored_nuts import CAMERA, INFO, depth_image, problems, store_nuts

from insegan_ros.data import store
from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.files import FolderInUseError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store_nuts(tmp_path / 'nuts')


def test_a_second_writer_is_refused_and_the_first_goes_on(folder: Path) -> None:
    with DatasetWriter(folder, INFO) as writer:
        with pytest.raises(FolderInUseError, match='being written by another process'):
            DatasetWriter(folder, INFO)
        assert writer.append(depth_image(3)) == 3


@pytest.mark.parametrize(
    'other',
    [
        DatasetInfo(part='bolt', intrinsics=CAMERA, source='test'),
        DatasetInfo(part='nut', intrinsics=CAMERA.crop(0, 0, 6, height=8), source='test'),
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
        'from stored_nuts import *\n'
        f'writer = DatasetWriter({str(tmp_path / "d")!r}, INFO)\n'
        'writer.append(depth_image(0))\n'
        "print('stored', flush=True)\n"
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


def test_an_image_of_another_size_is_refused(folder: Path) -> None:
    with (
        DatasetWriter(folder, INFO) as writer,
        pytest.raises(DatasetError, match=r'\(4, 4\) uint16; .* holds \(8, 12\)'),
    ):
        writer.append(np.zeros((4, 4), np.uint16))
