"""`insegan segment` says of every frame that it could not do, or that can hardly be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from insegan_ros.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / 'ein Behälter'  # a space and an umlaut
    made.mkdir()
    info = {'width': 96, 'height': 72, 'k': [150.0, 0, 47.5, 0, 150.0, 35.5, 0, 0, 1]}
    (made / 'camera_info.yaml').write_text(yaml.safe_dump(info))
    depth = np.random.default_rng(0).normal(0.6, 0.0005, (72, 96)).astype(np.float32)
    depth[20:40, 30:60] -= 0.04
    for k in range(2):
        np.save(made / f'{k}.npy', depth)
    return made


def segment(folder: Path, out: Path, *more: str) -> int:
    words = ['segment', '--method', 'felzenszwalb', '--input', str(folder), '--out', str(out)]
    return main([*words, *more])


def test_a_frame_without_a_bin_costs_itself_and_the_exit_code_tells(
    folder: Path, tmp_path: Path
) -> None:
    assert segment(folder, tmp_path / 'whole') == 0
    np.save(folder / '1.npy', np.zeros((72, 96), np.float32))
    assert segment(folder, tmp_path / 'one') == 3


def test_metres_that_are_millimetres_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for file in folder.glob('*.npy'):
        np.save(file, 1000 * np.load(file))
    segment(folder, tmp_path / 'out')
    assert 'millimetres published as 32FC1 metres?' in capsys.readouterr().err


def test_a_split_without_frames_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(['import', str(folder), '--part', 'part', '--out', str(tmp_path / 'ds')]) == 0
    (tmp_path / 'ds' / 'splits.yaml').write_text('test: [99]\n')
    assert segment(tmp_path / 'ds', tmp_path / 'out', '--split', 'test') == 1
    assert "no frame of split 'test' (splits.yaml)" in capsys.readouterr().err
