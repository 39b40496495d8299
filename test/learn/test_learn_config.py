"""Every setting that decides is reached from LearnConfig, by its name, and is written down."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from insegan_ros.learn.config import dump_settings
from insegan_ros.learn.resolve import resolve


@pytest.mark.parametrize(
    'name',
    [
        'finding.floor.below_weight',
        'finding.limits.wall_margin_m',
        'finding.box_share',
        'discovery.pieces.step_m',
        'discovery.lengths.prominent',
        'discovery.unsure',
        'reading.votes.sure',
        'reading.count_weight',
        'reading.right_iou',
    ],
)
def test_a_setting_that_decides_is_given_by_its_name_and_read_back(
    name: str, tmp_path: Path
) -> None:
    given = resolve([], [f'{name}=0.375'], None)
    written = tmp_path / 'config.yaml'
    written.write_text(dump_settings(given))
    value = yaml.safe_load(written.read_text())
    for key in name.split('.'):
        value = value[key]
    assert value == 0.375
    assert resolve([written], [], None) == given
    assert given != resolve([], [], None)
