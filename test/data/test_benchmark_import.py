"""An object of the Siléane and of the IPA dataset becomes a dataset with masks and poses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from insegan_ros.cli import main
from insegan_ros.data.store import Dataset

SIZE = (40, 50)  # rows, columns
NEAR, FAR = 0.5, 1.5
CENTRES = ((-0.1, 0.05, 0.8), (0.1, -0.05, 0.9))  # of two parts, in the optical frame
IDS = (65535, 64599)  # of Siléane's segmentation
CAMERA_PARAMS = """width\t50
height\t40
fu\t60
fv\t61
cu\t24.5
cv\t19.5
clip_start\t0.5
clip_end\t1.5
# Location of the camera, expressed by a 3D translation vector.
location\t0.2\t-0.1\t1.5
rotation\t0\t1\t0\t0
"""
COLUMNS = (
    'id,class,x,y,z,rot_x_axis_1,rot_x_axis_2,rot_x_axis_3,rot_y_axis_1,rot_y_axis_2,'
    'rot_y_axis_3,rot_z_axis_1,rot_z_axis_2,rot_z_axis_3,visibility_score_o,visibility_score_p'
)


def pixels(centre: tuple[float, ...], focal: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns around where a point is drawn."""
    row = round(focal[1] * centre[1] / centre[2] + 19.5)
    column = round(focal[0] * centre[0] / centre[2] + 24.5)
    return slice(row - 4, row + 5), slice(column - 4, column + 5)


def stored(depth_m: np.ndarray) -> np.ndarray:
    return np.rint((depth_m - NEAR) / (FAR - NEAR) * 65535).astype(np.uint16)


@pytest.fixture
def sileane(tmp_path: Path) -> Path:
    """A scene of two parts and an empty one; the camera looks straight down from 1.5 m."""
    folder = tmp_path / 'brick'
    for name in ('depth', 'segmentation', 'gt'):
        (folder / name).mkdir(parents=True)
    (folder / 'camera_params.txt').write_text(CAMERA_PARAMS)
    depth, ids = np.full(SIZE, 1.0), np.zeros(SIZE, np.uint16)
    truth = []
    for centre, number, hidden in zip(CENTRES, IDS, (0.1, 0.75), strict=True):
        where = pixels(centre, (60, 61))
        depth[where], ids[where] = centre[2], number
        x, y, z = centre  # half a turn about x: world x as the camera's, y and z against it
        place = [x + 0.2, -y - 0.1, 1.5 - z]
        turn = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
        truth.append({'R': turn, 't': place, 'segmentation_id': number, 'occlusion_rate': hidden})
    values = stored(depth)
    values[0, 0] = 65535
    cv2.imwrite(str(folder / 'depth' / 'brick_000.PNG'), values)
    cv2.imwrite(str(folder / 'segmentation' / 'brick_000.PNG'), ids)
    (folder / 'gt' / 'brick_000.json').write_text(json.dumps(truth))
    cv2.imwrite(str(folder / 'depth' / 'brick_001.PNG'), stored(np.full(SIZE, 1.0)))
    cv2.imwrite(str(folder / 'segmentation' / 'brick_001.PNG'), np.zeros(SIZE, np.uint16))
    (folder / 'gt' / 'brick_001.json').write_text('[]')
    return folder


