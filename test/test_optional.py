"""Nodes, and inference with the models of the package, need nothing that ROS has no package of."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from insegan_ros.optional import PIP_NAMES, MissingLibraryError, needed_for

# none has a key in rosdistro, or only simulation, training or recordings use it
ABSENT = [
    'coacd',
    'embreex',
    'manifold3d',
    'maxflow',
    'mujoco',
    'ot',
    'psutil',
    'pycocotools',
    'pyrealsense2',
    'rerun',
    'rosbags',
    'safetensors',
    'tensorboard',
    'torchmetrics',
]
BLOCK = f'import sys\nfor name in {ABSENT!r}: sys.modules[name] = None\n'
# a floor and two boxes, 0.5 m below a camera
FRAME = """
import numpy as np
from insegan_ros.types import DepthFrame, Intrinsics
depth = np.full((240, 320), 0.5, np.float32)
depth[80:120, 100:140] = 0.47
depth[120:160, 180:220] = 0.46
frame = DepthFrame(depth, Intrinsics(320, 240, 300.0, 300.0, 159.5, 119.5))
"""


def run(program: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', BLOCK + program], capture_output=True, text=True, check=False
    )


def test_the_shipped_models_and_the_methods_segment_without_them() -> None:
    done = run(
        FRAME
        + """
from insegan_ros import baselines
from insegan_ros.inference import model_card
loaded = {name: model_card.load_segmenter(name) for name in model_card.available()}
for name in ('any', 'bolt'):  # a part's own models are alike
    loaded[name].segment(frame)
for name in set(baselines.METHODS) - {'graph_cut'}:
    assert baselines.make(name, 2).segment(frame).count, name
print(*model_card.available())
"""
    )
    assert done.returncode == 0, done.stderr
    assert 'any' in done.stdout.split()


@pytest.mark.skipif(not importlib.util.find_spec('rclpy'), reason='ROS 2 is not installed')
def test_the_nodes_are_imported_without_them() -> None:
    names = ['segmenter', 'camera', 'bin_simulator', 'collector']
    done = run(
        f'import importlib\nfor n in {names}: importlib.import_module("insegan_ros.nodes."+n)'
    )
    assert done.returncode == 0, done.stderr


def test_the_command_line_runs_without_them() -> None:
    commands = ['segment', 'verify', 'calibrate', 'export-template', 'import']
    done = run(
        f"""
from contextlib import suppress
from insegan_ros import cli
for command in {commands}:
    with suppress(SystemExit):
        cli.main([command, '--help'])
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('usage: insegan') == len(commands)


@pytest.mark.parametrize(
    ('program', 'said'),
    [
        (
            FRAME
            + 'from insegan_ros import baselines\nbaselines.make("graph_cut", 2).segment(frame)',
            'the method graph_cut needs PyMaxflow',
        ),
        ('import insegan_ros.synthetic.shapes', 'pip install manifold3d'),
        ('import insegan_ros.synthetic.bin_world', 'pip install'),
        ('import insegan_ros.evaluation.benchmark', ''),
    ],
)
def test_what_is_absent_is_named_with_the_command_that_brings_it(program: str, said: str) -> None:
    done = run(program)
    assert said in done.stderr
    assert bool(done.returncode) == bool(said), done.stderr


def test_an_import_that_fails_for_another_reason_is_not_renamed() -> None:
    with pytest.raises(ModuleNotFoundError) as caught, needed_for('a test'):
        import insegan_ros.no_such_module  # noqa: F401
    assert not isinstance(caught.value, MissingLibraryError)


def test_a_missing_library_is_bad_input_to_whoever_catches_that() -> None:
    with pytest.raises(ValueError, match='a test needs PyMaxflow') as caught, needed_for('a test'):
        raise ModuleNotFoundError("No module named 'maxflow'", name='maxflow.fastmin')
    assert isinstance(caught.value, MissingLibraryError)
    assert PIP_NAMES['maxflow'] in str(caught.value)
