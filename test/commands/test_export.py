"""Pictures to draw masks on have the frames' size and names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from insegan_ros import cli
from insegan_ros.data.store import DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(32, 24, 40.0, 40.0, 16.0, 12.0)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Five frames of a box on a floor; in the last nothing is measured."""
    path = tmp_path / 'bin'
    with DatasetWriter(path, DatasetInfo('box', CAMERA, 'collector')) as writer:
        for k in range(5):
            depth = np.full((24, 32), 500, np.uint16)
            depth[5:15, 5 + k : 20 + k] = 450
            writer.append(depth if k < 4 else np.zeros_like(depth))
    return path


def test_every_second_frame_becomes_a_picture_of_its_size_and_name(
    dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'pictures'
    call = ['export', str(dataset), '--format', 'png', '--every', '2', '--out', str(out)]
    assert cli.main(call) == 0
    assert sorted(file.name for file in out.glob('*.png')) == [
        '000000.png',
        '000002.png',
        '000004.png',
    ]
    picture = cv2.imread(str(out / '000002.png'))
    assert picture is not None
    assert picture.shape == (24, 32, 3)
    box, floor = picture[10, 12].astype(int), picture[20, 2].astype(int)
    assert np.abs(box - floor).max() > 100  # a person sees the edge


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--format', 'png', '--every', '0'], 'at least 1'),
        (['--format', 'png', '--topic', '/depth'], 'for --format mcap'),
        (['--every', '3'], 'for --format png'),
    ],
)
def test_options_of_the_other_format_are_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list, said: str
) -> None:
    assert cli.main(['export', str(dataset), '--out', str(tmp_path / 'o'), *arguments]) == 1
    assert said in capsys.readouterr().err
