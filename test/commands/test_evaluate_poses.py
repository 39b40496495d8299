"""`insegan evaluate --poses`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trimesh

from insegan_ros.cli import main
from insegan_ros.data.store import Dataset
from insegan_ros.data.writer import DatasetWriter


@pytest.fixture(scope='module')
def nuts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('nuts') / 'nuts'
    line = ['generate', '--part', 'nut', '--count', '6', '--seed', '5', '--workers', '1']
    assert main([*line, '--out', str(folder)]) == 0
    with DatasetWriter(folder, Dataset(folder).info) as writer:
        writer.write_splits({'train': [0], 'val': [1, 2, 3], 'test': [4, 5]})
    return folder


def test_poses_of_a_learned_template_are_judged_against_the_true_mesh(
    nuts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    line = ['evaluate', '--dataset', str(nuts), '--poses', '--out', str(tmp_path)]
    assert main([*line, '--methods', 'nut']) == 0
    figures = json.loads((tmp_path / 'poses.json').read_text())['methods']['nut']
    assert 4 <= figures['instances'] <= 10
    assert figures['mssd_recall_0.05'] <= figures['mssd_recall_0.1'] <= figures['mssd_recall_0.2']
    assert figures['mssd_recall_0.2'] > 0.4
    assert '| nut |' in capsys.readouterr().out


def test_what_cannot_be_judged_is_told(
    nuts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    line = ['evaluate', '--dataset', str(nuts), '--poses', '--out', str(tmp_path)]
    assert main([*line, '--methods', 'kmeans']) == 1
    assert 'kmeans' in capsys.readouterr().err
    empty = tmp_path / 'empty.stl'
    trimesh.Trimesh().export(empty)
    assert main([*line, '--methods', 'nut', '--mesh', str(empty)]) == 1
    assert 'no mesh' in capsys.readouterr().err
