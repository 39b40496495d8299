"""`insegan segment` takes every kind of input and writes what it says."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from insegan_ros import cli
from insegan_ros.data.store import DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(120, 100, 200.0, 200.0, 60.0, 50.0)


def drawn(boxes: int = 2) -> np.ndarray:
    """(H, W) millimetres: boxes 20 x 16 px, 20 and 30 mm high, on a floor at 500 mm."""
    depth = np.full((100, 120), 500, np.uint16)
    for k in range(boxes):
        depth[20:36, 10 + 50 * k : 30 + 50 * k] = 480 - 10 * k
    return depth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / 'pngs'
    path.mkdir()
    matrix = [200.0, 0, 60.0, 0, 200.0, 50.0, 0, 0, 1]
    info = {'image_width': 120, 'image_height': 100, 'camera_matrix': {'data': matrix}}
    (path / 'camera_info.yaml').write_text(yaml.safe_dump(info))
    for name in ('a', 'b'):
        cv2.imwrite(str(path / f'{name}.png'), drawn())
    return path


def segment(source: Path, out: Path, *more: str) -> int:
    arguments = ['segment', '--method', 'kmeans', '--instances', '2', '--input', str(source)]
    return cli.main([*arguments, '--out', str(out), *more])


def test_a_folder_of_pngs_becomes_labels_depths_overlays_and_json(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'out'
    assert segment(folder, out) == 0
    labels = cv2.imread(str(out / 'labels/a.png'), cv2.IMREAD_UNCHANGED)
    assert labels.dtype == np.uint16
    result = json.loads((out / 'result.json').read_text())
    assert result['settings']['method'] == 'kmeans'
    assert [frame['frame'] for frame in result['frames']] == ['a', 'b']
    first, second = result['frames'][0]['instances']
    assert first['bbox'] == [60, 20, 20, 16]  # the higher one is the better pick
    assert first['pixels'] == 320
    assert (labels[20:36, 60:80] == first['label']).all()
    pose = np.array(first['pose'])
    expected = [(69.5 - 60) / 200 * 0.47, (27.5 - 50) / 200 * 0.47, 0.47]
    np.testing.assert_allclose(pose[:3, 3], expected, atol=1e-4)
    assert first['score'] > second['score']
    alone = cv2.imread(str(out / 'depths/a_1.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(alone, np.where(labels == 1, drawn(), 0))
    assert cv2.imread(str(out / 'overlays/b.png')).shape == (100, 120, 3)


def test_a_frame_whose_name_leaves_no_room_for_more_is_stored_under_a_shorter_one(
    folder: Path, tmp_path: Path
) -> None:
    for letter in 'xy':
        (folder / f'{"n" * 249}{letter}.png').write_bytes((folder / 'a.png').read_bytes())
    assert segment(folder, tmp_path / 'o') == 0
    frames = json.loads((tmp_path / 'o/result.json').read_text())['frames']
    names = {frame['frame'] for frame in frames}
    assert len(names) == 4
    for name in names:
        assert (tmp_path / f'o/labels/{name}.png').exists()
        assert (tmp_path / f'o/depths/{name}_2.png').exists()


def test_a_single_png_needs_its_camera(folder: Path, tmp_path: Path, capsys) -> None:
    camera = str((folder / 'camera_info.yaml').rename(tmp_path / 'mine.yaml'))
    assert segment(folder / 'a.png', tmp_path / 'o') == 1
    assert 'give --camera-info FILE' in capsys.readouterr().err
    assert not (tmp_path / 'o').exists()
    assert segment(folder / 'a.png', tmp_path / 'o', '--camera-info', camera) == 0
    assert (tmp_path / 'o/labels/a.png').exists()


def test_a_dataset_keeps_its_indices_and_depth_unit(tmp_path: Path) -> None:
    info = DatasetInfo('box', CAMERA, 'drawn', instances=2, depth_scale=0.0001)
    with DatasetWriter(tmp_path / 'd', info) as writer:
        writer.append(drawn() * 10, index=7)
    assert segment(tmp_path / 'd', tmp_path / 'o') == 0
    alone = cv2.imread(str(tmp_path / 'o/depths/000007_1.png'), cv2.IMREAD_UNCHANGED)
    assert alone.max() == 4700
    assert json.loads((tmp_path / 'o/result.json').read_text())['settings']['depth_scale'] == 1e-4


def test_a_frame_without_a_bin_is_noted_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(folder / 'a.png'), np.zeros((100, 120), np.uint16))
    assert segment(folder, tmp_path / 'o') == 3
    first, second = json.loads((tmp_path / 'o/result.json').read_text())['frames']
    assert 'pixels are measured' in first['error']
    assert len(second['instances']) == 2


def test_results_of_two_runs_do_not_mix(folder: Path, tmp_path: Path, capsys) -> None:
    assert segment(folder, tmp_path / 'o') == 0
    assert segment(folder, tmp_path / 'o') == 1
    assert 'already holds results' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--method', 'kmean'], "unknown method 'kmean'; valid: kmeans"),
        (['--model', 'nowhere'], "no model 'nowhere'"),
        (['--model', 'nowhere', '--instances', '5'], '--instances is for classical methods'),
        (['--method', 'kmeans', '--split', 'test'], 'is no dataset and has no splits'),
        (['--method', 'kmeans', '--input', 'absent'], 'there is no absent'),
        (['--method', 'kmeans', '--depth-scale', '1000'], 'metres a unit'),
        (['--method', 'kmeans', '--limit', '0'], 'at least 1'),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(
    folder: Path, tmp_path: Path, capsys, arguments: list[str], message: str
) -> None:
    base = ['segment', '--input', str(folder), '--out', str(tmp_path / 'o')]
    assert cli.main([*base, *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'o').exists()


def test_a_grasp_network_s_file_holds_the_depth_the_camera_and_the_labels(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'found'
    command = ['segment', '--method', 'felzenszwalb', '--input', str(folder), '--out', str(out)]
    assert cli.main([*command, '--format', 'npz', '--limit', '1']) == 0
    (path,) = (out / 'grasp').iterdir()
    with np.load(path) as held:
        assert set(held) == {'depth', 'K', 'segmap'}
        labels = cv2.imread(str(out / 'labels' / f'{path.stem}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(held['segmap'], labels)
        np.testing.assert_allclose(held['depth'], drawn() / 1000, atol=1e-6)
        np.testing.assert_array_equal(held['K'], [[200, 0, 60], [0, 200, 50], [0, 0, 1]])
