"""What a release states about itself agrees, and its dependencies are of this world."""

from __future__ import annotations

import re
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import setuptools
import yaml

import insegan_ros

PROJECT = Path(__file__).parents[1]
KEYS = runpy.run_path(str(PROJECT / 'tools' / 'rosdep_keys.py'))


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What setup.py tells setuptools."""
    given: dict = {}
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(setuptools, 'setup', lambda **arguments: given.update(arguments))
    runpy.run_path('setup.py')
    return given


def test_versions_and_texts_agree(stated: dict) -> None:
    root = ElementTree.parse(PROJECT / 'package.xml').getroot()
    assert root.findtext('version') == stated['version'] == insegan_ros.__version__
    assert root.findtext('license') == stated['license']
    assert root.find('maintainer').get('email') == stated['maintainer_email']
    assert {url.get('type') for url in root.findall('url')} >= {'website', 'repository'}


def test_every_extra_is_pinned_in_the_requirements(stated: dict) -> None:
    files = [PROJECT.glob('requirements*.txt')]
    lines = '\n'.join(path.read_text() for paths in files for path in paths).lower()
    pinned = set(re.findall(r'^([\w-]+)(?:\[\w+\])?==', lines, re.MULTILINE))
    wanted = {re.split('[<>=]', name)[0].lower() for name in stated['extras_require']['all']}
    assert wanted - pinned == set()


def test_colcon_finds_the_tests_runner(stated: dict) -> None:
    assert 'pytest' in stated['extras_require']['test']


@pytest.fixture
def rosdistro(tmp_path: Path) -> Path:
    """A small one, with every kind of rule that rosdistro has."""
    rules = {
        'python3-everywhere': {'ubuntu': ['python3-e']},
        'python3-some': {'ubuntu': {'jammy': ['python3-s'], 'noble': None}},
        'python3-rest': {'ubuntu': {'*': ['python3-r'], 'jammy': None}},
        'python3-pip-key': {'ubuntu': {'pip': {'packages': ['p']}}},
        'python3-any-pip': {'*': {'pip': {'packages': ['a']}}},
        'python3-of-another': {'debian': ['python3-d']},
    }
    (tmp_path / 'rosdep').mkdir()
    (tmp_path / 'rosdep/python.yaml').write_text(yaml.safe_dump(rules))
    (tmp_path / 'rosdep/base.yaml').write_text('{}')
    for distro in ('humble', 'jazzy'):
        (tmp_path / distro).mkdir()
        repositories = {
            'one_msgs': {'release': {'version': '1.0-1'}},
            'many': {'release': {'version': '1.0-1', 'packages': ['first', 'second']}},
            'unreleased': {'source': {'type': 'git'}},
        }
        text = yaml.safe_dump({'repositories': repositories})
        (tmp_path / distro / 'distribution.yaml').write_text(text)
    return tmp_path


def test_a_key_is_resolved_as_rosdep_does(
    rosdistro: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {
        'one_msgs': (['apt ros-{}-one-msgs'], ['apt ros-{}-one-msgs']),
        'second': (['apt ros-{}-second'], ['apt ros-{}-second']),
        'unreleased': ([], []),
        'python3-everywhere': (['apt python3-e'], ['apt python3-e']),
        'python3-some': (['apt python3-s'], []),
        'python3-rest': ([], ['apt python3-r']),
        'python3-pip-key': (['pip p'], ['pip p']),
        'python3-any-pip': (['pip a'], ['pip a']),
        'python3-of-another': ([], []),
        'no-such-key': ([], []),
    }
    resolve = KEYS['resolve']
    monkeypatch.setitem(resolve.__globals__, 'keys', lambda: list(expected))
    for column, distro in enumerate(('humble', 'jazzy')):
        wanted = {k: [t.format(distro) for t in v[column]] for k, v in expected.items()}
        assert resolve(rosdistro, distro) == wanted


def test_every_import_of_ros_is_a_dependency() -> None:
    keys = set(KEYS['keys']())
    code = '\n'.join(path.read_text() for path in (PROJECT / 'insegan_ros/nodes').glob('*.py'))
    imported = re.findall(
        r'^\s*(?:from|import) (\w+(?:_msgs|_interfaces|_srvs|_py)|rclpy|launch)', code, re.M
    )
    assert {'rclpy', 'sensor_msgs', 'launch'} <= set(imported)
    optional = {'moveit_msgs'}  # the node says what it goes without
    assert set(imported) - keys == optional


@pytest.mark.parametrize('file', sorted((PROJECT / 'docker').glob('*.Dockerfile')))
def test_what_a_dockerfile_names_is_there(file: Path) -> None:
    text = file.read_text()
    assert f'docker build -f docker/{file.name}' in text
    left_out = (PROJECT / '.dockerignore').read_text().splitlines()
    for sources in re.findall(r'^COPY (.+) \S+$', text, re.MULTILINE):
        for source in sources.split():
            assert (PROJECT / source).exists()
            assert source not in left_out
    makefile = (PROJECT / 'Makefile').read_text().replace('$(VENV)', '.venv')
    for target in re.findall(r'(?:RUN make |"make", ")([\w./-]+)', text):
        assert re.search(rf'^{re.escape(target)}:', makefile, re.MULTILINE)
    for launched in re.findall(r'(\w+\.launch\.py)', text):
        assert (PROJECT / 'launch' / launched).is_file()
