"""Which nodes the launch files start, with which parameters; an arm moves only when told so."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import launch_stand_in
import pytest

from insegan_ros import optional
from insegan_ros.nodes.arguments import Argument, ArgumentError
from insegan_ros.nodes.cameras import PRESETS

LAUNCH = Path(__file__).parents[2] / 'launch'
DRIVERS = sorted(name for name, preset in PRESETS.items() if preset.executable is None)
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
            found[node['executable']]['topics'] = dict(node['remappings'])
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
    nodes = started(name, use_sim_time=text, camera='realsense')
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


@pytest.mark.parametrize('camera', sorted(PRESETS))
def test_a_camera_s_name_sets_its_topics_and_starts_what_it_needs(
    started: Callable, camera: str
) -> None:
    if camera == 'simulated':
        for module in optional.SIMULATION:
            pytest.importorskip(module, reason=f'{module} is not installed: rosdep has no key')
    nodes, preset = started('segment', camera=camera, path='bag'), PRESETS[camera]
    assert set(nodes) == {'segmenter', preset.executable} - {None}
    for node in nodes.values():
        assert node['topics']['depth/image'] == preset.depth_topic
        assert node['topics']['depth/camera_info'] == preset.camera_info_topic
    assert nodes['segmenter'].get('depth_unit', 0.0) == preset.depth_unit


@pytest.mark.parametrize('name', ['segment', 'collect'])
def test_a_topic_or_unit_that_is_given_goes_before_the_camera_s(
    started: Callable, name: str
) -> None:
    given = {'depth_topic': '/my/depth', 'camera_info_topic': '/my/info', 'depth_unit': '1e-4'}
    node = next(iter(started(name, camera='orbbec', **given).values()))
    assert node['topics']['depth/image'] == '/my/depth'
    assert node['topics']['depth/camera_info'] == '/my/info'
    assert node['depth_unit'] == 1e-4


@pytest.mark.parametrize(('text', 'count'), [('8', 8), ('0', None), ('', None)])
def test_a_simulated_bin_holds_as_many_parts_as_are_said_to_be_in_it(
    started: Callable, text: str, count: int | None
) -> None:
    for module in optional.SIMULATION:
        pytest.importorskip(module, reason=f'{module} is not installed: rosdep has no key')
    nodes = started('segment', camera='simulated', instances=text)
    assert nodes['bin_simulator'].get('instances') == count


def test_photoneo_s_float_millimetres_are_not_taken_for_metres(started: Callable) -> None:
    assert started('segment', camera='photoneo')['segmenter']['depth_unit'] == 0.001


def test_a_collector_is_not_offered_a_camera_that_waits_to_be_asked(started: Callable) -> None:
    for camera in DRIVERS:
        if PRESETS[camera].trigger:
            with pytest.raises(Exception, match='camera'):
                started('collect', camera=camera)
        else:
            assert set(started('collect', camera=camera)) == {'collector'}


def test_a_replay_without_a_path_starts_nothing(started: Callable) -> None:
    with pytest.raises(ValueError, match='camera:=replay needs path:='):
        started('segment', camera='replay')


def test_what_is_given_to_the_segmenter_arrives_with_its_type(started: Callable) -> None:
    given = {'model': 'nut', 'instances': '7', 'bin_file': 'bin.yaml', 'pose_seconds': '1'}
    given |= {'reliable': 'yes', 'continuous': 'off', 'device': 'cpu'}
    segmenter = started('segment', camera='none', **given)['segmenter']
    expected = {'model': 'nut', 'instances': 7, 'bin_file': 'bin.yaml', 'pose_seconds': 1.0}
    expected |= {'reliable': True, 'continuous': False, 'device': 'cpu'}
    assert expected.items() <= segmenter.items()
    assert isinstance(segmenter['pose_seconds'], float)


def test_what_is_not_given_is_left_to_the_file_of_parameters(started: Callable) -> None:
    segmenter = started('segment', camera='none')['segmenter']
    assert segmenter.keys() == {'file', 'use_sim_time', 'topics'}
    assert Path(segmenter['file']).is_file()


def test_every_argument_of_the_segmenter_is_one_of_its_parameters(started: Callable) -> None:
    segmenter = pytest.importorskip('insegan_ros.nodes.segmenter', exc_type=ImportError)
    chosen = runpy.run_path(str(LAUNCH / 'segment.launch.py'))['CHOSEN']
    kinds = {p.name: type(p.default) for p in segmenter.PARAMETERS}
    assert {a.name: a.kind for a in chosen}.items() <= kinds.items()


@pytest.mark.parametrize(
    ('name', 'given'),
    [('segment', {'camera': 'simulated'}), ('collect', {'arm': 'simulated'})],
)
def test_a_simulated_camera_without_its_libraries_starts_nothing(
    started: Callable, monkeypatch: pytest.MonkeyPatch, name: str, given: dict
) -> None:
    found = importlib.util.find_spec

    def absent(module: str, *rest: str) -> object:
        return None if module in ('embreex', 'manifold3d') else found(module, *rest)

    monkeypatch.setattr(optional.importlib.util, 'find_spec', absent)
    with pytest.raises(ValueError, match='pip install embreex manifold3d'):
        started(name, **given)
    assert started('segment', camera='none')


def test_the_libraries_of_a_simulated_camera_are_those_of_its_extra() -> None:
    setup = (LAUNCH.parent / 'setup.py').read_text()
    assert f'simulation = {list(optional.SIMULATION)}' in setup
