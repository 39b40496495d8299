"""`insegan evaluate --poses`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh

from insegan_ros.cli import main
from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.evaluation import pose_benchmark
from insegan_ros.evaluation.template_frame import frames_to_fit_and_judge, learned_frame
from insegan_ros.inference import model_card
from insegan_ros.synthetic.parts import make_part


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
    assert figures['pose_ap'] > 0.3
    out = capsys.readouterr().out
    assert '| nut |' in out
    assert 'symmetry class: finite, 12' in out


def test_frames_are_set_aside_for_the_fit_where_no_split_says_which(nuts: Path) -> None:
    dataset = Dataset(nuts)
    assert frames_to_fit_and_judge(dataset, [4, 5]) == ([1, 2, 3], [4, 5])
    assert frames_to_fit_and_judge(dataset, [0, 1, 2, 3, 4]) == ([0], [1, 2, 3, 4])  # val, too
    dataset.splits = dict  # type: ignore[method-assign,assignment]
    fitting, judging = frames_to_fit_and_judge(dataset, list(range(25)))
    assert fitting == [0, 10, 20]
    assert sorted(fitting + judging) == list(range(25))
    with pytest.raises(DatasetError, match='--make-splits'):
        frames_to_fit_and_judge(dataset, [0])


def test_a_model_learned_from_the_mesh_needs_no_frame_to_be_fitted(tmp_path: Path) -> None:
    mesh = trimesh.creation.cone(0.02, 0.05)
    mesh.copy().apply_translation((0.0, 0.01, -0.02)).export(tmp_path / 'part.ply')
    frame = learned_frame(tmp_path, mesh)
    assert frame is not None
    assert frame[:3, 3] == pytest.approx((0.0, 0.01, -0.02), abs=1e-6)
    assert learned_frame(tmp_path, trimesh.creation.cone(0.03, 0.05)) is None
    upside_down = mesh.copy()
    upside_down.apply_transform(np.diag([1.0, -1.0, -1.0, 1.0]))
    assert learned_frame(tmp_path, upside_down) is None  # though its moments are the same
    assert learned_frame(tmp_path / 'elsewhere', mesh) is None


def test_a_model_that_lies_beside_its_mesh_is_judged_on_all_frames(
    nuts: Path, tmp_path: Path
) -> None:
    model = tmp_path / 'model'
    shutil.copytree(model_card.find('nut'), model)
    make_part('nut').mesh.export(model / 'part.ply')
    line = ['evaluate', '--dataset', str(nuts), '--poses', '--limit', '1', '--out', str(tmp_path)]
    assert main([*line, '--methods', str(model), '--symmetry', 'D6:z']) == 0
    report = json.loads((tmp_path / 'poses.json').read_text())
    assert (report['frames'], report['frames_of_the_fit']) == (1, 0)


def test_a_mesh_in_millimetres_is_read_when_it_is_told(tmp_path: Path) -> None:
    trimesh.creation.box((60, 30, 20)).export(tmp_path / 'brick.stl')
    with pytest.raises(DatasetError, match='millimetres'):
        read_mesh(tmp_path / 'brick.stl')
    assert max(read_mesh(tmp_path / 'brick.stl', 0.001).extents) == pytest.approx(0.06)


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
    assert main([*line, '--methods', 'nut', '--symmetry', 'round']) == 1
    assert 'revolution:z' in capsys.readouterr().err


def test_a_method_that_finds_nothing_is_left_out_and_the_others_are_judged(
    nuts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitted(*_: object, name: str, **__: object) -> np.ndarray:
        if name != 'good':
            raise ValueError('no instance was found')
        return np.eye(4)

    monkeypatch.setattr(pose_benchmark, 'template_frame', fitted)
    some = {'bad': None, 'good': None}
    frames, left_out = pose_benchmark._frames_of(Dataset(nuts), some, None, known=some, fitting=[])
    assert list(frames) == ['good']
    assert left_out == {'bad': 'no instance was found'}
    alone = {'bad': None}
    with pytest.raises(ValueError, match='no instance was found'):
        pose_benchmark._frames_of(Dataset(nuts), alone, None, known=alone, fitting=[])
