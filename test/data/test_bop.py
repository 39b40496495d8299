"""A split in the layout of BOP becomes a dataset with masks, poses and visible fractions."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from insegan_ros.cli import main
from insegan_ros.data.store import Dataset

SIZE = (24, 32)
K = [40.0, 0.0, 15.5, 0.0, 41.0, 11.5, 0.0, 0.0, 1.0]


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two images of a scene: objects 1, 2, 2 in the first, object 2 in the second."""
    scene = tmp_path / 'test' / '000003'
    for folder in ('depth', 'mask_visib'):
        (scene / folder).mkdir(parents=True)
    camera, truth, info = {}, {}, {}
    for image, objects in enumerate(([1, 2, 2], [2])):
        depth = np.full(SIZE, 5000, np.uint16)  # of 0.1 mm: half a metre
        depth[0, 0] = 0
        cv2.imwrite(str(scene / 'depth' / f'{image:06d}.png'), depth)
        camera[str(image)] = {'cam_K': K, 'depth_scale': 0.1}
        truth[str(image)] = [
            {
                'obj_id': number,
                'cam_R_m2c': [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
                'cam_t_m2c': [10.0 * k, -20.0, 480.0],
            }
            for k, number in enumerate(objects)
        ]
        info[str(image)] = [{'visib_fract': 0.5 + 0.1 * k} for k in range(len(objects))]
        for k in range(len(objects)):
            mask = np.zeros(SIZE, np.uint8)
            mask[4:9, 8 * k : 8 * k + 5] = 255
            cv2.imwrite(str(scene / 'mask_visib' / f'{image:06d}_{k:06d}.png'), mask)
    for name, content in (('camera', camera), ('gt', truth), ('gt_info', info)):
        (scene / f'scene_{name}.json').write_text(json.dumps(content))
    return tmp_path / 'test'


def imported(split: Path, out: Path, *more: str) -> int:
    return main(['import', '--from', 'bop', str(split), '--out', str(out), *more])


def test_depth_masks_poses_and_visible_fractions_of_one_object_are_read(
    split: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'out'
    assert imported(split, out, '--object', '2', '--part', 'juice') == 0
    assert imported(split, out, '--object', '2', '--part', 'juice') == 0  # adds nothing
    dataset = Dataset(out)
    assert len(dataset) == 2
    first = dataset[0]
    assert first.frame.intrinsics.fy == 41
    assert first.frame.depth_m[5, 5] == pytest.approx(0.5)
    assert np.isnan(first.frame.depth_m[0, 0])
    assert first.record['visible'] == pytest.approx([0.6, 0.7])
    assert first.labels is not None
    assert first.labels[5, [1, 9, 17]].tolist() == [0, 1, 2]  # another object is background
    assert first.poses is not None
    assert first.poses[1] @ [1, 0, 0, 1] == pytest.approx([0.02, 0.98, 0.48, 1])


def test_where_there_are_several_objects_one_is_to_be_chosen(
    split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(split, tmp_path / 'out') != 0
    assert '1 (in 1 images), 2 (in 2 images); choose one' in capsys.readouterr().err


def test_an_image_that_is_damaged_is_left_out_and_named(
    split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (split / '000003' / 'depth' / '000000.png').write_bytes(b'no image')
    assert imported(split, tmp_path / 'out', '--object', '2') == 3
    assert '000003/000000' in capsys.readouterr().err
    assert len(Dataset(tmp_path / 'out')) == 1


@pytest.mark.parametrize(
    ('name', 'entry'),
    [
        ('gt', None),
        ('gt', [{'obj_id': 'two'}]),
        ('gt', [{'obj_id': 2, 'cam_R_m2c': K, 'cam_t_m2c': [float('inf'), 0, 1]}]),
        ('camera', 3),
        ('camera', {'cam_K': K, 'depth_scale': 1e300}),
        ('gt_info', [3, 3, 3]),
    ],
)
@pytest.mark.filterwarnings('ignore:overflow', 'ignore:invalid')
def test_an_entry_of_any_kind_costs_its_image_alone(
    split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, entry: object
) -> None:
    file = split / '000003' / f'scene_{name}.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | {'0': entry}))
    assert imported(split, tmp_path / 'out', '--object', '2') == 3
    assert '000003/000000' in capsys.readouterr().err
    assert len(Dataset(tmp_path / 'out')) == 1


def test_another_layout_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(tmp_path, tmp_path / 'out') != 0
    assert 'has no BOP scenes' in capsys.readouterr().err


def test_a_camera_that_is_odd_or_cannot_be_is_said(
    split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = split / '000003' / 'scene_camera.json'
    cameras = json.loads(file.read_text())
    for one in cameras.values():
        one['cam_K'] = [40.0, 7.0, 150.0, 0.0, 41.0, 11.5, 0.0, 0.0, 1.0]
    file.write_text(json.dumps(cameras))
    assert imported(split, tmp_path / 'odd', '--object', '2') == 0
    said = capsys.readouterr().err
    assert 'the principal point 150, 11.5 lies outside the image' in said
    assert 'the skew of the camera matrix, 7 px, is not used' in said
    for one in cameras.values():
        one['cam_K'] = [0.04, 0.0, 15.5, 0.0, 0.04, 11.5, 0.0, 0.0, 1.0]  # millimetres
    file.write_text(json.dumps(cameras))
    assert imported(split, tmp_path / 'none', '--object', '2') == 1
    assert 'Are they in pixels' in capsys.readouterr().err
    for one in cameras.values():
        one['cam_K'] = K[:6]
    file.write_text(json.dumps(cameras))
    assert imported(split, tmp_path / 'short', '--object', '2') == 1
    assert 'cam_K has 6 numbers; 9 are expected' in capsys.readouterr().err
