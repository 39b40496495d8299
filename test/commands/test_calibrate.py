"""A bin is calibrated from frames in which parts lie now here, now there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from insegan_ros import cli
from insegan_ros.data.store import to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.parts_bin import load_bin
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.synthetic.stored_scenes import dataset_info


def test_the_floor_of_a_dataset_is_stored_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SceneConfig(part='nut', camera='d435', tilt_degrees=10, bin_width=4.0)
    with DatasetWriter(tmp_path / 'nuts', dataset_info(config, 0)) as writer:
        for seed in range(3):
            scene = make_scene(config, seed)
            writer.append(to_units(scene.frame.depth_m, 0.001))
    out, picture = tmp_path / 'bin.yaml', tmp_path / 'bin.png'
    words = ['calibrate', '--input', str(tmp_path / 'nuts'), '--out', str(out)]
    assert cli.main([*words, '--picture', str(picture)]) == 0
    assert 'above the floor' in capsys.readouterr().out
    found = load_bin(out)
    assert np.degrees(np.arccos(np.dot(found.floor.normal, scene.floor.normal))) < 1
    assert abs(found.floor.offset - scene.floor.offset) < 0.004
    assert found.corners is not None
    assert cv2.imread(str(picture)).shape == (480, 848, 3)
    assert 0.03 < found.part_length_m < 0.09
    given = ['--region', '300,100,200,200', '--max-depth', '0.9', '--part-length', '0.056']
    assert cli.main([*words, *given]) == 0
    assert load_bin(out).part_length_m == pytest.approx(0.056)
    x, y, width, height = load_bin(out).region
    assert x >= 300
    assert y >= 100
    assert x + width <= 500
    assert y + height <= 300
    with pytest.raises(SystemExit):
        cli.main([*words, '--region', '300,100,200'])
    assert cli.main([*words, '--max-depth', '0.1']) == 1
    assert 'nothing is measured' in capsys.readouterr().err


def test_an_input_that_is_nothing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ['calibrate', '--input', str(tmp_path / 'no'), '--out', str(tmp_path / 'b.yaml')]
    assert cli.main(words) == 1
    assert str(tmp_path / 'no') in capsys.readouterr().err
    assert not (tmp_path / 'b.yaml').exists()
