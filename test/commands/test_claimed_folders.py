"""A folder that one command writes into is refused to a second one, in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros.cli import main
from insegan_ros.data.store import DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.files import FolderClaim
from insegan_ros.types import Intrinsics

COMMANDS = {
    'export': ['export', '{data}', '--format', 'png', '--out', '{out}'],
    'evaluate': ['evaluate', '--dataset', '{data}', '--methods', 'felzenszwalb', '--out', '{out}'],
    'train': ['train', '--dataset', '{data}', '--out', '{out}', '--max-minutes', '0.1'],
    'template': ['template', '--dataset', '{data}', '--out', '{out}'],
    'pretrain': ['pretrain', '--out', '{out}', '--max-minutes', '0.1'],
    'generate': ['generate', '--part', 'nut', '--count', '1', '--workers', '1', '--out', '{out}'],
}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stored = tmp_path_factory.mktemp('claims') / 'data'
    info = DatasetInfo('part', Intrinsics(32, 32, 40.0, 40.0, 16.0, 16.0), 'test')
    with DatasetWriter(stored, info) as writer:
        writer.append(np.full((32, 32), 500, np.uint16))
    return stored


@pytest.mark.parametrize('command', COMMANDS)
def test_a_folder_that_is_written_to_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, command: str
) -> None:
    words = [word.format(data=data, out=tmp_path / 'out') for word in COMMANDS[command]]
    with FolderClaim(tmp_path / 'out'):
        assert main(words) == 1
    assert 'is being written by another process' in capsys.readouterr().err


def test_a_recording_that_is_being_exported_is_left_alone(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ['export', str(data), '--out', str(tmp_path / 'bag')]
    with FolderClaim(tmp_path / '.bag.partial') as other:
        (other.path / 'theirs').touch()
        assert main(words) == 1
        assert (other.path / 'theirs').exists()
    assert 'is being written by another process' in capsys.readouterr().err
    assert main(words) == 0
    assert [path.name for path in tmp_path.iterdir()] == ['bag']


def test_pictures_of_an_earlier_export_are_not_mixed_with_new_ones(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ['export', str(data), '--format', 'png', '--out', str(tmp_path / 'out')]
    assert main(words) == 0
    assert main(words) == 1
    assert 'holds pictures already' in capsys.readouterr().err
