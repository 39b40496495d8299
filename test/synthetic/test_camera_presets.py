"""Cameras by name or file, in simulation and in teaching."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros.cli import main
from insegan_ros.config import ConfigError
from insegan_ros.data.store import Dataset
from insegan_ros.depth_camera import D435
from insegan_ros.distillation.examples import Piles
from insegan_ros.learn.config import LearnConfig
from insegan_ros.learn.resolve import resolve
from insegan_ros.synthetic.camera_presets import (
    as_measured,
    errors_of,
    find_camera,
    intrinsics_of,
    preset_names,
)
from insegan_ros.synthetic.generate import SceneConfig
from insegan_ros.synthetic.stored_scenes import dataset_info
from insegan_ros.types import Intrinsics

SMALL = """depth_scale: 0.0002
intrinsics: {width: 64, height: 48, fx: 60.0, fy: 60.0, cx: 31.5, cy: 23.5}
noise: {sigma_m: 0.0001, depth_step_m: 0.0002}
"""


def test_the_cameras_of_the_package_are_those_of_the_documents() -> None:
    documented = (Path(__file__).parents[2] / 'docs' / 'cameras.md').read_text()
    assert preset_names()
    assert all(f'`{name}`' in documented for name in preset_names())


def test_a_scene_has_its_cameras_size_unit_and_noise(tmp_path: Path) -> None:
    (tmp_path / 'mine.yaml').write_text(SMALL)
    mine = str(tmp_path / 'mine.yaml')
    info = dataset_info(SceneConfig(camera=mine, noise=mine), 0)
    assert (info.intrinsics.width, info.intrinsics.fx, info.depth_scale) == (64, 60.0, 0.0002)
    assert intrinsics_of('d435') == D435
    assert SceneConfig(camera='time_of_flight').intrinsics.height == 576
    flat = np.full((48, 64), 0.5, np.float32)
    camera = Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    fine, coarse = (
        np.nanstd(as_measured(flat, camera, np.random.default_rng(0), noise=name))
        for name in (mine, 'd435_raw')
    )
    assert 5 * fine < coarse
    exact = as_measured(flat, camera, np.random.default_rng(0), noise='none')
    assert np.array_equal(exact, flat)


def test_generate_takes_a_camera_and_its_noise_with_it(tmp_path: Path) -> None:
    (tmp_path / 'mine.yaml').write_text(SMALL)
    line = ['generate', '--part', 'nut', '--count', '1', '--workers', '1', '--instances', '2']
    line += ['--camera-height', '0.3', '--camera', str(tmp_path / 'mine.yaml')]
    assert main([*line, '--out', str(tmp_path / 'bins')]) == 0
    dataset = Dataset(tmp_path / 'bins')
    assert dataset[0].frame.depth_m.shape == (48, 64)
    assert dataset.info.depth_scale == 0.0002
    # another content of the same file is another camera
    (tmp_path / 'mine.yaml').write_text(SMALL + '\n# or was it?\n')
    assert main([*line, '--out', str(tmp_path / 'bins'), '--count', '2']) == 1
    assert len(Dataset(tmp_path / 'bins')) == 1


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        ('', 'a mapping of noise'),
        ('a: [', 'camera file'),
        (SMALL.replace('sigma_m', 'sigma'), 'did you mean noise.sigma_m'),
        (SMALL.replace('0.0002\nint', '5\nint'), 'depth_scale is 5'),
        (SMALL.replace('depth_step_m: 0.0002', 'depth_step_m: 0.0'), 'depth_step_m are expected'),
        (SMALL.replace('width: 64', 'width: many'), 'width'),
    ],
)
def test_a_file_that_is_no_camera_is_refused_in_words(
    tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / 'mine.yaml').write_text(content)
    with pytest.raises(ConfigError, match=r'mine\.yaml') as error:
        find_camera(str(tmp_path / 'mine.yaml'))
    assert told in str(error.value)


def test_an_unknown_camera_is_refused_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r'structured_light.*also: none, d435'):
        errors_of('lidar')
    line = ['generate', '--part', 'nut', '--count', '1', '--out', str(tmp_path / 'bins')]
    assert main([*line, '--camera', 'lidar']) == 1
    assert "no camera 'lidar'" in capsys.readouterr().err


def test_piles_are_taught_under_the_camera_that_is_named() -> None:
    flat = np.full((1, 48, 64), 0.5, np.float32)
    labels = np.zeros((1, 48, 64), np.uint8)
    camera = Intrinsics(64, 48, 60.0, 60.0, 31.5, 23.5)
    none = np.zeros((0, 3), np.float32)
    spread = {}
    for name in (None, 'structured_light', 'any'):
        errors = LearnConfig(camera=name).errors(0.05)
        piles = Piles(
            flat,
            labels,
            [none],
            [none[:, 0]],
            [np.zeros(0, np.int64)],
            np.array([0.5], np.float32),
            camera,
            errors=errors,
        )
        seen = [piles.heights(0, np.random.default_rng(k)) for k in range(12)]
        spread[name] = np.array([np.nanstd(heights) for heights in seen])
    assert np.median(spread['structured_light']) < 0.3 * np.median(spread[None])
    # good and bad cameras, not one that is a little better or worse
    range_of = {name: spread[name].max() / spread[name].min() for name in (None, 'any')}
    assert range_of['any'] > 3 * range_of[None]


def test_a_camera_without_frames_or_of_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match='no camera'):
        resolve([], ['camera=lidar'], None)
    with pytest.raises(ConfigError, match=r'all cameras.*--dataset'):
        resolve([], ['camera=time_of_flight', 'mesh=part.stl'], None)
    assert LearnConfig(camera='d435').errors(0.05) is None
