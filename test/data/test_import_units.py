"""The unit of imported depth: kept as fine as it is, refused where it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recorded import HEIGHT, WIDTH, Bag, depth_units, fine, imported, stored

from insegan_ros.data.store import Dataset

Say = pytest.CaptureFixture[str]


# --- units -------------------------------------------------------------------------------------


def test_detail_below_a_millimetre_is_kept_by_itself(tmp_path: Path) -> None:
    bag = Bag().info().image(pixels=fine(), encoding='32FC1')
    assert imported(bag.write(tmp_path / 'rec'), tmp_path / 'ds') == 0
    dataset = Dataset(tmp_path / 'ds')
    assert dataset.info.depth_scale == 0.0001
    np.testing.assert_allclose(dataset[0].frame.depth_m, fine(), atol=5.1e-5)


def test_whole_millimetres_as_floats_stay_millimetres(tmp_path: Path) -> None:
    bag = Bag().info().image(pixels=depth_units().astype(np.float32) / 1000, encoding='32FC1')
    imported(bag.write(tmp_path / 'rec'), tmp_path / 'ds')
    assert Dataset(tmp_path / 'ds').info.depth_scale == 0.001


def test_far_depths_are_stored_in_steps_that_reach_them(tmp_path: Path, capsys: Say) -> None:
    bag = Bag().info().image(pixels=fine() * 15, encoding='32FC1')
    assert imported(bag.write(tmp_path / 'rec'), tmp_path / 'ds') == 0
    assert Dataset(tmp_path / 'ds').info.depth_scale == 0.0002
    assert 'in steps of 0.2 mm' in capsys.readouterr().err


def test_a_unit_that_is_given_is_read_and_stored(tmp_path: Path) -> None:
    path = Bag().info().image(pixels=depth_units() * 10).write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'ds', '--depth-scale', '0.0001') == 0
    assert Dataset(tmp_path / 'ds').info.depth_scale == 0.0001
    assert stored(tmp_path / 'ds') == [500]


@pytest.mark.parametrize(
    ('pixels', 'encoding', 'said'),
    [
        (depth_units().astype(np.float32), '32FC1', 'millimetres published as 32FC1'),
        (np.full((HEIGHT, WIDTH), 1, np.uint16), '16UC1', 'metres published as millimetres'),
    ],
)
def test_depths_in_a_wrong_unit_are_refused_with_the_options(
    tmp_path: Path, capsys: Say, pixels: np.ndarray, encoding: str, said: str
) -> None:
    path = Bag().info().image(pixels=pixels, encoding=encoding).write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'ds') == 1
    error = capsys.readouterr().err
    assert said in error
    assert '--float-scale' in error
    assert not (tmp_path / 'ds').exists()


def test_float_millimetres_are_read_when_it_is_said(tmp_path: Path) -> None:
    path = Bag().info().image(pixels=depth_units().astype(np.float32), encoding='32FC1')
    path = path.write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'ds', '--float-scale', '0.001') == 0
    assert stored(tmp_path / 'ds') == [500]


def test_tenths_of_millimetres_taken_for_millimetres_are_suspected(
    tmp_path: Path, capsys: Say
) -> None:
    path = Bag().info().image(pixels=depth_units() * 10).write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'ds') == 0
    assert 'the median depth is 5.0 m, far for a bin' in capsys.readouterr().err
