"""Folders of images and of point clouds are taken by the commands that take datasets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from insegan_ros.cli import main
from insegan_ros.data.annotations import labels_of_frames, read_annotations
from insegan_ros.data.store import Dataset

SIZE = (90, 120)
K = [150.0, 0.0, 59.5, 0.0, 150.0, 44.5, 0.0, 0.0, 1.0]
CAMERA = {'image_width': 120, 'image_height': 90, 'camera_matrix': {'data': K}}
NAMES = ('shot_7', 'shot_8', 'shot_9')


def depth_of(k: int) -> np.ndarray:
    """(H, W) metres: a floor at 0.6 m with three blocks on it, elsewhere in each frame."""
    depth = np.full(SIZE, 0.6) + np.random.default_rng(k).normal(0, 2e-4, SIZE)
    for number in range(3):
        row, column = 10 + 25 * number, 20 + 25 * ((number + k) % 3)
        depth[row : row + 14, column : column + 20] -= 0.03
    return depth


def write_pngs(folder: Path) -> list[str]:
    """In units of 0.1 mm; the options that say so."""
    for k, name in enumerate(NAMES):
        cv2.imwrite(str(folder / f'{name}.png'), np.rint(depth_of(k) * 1e4).astype(np.uint16))
    (folder / 'camera_info.yaml').write_text(yaml.safe_dump(CAMERA))
    return ['--depth-scale', '0.0001']


def write_clouds(folder: Path) -> list[str]:
    """In millimetres, as PCD; the options that say so."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for k, name in enumerate(NAMES):
        z = 1000 * depth_of(k)
        points = np.stack([(columns - K[2]) / K[0] * z, (rows - K[5]) / K[4] * z, z], axis=2)
        header = (
            'VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 120\nHEIGHT 90\n'
            'DATA binary\n'
        )
        content = header.encode() + points.reshape(-1).astype('<f4').tobytes()
        (folder / f'{name}.pcd').write_bytes(content)
    return ['--float-scale', '0.001']


@pytest.fixture(params=[write_pngs, write_clouds])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder, and the options that say in which unit it is."""
    write: Callable[[Path], list[str]] = request.param
    folder = tmp_path / 'source'
    folder.mkdir()
    return folder, write(folder)


def test_verify_reads_every_image_and_says_when_the_unit_is_wrong(
    source: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, unit = source
    assert main(['verify', str(folder), *unit]) == 0
    assert '3 frames, 0 problems' in capsys.readouterr().out
    wrong = ['--depth-scale', '0.1'] if unit[0] == '--depth-scale' else []
    assert main(['verify', str(folder), *wrong]) == 1
    assert 'shot_7: the median depth is' in capsys.readouterr().out


def test_verify_counts_what_is_damaged(
    source: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, unit = source
    damaged = next(file for file in folder.iterdir() if file.stem == 'shot_8')
    damaged.write_bytes(damaged.read_bytes()[:300])
    assert main(['verify', str(folder), *unit]) == 1
    out = capsys.readouterr().out
    assert '3 frames, 1 problems' in out
    assert damaged.name in out


def test_what_is_damaged_shows_in_the_exit_code_of_what_did_the_rest(
    source: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, unit = source
    damaged = next(file for file in folder.iterdir() if file.stem == 'shot_8')
    damaged.write_bytes(damaged.read_bytes()[:300])
    line = ['export', str(folder), *unit, '--format', 'png', '--out', str(tmp_path / 'pictures')]
    assert main(line) == 3
    line = ['segment', '--method', 'felzenszwalb', '--input', str(folder), *unit]
    assert main([*line, '--out', str(tmp_path / 'found')]) == 3
    assert capsys.readouterr().err.count('1 frames left out') == 2


def test_distortion_is_told_and_is_no_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = write_pngs(tmp_path)
    distorted = CAMERA | {
        'distortion_model': 'plumb_bob',
        'distortion_coefficients': {'data': [0.2, 0, 0, 0, 0]},
    }
    (tmp_path / 'camera_info.yaml').write_text(yaml.safe_dump(distorted))
    assert main(['verify', str(tmp_path), *unit]) == 0
    out = capsys.readouterr().out
    assert 'not rectified' in out
    assert '3 frames, 0 problems' in out


def test_calibrate_finds_the_floor(
    source: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, unit = source
    line = ['calibrate', '--input', str(folder), *unit, '--out', str(tmp_path / 'bin.yaml')]
    assert main(line) == 0
    assert '0.600 m above the floor' in capsys.readouterr().out


def test_pictures_have_the_names_of_their_images_and_masks_drawn_on_them_are_found(
    source: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, unit = source
    pictures = tmp_path / 'pictures'
    line = ['export', str(folder), *unit, '--format', 'png', '--out', str(pictures)]
    assert main(line) == 0
    assert sorted(file.stem for file in pictures.glob('*.png')) == list(NAMES)
    assert not list(tmp_path.glob('.frames*'))  # nothing else is left behind
    corners = [[[20, 10], [40, 10], [40, 24], [20, 24]], [[45, 35], [65, 35], [65, 49], [45, 49]]]
    shapes = [{'label': 'part', 'points': c, 'shape_type': 'polygon'} for c in corners]
    told = {'imagePath': 'shot_7.png', 'imageWidth': 120, 'imageHeight': 90, 'shapes': shapes}
    (tmp_path / 'shot_7.json').write_text(json.dumps(told))
    out = tmp_path / 'out'
    line = ['evaluate', '--dataset', str(folder), *unit, '--out', str(out), '--split', 'test']
    assert main(line) == 1  # images have no splits; by then they are a dataset
    assert 'it has all' in capsys.readouterr().err
    labels = labels_of_frames(read_annotations(tmp_path / 'shot_7.json'), Dataset(out / 'frames'))
    assert list(labels) == [0]
    assert labels[0][15, 30] == 1


def test_a_recording_is_made_of_them(source: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, unit = source
    assert main(['export', str(folder), *unit, '--out', str(tmp_path / 'bag')]) == 0
    assert main(['verify', str(tmp_path / 'bag')]) == 0


def test_training_takes_them_and_knows_them_again(
    source: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, unit = source
    run = tmp_path / 'run'
    line = ['train', '--dataset', str(folder), *unit, '--out', str(run), '--dry-run']
    assert main(line) == 0
    assert main(line) == 0
    stored = Dataset(run / 'frames')
    assert (len(stored), stored.info.part) == (3, 'source')
    gone = next(file for file in folder.iterdir() if file.stem == 'shot_9')
    gone.rename(tmp_path / gone.name)
    assert main(line) == 1  # what is learned from is what is there
    assert f'{run / "frames"} holds 1 frames besides' in capsys.readouterr().err
    depth_m = stored[0].frame.depth_m
    assert np.allclose(depth_m, depth_of(0), atol=1e-4)  # detail below a millimetre is kept


def test_the_wrong_unit_is_refused_before_anything_is_learned(
    source: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, unit = source
    if unit[0] == '--depth-scale':
        pytest.skip('6 m may be meant: it is a warning')
    line = ['train', '--dataset', str(folder), '--out', str(tmp_path / 'run'), '--dry-run']
    assert main(line) == 1
    assert '--float-scale' in capsys.readouterr().err
