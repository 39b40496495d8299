"""What `colcon build` installs is what `ros2 run` and `ros2 launch` look for, and it runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('colcon_ros', reason='colcon is not installed')

PROJECT = Path(__file__).parents[1]
NODES = ['segmenter', 'camera', 'bin_simulator', 'collector']


def built_nodes() -> list[str]:
    return [name for name in NODES if (PROJECT / f'insegan_ros/nodes/{name}.py').exists()]


@pytest.fixture(scope='module')
def prefix(tmp_path_factory) -> Path:
    """The package's installation."""
    work = tmp_path_factory.mktemp('colcon')
    folders = ['--build-base', work / 'build', '--install-base', work / 'install']
    command = [sys.executable, '-m', 'colcon', '--log-base', work / 'log', 'build']
    command += ['--paths', PROJECT, *folders]
    # beside the real sources stays nothing: setuptools would leave its egg-info there
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=work
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return work / 'install' / 'insegan_ros'


def environment(prefix: Path) -> dict[str, str]:
    """As after sourcing install/setup.bash."""
    (packages,) = (prefix / 'lib').glob('python3*/site-packages')
    paths = [str(packages), *(p for p in os.environ.get('PYTHONPATH', '').split(':') if p)]
    kept = [path for path in paths if Path(path).resolve() != PROJECT]
    kept.append(str(PROJECT / 'embedded'))  # stand-ins for what ROS's wheels lack
    return os.environ | {
        'PYTHONPATH': ':'.join(kept),
        'AMENT_PREFIX_PATH': f'{prefix}:{os.environ.get("AMENT_PREFIX_PATH", "")}'.rstrip(':'),
        'ROS_DOMAIN_ID': str(10 + os.getpid() % 90),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }


def test_the_share_folder_holds_what_the_sources_hold(prefix: Path) -> None:
    share = prefix / 'share' / 'insegan_ros'
    expected = ['package.xml']
    for pattern in ('launch/*.launch.py', 'config/**/*.yaml', 'config/*.xml', 'models/*/*'):
        expected += [str(path.relative_to(PROJECT)) for path in PROJECT.glob(pattern)]
    assert [name for name in expected if not (share / name).is_file()] == []
    assert 'launch/segment.launch.py' in expected
    assert 'config/fastdds.xml' in expected


def test_the_package_is_in_the_ament_index(prefix: Path) -> None:
    marker = prefix / 'share/ament_index/resource_index/packages/insegan_ros'
    assert marker.is_file()


@pytest.mark.parametrize('name', built_nodes())
def test_every_node_is_an_executable_whose_code_is_there(prefix: Path, name: str) -> None:
    script = prefix / 'lib' / 'insegan_ros' / name
    assert os.access(script, os.X_OK)
    (module,) = re.findall(r'insegan_ros\.nodes\.\w+', script.read_text()) or [
        f'insegan_ros.nodes.{name}'
    ]
    (packages,) = (prefix / 'lib').glob('python3*/site-packages')
    assert (packages / Path(*module.split('.'))).with_suffix('.py').is_file()


def test_no_executable_is_without_its_code(prefix: Path) -> None:
    scripts = {path.name for path in (prefix / 'lib' / 'insegan_ros').iterdir()}
    assert scripts == {'insegan', *built_nodes()}


def test_the_installed_command_line_runs(prefix: Path) -> None:
    script = prefix / 'lib' / 'insegan_ros' / 'insegan'
    done = subprocess.run(
        [script, '--version'],
        env=environment(prefix),
        capture_output=True,
        text=True,
        check=False,
        cwd=prefix,
    )
    assert done.stdout.startswith('insegan '), done.stderr


# a model is looked for without a network: torch, of which only names are used then, takes seconds
FIND = """
import sys
from unittest.mock import MagicMock
sys.modules.update({n: MagicMock() for n in ('torch', 'insegan_ros.inference.distilled_card')})
from insegan_ros.inference import model_card as m
print(m.find('any'), len(m.available()))
"""
SHIPPED = len(list((PROJECT / 'models').glob('*/model.yaml')))


def found_models(paths: list[Path], work: Path, prefixes: str = '') -> tuple[Path, int]:
    """Where a Python with these paths finds the model `any`, and how many models there are."""
    done = subprocess.run(
        [sys.executable, '-c', FIND],
        capture_output=True,
        text=True,
        check=False,
        cwd=work,
        env=os.environ | {'PYTHONPATH': ':'.join(map(str, paths)), 'AMENT_PREFIX_PATH': prefixes},
    )
    assert done.returncode == 0, done.stderr
    folder, count = done.stdout.split()
    return Path(folder), int(count)


def test_the_models_are_found_in_a_checkout() -> None:
    from insegan_ros.inference import model_card

    assert model_card.find('any') == PROJECT / 'models' / 'any'
    assert len(model_card.available()) == SHIPPED


