"""Large images need a transport profile; launch files and demos set one for their nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from insegan_ros.nodes.environment import node_environment

PROFILE = Path('/share/fastdds.xml')
NEW, OLD = 'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (NEW, OLD, 'OMP_WAIT_POLICY', 'ROS_DISTRO'):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ('distro', 'names'),
    [('humble', {NEW, OLD}), ('jazzy', {NEW, OLD}), ('kilted', {NEW}), ('', {NEW})],
)
def test_the_profile_has_the_name_that_the_release_reads(clean, distro: str, names: set) -> None:
    clean.setenv('ROS_DISTRO', distro)
    variables = node_environment(PROFILE)
    assert {name for name, value in variables.items() if value == str(PROFILE)} == names
    assert variables['OMP_WAIT_POLICY'] == 'PASSIVE'


def test_what_the_user_has_set_stays(clean) -> None:
    clean.setenv(NEW, '/my/profile.xml')
    clean.setenv('OMP_WAIT_POLICY', 'ACTIVE')
    assert node_environment(PROFILE) == {}
