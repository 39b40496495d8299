"""A camera's file is understood in every format in which people have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from insegan_ros.data.camera_files import find_camera_file, read_camera_file
from insegan_ros.data.camera_model import camera_of
from insegan_ros.data.store import DatasetError
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(96, 72, 150.0, 151.0, 47.5, 35.5)
K = [150.0, 0.0, 47.5, 0.0, 151.0, 35.5, 0.0, 0.0, 1.0]
P = [150.0, 0.0, 47.5, 0.0, 0.0, 151.0, 35.5, 0.0, 0.0, 0.0, 1.0, 0.0]
ECHO = {
    'header': {'stamp': {'sec': 5, 'nanosec': 6}, 'frame_id': 'optical'},
    'height': 72,
    'width': 96,
    'distortion_model': 'plumb_bob',
    'd': [0.0] * 5,
    'k': K,
    'r': [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
    'p': P,
    'binning_x': 0,
    'binning_y': 0,
    'roi': {'x_offset': 0, 'y_offset': 0, 'height': 0, 'width': 0, 'do_rectify': False},
}
CALIBRATION = {
    'image_width': 96,
    'image_height': 72,
    'camera_matrix': {'rows': 3, 'cols': 3, 'data': K},
    'distortion_model': 'plumb_bob',
    'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [0.0] * 5},
    'projection_matrix': {'rows': 3, 'cols': 4, 'data': P},
}
SIZE = {'width': 96, 'height': 72}
FILES = {
    'calibration': yaml.safe_dump(CALIBRATION),
    'echo': yaml.safe_dump(ECHO) + '---\n',
    'echo twice': (yaml.safe_dump(ECHO) + '---\n') * 2,
    'rostopic': yaml.safe_dump({'K' if k == 'k' else k: v for k, v in ECHO.items()}) + '---\n',
    'flow style': 'width: 96\nheight: 72\nk: [150., 0., 47.5, 0., 151., 35.5, 0., 0., 1.]\n',
    'realsense': json.dumps(
        SIZE | {'fx': 150.0, 'fy': 151.0, 'ppx': 47.5, 'ppy': 35.5, 'coeffs': [0.0] * 5}
    ),
    'open3d': json.dumps(SIZE | {'intrinsic_matrix': [150.0, 0, 0, 0, 151.0, 0, 47.5, 35.5, 1.0]}),
    'open3d parameters': json.dumps(
        {
            'class_name': 'PinholeCameraParameters',
            'intrinsic': SIZE | {'intrinsic_matrix': [150.0, 0, 0, 0, 151.0, 0, 47.5, 35.5, 1.0]},
        }
    ),
    'bop camera': json.dumps(SIZE | {'fx': 150.0, 'fy': 151.0, 'cx': 47.5, 'cy': 35.5}),
    'bop scene': json.dumps({'0': {'cam_K': [9.0] * 9}, '7': {'cam_K': K, 'depth_scale': 0.1}}),
    'matrix': json.dumps({'K': [K[:3], K[3:6], K[6:]]}),
    'byte order mark': '\ufeff' + json.dumps(SIZE | {'k': K}),
    'comments': '# mine\n' + yaml.safe_dump(CALIBRATION) + '# end\n',
}


@pytest.mark.parametrize('name', FILES)
def test_every_format_gives_the_same_camera(tmp_path: Path, name: str) -> None:
    file = tmp_path / 'camera'
    file.write_text(FILES[name])
    info = read_camera_file(file, '000007')
    assert camera_of(info, (96, 72)).intrinsics == CAMERA


def test_the_unit_of_the_images_comes_along(tmp_path: Path) -> None:
    for name, content, metres in (
        ('bop', {'fx': 1, 'fy': 1, 'cx': 0, 'cy': 0, 'depth_scale': 0.1}, 0.0001),
        ('bop mm', {'fx': 1, 'fy': 1, 'cx': 0, 'cy': 0, 'depth_scale': 1.0}, 0.001),
        ('realsense', {'fx': 1, 'fy': 1, 'ppx': 0, 'ppy': 0, 'depth_scale': 0.001}, 0.001),
        ('open3d', {'intrinsic_matrix': K, 'depth_scale': 1000.0}, 0.001),
    ):
        (tmp_path / 'c.json').write_text(json.dumps(content))
        found = read_camera_file(tmp_path / 'c.json').depth_scale
        assert found == pytest.approx(metres), name


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('', 'holds NoneType'),
        ('image_width:\t96', 'no YAML'),
        ('{"images": 3}', 'its keys are images'),
        ('width: 96\nheight: 72\nk: [1, 2]', '9 are expected'),
        ('width: 96\nheader: {}\nk:\n- 150.0\n- ...\n', 'c is no camera file|full-length|no YAML'),
        ("width: 96\nheader: {}\nk: [150.0, '...']", 'full-length'),
        ('image_width: 96\nimage_height: 72', 'camera_matrix'),
    ],
)
def test_what_is_no_camera_file_is_named_with_what_is_expected(
    tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / 'c').write_text(content)
    with pytest.raises(DatasetError, match=said) as error:
        read_camera_file(tmp_path / 'c')
    assert str(tmp_path / 'c') in str(error.value)


def test_the_usual_names_are_found_also_beside_a_folder_of_depth_images(tmp_path: Path) -> None:
    depth = tmp_path / 'scene' / 'depth'
    depth.mkdir(parents=True)
    assert find_camera_file(depth) is None
    (tmp_path / 'scene' / 'scene_camera.json').write_text('{}')
    assert find_camera_file(depth) == tmp_path / 'scene' / 'scene_camera.json'
    (depth / 'camera_info.yml').write_text('')
    assert find_camera_file(depth) == depth / 'camera_info.yml'