def test_the_models_are_found_in_what_colcon_installs(prefix: Path, tmp_path: Path) -> None:
    paths = list((prefix / 'lib').glob('python3*/site-packages'))
    expected = prefix / 'share/insegan_ros/models/any', SHIPPED
    assert found_models(paths, tmp_path) == expected  # with no word of the environment


@pytest.mark.parametrize(
    'place', ['lib/python3.12/site-packages', 'local/lib/python3.10/dist-packages', '']
)
def test_the_models_are_found_however_deep_the_package_lies(tmp_path: Path, place: str) -> None:
    from insegan_ros.shipped import shipped

    package = tmp_path / place / 'insegan_ros'
    assert tmp_path / 'share/insegan_ros/models' in shipped('models', package)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip('pip', reason='pip is not installed')
    work = tmp_path_factory.mktemp('wheel')
    sources = work / 'sources'
    names = ('insegan_ros', 'launch', 'config', 'models', 'resource')
    for name in names:
        shutil.copytree(PROJECT / name, sources / name)
    for name in ('setup.py', 'setup.cfg', 'package.xml', 'README.md'):
        shutil.copy(PROJECT / name, sources)
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation']
    subprocess.run([*command, '-w', str(work), str(sources)], check=True, cwd=work)
    (made,) = work.glob('*.whl')
    return made


def test_the_models_are_found_in_a_wheel(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-index']
    command.append('--ignore-installed')  # beside an editable one of the same version
    subprocess.run([*command, '--prefix', str(tmp_path / 'p'), str(wheel)], check=True)
    paths = list((tmp_path / 'p').glob('lib/python3*/site-packages'))
    expected = tmp_path / 'p/share/insegan_ros/models/any', SHIPPED
    assert found_models(paths, tmp_path) == expected


LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [a.split(':=') for a in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
service.include_launch_description(LaunchDescription([
    IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""


@pytest.fixture
def launch(prefix: Path, tmp_path: Path):
    """launch('segment', 'camera:=none', ...) runs a launch file; ended by an interrupt."""
    pytest.importorskip('launch_ros', reason='launch_ros is not installed (it is on no registry)')
    started = []

    def start(name: str, *arguments: str) -> tuple[subprocess.Popen, Path]:
        file = prefix / 'share' / 'insegan_ros' / 'launch' / f'{name}.launch.py'
        log = tmp_path / 'launch.log'
        with open(log, 'w') as output:
            process = subprocess.Popen(
                [sys.executable, '-c', LAUNCH, str(file), *arguments],
                env=environment(prefix) | {'ROS_LOG_DIR': str(tmp_path)},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
            )
        started.append(process)
        return process, log

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


@pytest.mark.timeout(180)
def test_the_launch_file_brings_up_a_camera_and_a_segmenter_that_talk(
    launch, prefix: Path, monkeypatch
) -> None:
    process, log = launch('segment', 'camera:=simulated', 'namespace:=cell')
    for name in ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE'):
        monkeypatch.setenv(name, environment(prefix)[name])
    profile = prefix / 'share/insegan_ros/config/fastdds.xml'
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', str(profile))
    import rclpy
    from sensor_msgs.msg import Image

    labels: list[Image] = []
    rclpy.init()
    node = rclpy.create_node('launch_test')
    node.create_subscription(Image, '/cell/segmenter/label_image', labels.append, 1)
    deadline = time.monotonic() + 100
    while len(labels) < 3 and time.monotonic() < deadline and process.poll() is None:
        rclpy.spin_once(node, timeout_sec=0.2)
    node.destroy_node()
    rclpy.try_shutdown()
    assert len(labels) >= 3, log.read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert 'Traceback' not in log.read_text()


def test_the_simulated_cell_of_the_launch_file_collects(
    launch, prefix: Path, tmp_path: Path
) -> None:
    folder, patient = tmp_path / 'nuts', tmp_path / 'patient.yaml'
    shipped = (prefix / 'share/insegan_ros/config/collector.yaml').read_text()
    # on a busy machine joint_states come late, and then the arm rightly stops
    slower = '    timing: {joints_timeout: 5.0}'
    patient.write_text(shipped.replace('ros__parameters:', f'ros__parameters:\n{slower}'))
    given = {'dataset': folder, 'part': 'nut', 'count': 2, 'camera': 'simulated'}
    given['params_file'] = patient
    given |= {'arm': 'simulated', 'dry_run': 'false', 'start': 'true'}
    process, log = launch('collect', *(f'{name}:={value}' for name, value in given.items()))
    lines, deadline = folder / 'frames.jsonl', time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
        if lines.exists() and len(lines.read_text().splitlines()) == 2:
            break
    else:
        pytest.fail(log.read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert 'Traceback' not in log.read_text()


@pytest.mark.parametrize('name', ['segment', 'collect'])
def test_a_launch_file_refuses_an_unknown_camera(launch, name: str) -> None:
    process, log = launch(name, 'camera:=banana')
    assert process.wait(timeout=60) != 0
    assert 'simulated' in log.read_text()
