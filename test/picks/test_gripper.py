from __future__ import annotations

from pathlib import Path

import pytest

from insegan_ros.config import ConfigError
from insegan_ros.picks.gripper import ParallelJaw, SuctionCup, load_gripper

SHIPPED = sorted((Path(__file__).parents[2] / 'config/grippers').glob('*.yaml'))


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_shipped_grippers_are_read(path):
    assert isinstance(load_gripper(path), SuctionCup | ParallelJaw)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('type: magnet', 'types: suction, parallel'),
        ('cup_radius_m: 0.01', 'types: suction, parallel'),
        ('type: []', 'types: suction, parallel'),
        ('- 1', 'types: suction, parallel'),
        ('type: suction\ncup_radius_m: 6', 'millimetres'),
        ('type: suction\ncup_radius: 0.006', 'did you mean cup_radius_m'),
        ('type: suction\ncup_radius_m: nan', 'cup_radius_m'),
        ('type: parallel\nmin_depth_m: 0.03', 'never hold'),
        ('type: parallel\nmax_slope: -0.4', 'max_slope'),
        ('type: parallel\nmax_slope: .nan', 'max_slope'),
        ('type: suction\nchance: {weights: [1, 1, 1, 1, 1, 1, 1, .nan], bias: 0}', 'finite'),
        ('type: suction\nchance: {weights: [1, 1, 1, 1, 1, 1, 1, 1], bias: .inf}', 'finite'),
        ('type: [', 'not YAML'),
    ],
)
def test_what_is_no_gripper_is_refused_with_the_file_s_name(tmp_path, text, said):
    path = tmp_path / 'my_gripper.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=r'my_gripper\.yaml') as error:
        load_gripper(path)
    assert said in str(error.value)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'absent\.yaml'):
        load_gripper(tmp_path / 'absent.yaml')
