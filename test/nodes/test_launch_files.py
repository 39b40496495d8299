"""Which nodes the launch files start, with which parameters; an arm moves only when told so."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import launch_stand_in
import pytest

from insegan_ros.nodes.arguments import Argument, ArgumentError

LAUNCH = Path(__file__).parents[2] / 'launch'
TRUE = ['true', 'True', 'TRUE', '1', 'yes', 'Yes', 'YES', 'y', 'on', 'On', 'ON', ' true ']
FALSE = ['false', 'False', 'FALSE', '0', 'no', 'No', 'NO', 'n', 'off', 'Off', 'OFF']
NEITHER = ['', ' ', 'tru', 'flase', 'fales', '2', '-1', '0.0', 'none', 'null', '~', 'dry', '[]']


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, dict]]]:
    """started('collect', part='nut') are the nodes by executable, each with its parameters."""
    if importlib.util.find_spec('launch_ros') is None:
        launch_stand_in.install(monkeypatch)
    ament = pytest.importorskip('ament_index_python.packages', reason='ROS 2 is not installed')
    monkeypatch.setattr(ament, 'get_package_share_path', lambda _: LAUNCH.parent)
    import launch_ros.actions
    from launch.launch_context import LaunchContext

    nodes: list[dict] = []
    monkeypatch.setattr(launch_ros.actions, 'Node', lambda **given: nodes.append(given))

    def start(name: str, **texts: str) -> dict[str, dict]:
        nodes.clear()
        file = runpy.run_path(str(LAUNCH / f'{name}.launch.py'))
        context = LaunchContext()
        context.launch_configurations.update(texts)
        for entity in file['generate_launch_description']().entities:
            entity.execute(context)
        found = {}
        for node in nodes:
            merged: dict = {}
            for given in node['parameters']:
                merged |= given if isinstance(given, dict) else {'file': given}
            found[node['executable']] = merged
        return found

    yield start
    sys.modules.pop('insegan_ros.nodes.launching', None)  # it has imported the stand-ins


@pytest.mark.parametrize('text', TRUE)
def test_every_spelling_of_true_is_a_dry_run(started: Callable, text: str) -> None:
    assert started('collect', dry_run=text)['collector']['dry_run'] is True


@pytest.mark.parametrize('text', FALSE)
def test_only_a_clear_false_lets_the_arm_move(started: Callable, text: str) -> None:
    assert started('collect', dry_run=text)['collector']['dry_run'] is False


@pytest.mark.parametrize('argument', ['dry_run', 'start', 'use_sim_time'])
@pytest.mark.parametrize('text', NEITHER)
def test_what_is_no_boolean_starts_nothing(started: Callable, argument: str, text: str) -> None:
    with pytest.raises(ArgumentError, match=f'{argument} is .*valid: true or false'):
        started('collect', **{argument: text})


def test_without_a_word_it_is_a_dry_run_that_waits_for_a_person(started: Callable) -> None:
    collector = started('collect')['collector']
    assert (collector['dry_run'], collector['start']) == (True, False)


@pytest.mark.parametrize('name', ['collect', 'segment'])
@pytest.mark.parametrize(('text', 'value'), [('True', True), ('1', True), ('FALSE', False)])
def test_every_node_takes_the_clock_that_is_asked_for(
    started: Callable, name: str, text: str, value: bool
) -> None:
    nodes = started(name, use_sim_time=text, camera='simulated')
    assert len(nodes) == 2
    assert all(node['use_sim_time'] is value for node in nodes.values())


def test_a_number_that_is_none_starts_nothing(started: Callable) -> None:
    with pytest.raises(ArgumentError, match='valid: a whole number'):
        started('collect', count='many')


@pytest.mark.parametrize('text', ['nan', 'inf', 'x', '1,5'])
def test_a_real_number_is_finite(text: str) -> None:
    with pytest.raises(ArgumentError, match='a number'):
        Argument('seconds', '0.2', '', float).read(text)


def test_an_argument_without_a_default_is_left_alone_unless_it_is_given() -> None:
    argument = Argument('seconds', '', '', float)
    assert (argument.read(' '), argument.read('0.5')) == (None, 0.5)
