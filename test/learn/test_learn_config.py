"""Every setting that decides is reached from LearnConfig, by its name, and is written down."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from insegan_ros.config import ConfigError
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


@pytest.mark.parametrize(
    'settings',
    [
        ['step.joint_after=-1'],
        ['step.joint_after=9', 'step.generator_steps=0'],
        ['step.joint_after=9', 'model.encoder=latents'],
    ],
)
def test_a_joint_phase_that_would_never_teach_the_generator_by_frames_is_refused(
    settings: list[str],
) -> None:
    with pytest.raises(ValueError, match=r'joint_after (is )?(-1|9)'):
        resolve([], ['method=insegan3d', *settings], None)


def test_a_camera_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no camera 'mine'.*time_of_flight.*any, d435$"):
        resolve([], ['camera=mine'], None)


@pytest.mark.parametrize(
    'setting',
    [
        'filters.median=2',
        'filters.blur=-1',
        'turns=5',
        'refine_steps=-1',
        'step.batch=0',
        'step.noise=-0.1',
        'data.validation=0',
        'data.limit=-1',
    ],
)
def test_what_no_insegan_can_learn_or_work_with_is_refused_at_once(setting: str) -> None:
    with pytest.raises(ValueError, match=setting.split('=')[0]):
        resolve([], [setting, 'method=insegan3d'], None)


def test_a_key_of_an_earlier_version_is_refused_with_what_has_become_of_it() -> None:
    with pytest.raises(ConfigError, match=r'threshold_from is gone: .* leave it out'):
        resolve([], ['data.threshold_from=foreground'], None)