@pytest.fixture
def ipa(tmp_path: Path) -> Path:
    """A drop of two parts; the view is cut out of one of 100 x 100 px."""
    folder = tmp_path / 'gear_shaft'
    for name in ('p_depth', 'p_segmentation', 'gt'):
        (folder / name / 'cycle_0003').mkdir(parents=True)
    told = {
        'perspectiveAngle': float(np.degrees(2 * np.arctan(50 / 60))),  # 60 px of focal length
        'clip_start': NEAR,
        'clip_end': FAR,
        'resolutionX': SIZE[1],
        'resolutionY': SIZE[0],
        'resolution_big': 100,
        'pixelOffset_X_KoSyTopLeft': 25,
        'pixelOffset_Y_KoSyTopLeft': 30,
    }
    (folder / 'parameter.json').write_text(json.dumps(told))
    depth, rows = np.full(SIZE, 1.0), np.full(SIZE, 255, np.uint8)
    rows[30:, :] = 0  # the bin
    table = [COLUMNS, '0,bin,0,0,1,1,0,0,0,1,0,0,0,1,1,1']
    for number, (centre, visible) in enumerate(zip(CENTRES, (0.9, 1.02), strict=True), 1):
        where = pixels(centre, (60, 60))
        depth[where], rows[where] = centre[2], number
        x, y, z = centre
        table.append(f'{number},shaft,{-x},{-y},{z},0,1,0,-1,0,0,0,0,1,0.5,{visible}')
    name = 'cycle_0003/002'
    cv2.imwrite(str(folder / 'p_depth' / f'{name}_depth_uint16.png'), stored(depth))
    cv2.imwrite(str(folder / 'p_segmentation' / f'{name}_segmentation.png'), rows)
    (folder / 'gt' / f'{name}.csv').write_text('\n'.join(table) + '\n')
    return folder


def imported(layout: str, folder: Path, out: Path) -> int:
    return main(['import', '--from', layout, str(folder), '--out', str(out)])


def require_centres_on_their_masks(dataset: Dataset, turn: list[list[float]]) -> None:
    sample = dataset[0]
    assert sample.labels is not None
    assert sample.poses is not None
    k = sample.frame.intrinsics
    for number, (pose, centre) in enumerate(zip(sample.poses, CENTRES, strict=True), 1):
        assert pose[:3, 3] == pytest.approx(centre, abs=1e-6)
        assert pose[:3, :3] == pytest.approx(np.array(turn), abs=1e-6)
        column, row = (k.matrix @ pose[:3, 3])[:2] / pose[2, 3]
        assert sample.labels[round(float(row)), round(float(column))] == number
        rows, columns = np.nonzero(sample.labels == number)
        assert sample.frame.depth_m[rows, columns] == pytest.approx(centre[2], abs=1e-4)


def test_a_scene_of_sileane_is_read_with_masks_poses_and_what_is_visible(
    sileane: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert imported('sileane', sileane, out) == 0
    assert imported('sileane', sileane, out) == 0  # adds nothing
    assert 'where their poses say' not in capsys.readouterr().err
    dataset = Dataset(out)
    assert (len(dataset), dataset.info.part, dataset.info.source) == (2, 'brick', 'sileane')
    assert dataset.info.intrinsics.fy == 61
    # half a turn about x before a quarter turn about z
    require_centres_on_their_masks(dataset, [[0, -1, 0], [-1, 0, 0], [0, 0, -1]])
    assert dataset[0].record['visible'] == pytest.approx([0.9, 0.25])
    assert np.isnan(dataset[0].frame.depth_m[0, 0])  # white: not reconstructed
    empty = dataset[1].poses
    assert empty is not None
    assert empty.shape == (0, 4, 4)


def test_a_drop_of_ipa_is_read_with_masks_poses_and_what_is_visible(
    ipa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert imported('ipa', ipa, out) == 0
    assert 'where their poses say' not in capsys.readouterr().err
    dataset = Dataset(out)
    assert (dataset.info.part, dataset.records[0]['file']) == ('gear_shaft', 'cycle_0003/002')
    k = dataset.info.intrinsics
    assert (k.fx, k.cx, k.cy) == pytest.approx((60, 24.5, 19.5))
    require_centres_on_their_masks(dataset, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert dataset[0].record['visible'] == pytest.approx([0.9, 1.0])
    labels = dataset[0].labels
    assert labels is not None
    assert set(np.unique(labels)) == {0, 1, 2}  # neither the bin nor what lies around it


def test_poses_of_another_convention_are_noticed(
    ipa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ipa / 'gt' / 'cycle_0003' / '002.csv'
    head, first, *parts = table.read_text().splitlines()
    mirrored = []
    for line in parts:
        number, kind, x, y, *rest = line.split(',')
        mirrored.append(','.join([number, kind, str(-float(x)), str(-float(y)), *rest]))
    table.write_text('\n'.join([head, first, *mirrored]))
    assert imported('ipa', ipa, tmp_path / 'out') == 0
    assert 'only 0 of 2 instances lie where their poses say' in capsys.readouterr().err


@pytest.mark.parametrize('layout', ['sileane', 'ipa'])
def test_another_layout_is_told_with_the_one_expected(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(layout, tmp_path, tmp_path / 'out') == 1
    error = capsys.readouterr().err
    assert 'gt/' in error
    assert 'is expected' in error


@pytest.mark.parametrize(
    ('line', 'replacement', 'told'),
    [
        ('fu\t60', '', 'fu is None; 1 numbers'),
        ('fu\t60', 'fu\tsixty', 'sixty'),
        ('rotation\t0\t1\t0\t0', 'rotation\t0\t0\t0\t0', 'rotation is 0'),
        ('location\t0.2', 'location', 'location is'),
        ('clip_end\t1.5', 'clip_end\t0.1', 'clipping planes at 0.5 and 0.1'),
    ],
)
def test_a_camera_that_is_not_told_whole_is_refused(
    sileane: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    line: str,
    replacement: str,
    told: str,
) -> None:
    (sileane / 'camera_params.txt').write_text(CAMERA_PARAMS.replace(line, replacement))
    assert imported('sileane', sileane, tmp_path / 'out') == 1
    assert told in capsys.readouterr().err


def test_a_scene_that_is_damaged_is_left_out_and_named(
    sileane: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, content in ((2, '{"R": 1'), (3, '[{"R": [], "t": []}]'), (4, '[1]')):
        (sileane / 'gt' / f'brick_00{number}.json').write_text(content)
        for kind in ('depth', 'segmentation'):
            picture = (sileane / kind / 'brick_001.PNG').read_bytes()
            (sileane / kind / f'brick_00{number}.PNG').write_bytes(picture)
    (sileane / 'gt' / 'brick_005.json').write_text('[]')  # without a picture
    assert imported('sileane', sileane, tmp_path / 'out') == 3
    error = capsys.readouterr().err
    assert all(f'brick_00{number} is left out' in error for number in (2, 3, 4, 5))
    assert len(Dataset(tmp_path / 'out')) == 2


def test_a_table_without_its_columns_is_left_out(
    ipa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ipa / 'gt' / 'cycle_0003' / '002.csv'
    table.write_text(table.read_text().replace('visibility_score_p', 'score'))
    assert imported('ipa', ipa, tmp_path / 'out') == 1
    assert 'visibility_score_p' in capsys.readouterr().err


def test_a_camera_that_sees_too_far_to_the_side_is_refused(
    sileane: Path, ipa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sileane / 'camera_params.txt'
    file.write_text(re.sub(r'^f([uv]).*$', r'f\1\t0.06', file.read_text(), flags=re.MULTILINE))
    assert imported('sileane', sileane, tmp_path / 'a') == 1
    assert 'Are they in pixels' in capsys.readouterr().err
    file = next(ipa.glob('*.json'))
    file.write_text(json.dumps(json.loads(file.read_text()) | {'perspectiveAngle': 176.0}))
    assert imported('ipa', ipa, tmp_path / 'b') == 1
    assert 'degrees off its axis' in capsys.readouterr().err


def test_a_camera_that_sees_hardly_anything_is_said(
    ipa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next(ipa.glob('*.json'))
    file.write_text(json.dumps(json.loads(file.read_text()) | {'perspectiveAngle': 1.0}))
    assert imported('ipa', ipa, tmp_path / 'out') == 0
    assert 'are unusual; are they in pixels' in capsys.readouterr().err
