"""The package's layers: what each may import, and that only nodes and demos need ROS."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'insegan_ros'
CORE = {
    'types',
    'config',
    'camera',
    'floor',
    'bin_finding',
    'bin_tracker',
    'parts_bin',
    'crop',
    'files',
    'deadline',
    'answer_time',
    'device',
    'depth_camera',
    'optional',
    'tensors',
    'seeds',
    'shipped',
    'view_limits',
    'trust',
    'bin_segmenter',
}
DATA = CORE | {'data', 'drawing'}
# part -> what it may import besides itself
ALLOWED = {
    'types': CORE,
    'config': CORE,
    'camera': CORE,
    'floor': CORE,
    'bin_finding': CORE,
    'bin_tracker': CORE,
    'parts_bin': CORE,
    'crop': CORE,
    'files': CORE,
    'device': CORE,
    'deadline': CORE,
    'answer_time': CORE,
    'depth_camera': CORE,
    'drawing': CORE,
    'optional': CORE,
    'tensors': CORE,
    'seeds': CORE,
    'shipped': CORE,
    'view_limits': CORE,
    'bin_segmenter': CORE,
    'data': DATA,
    'synthetic': CORE
    | {'data.cad', 'data.depth_messages', 'data.store', 'data.writer', 'collection.trajectory'}
    | {'picks.gripper'},
    'model': CORE,
    'discovery': DATA | {'model.template'},
    'distillation': DATA
    | {
        'synthetic',
        'model.template',
        'training.loop',
        'training.checkpoint',
        'training.ema',
        'evaluation.metrics',
    },
    'training': DATA | {'model'},
    'inference': CORE
    | {'model', 'distillation.network', 'distillation.clusters', 'training.checkpoint'},
    'baselines': DATA | {'training'},
    'evaluation.metrics': {'types'},
    'evaluation.benchmark': DATA
    | {'inference', 'baselines', 'evaluation.figures', 'evaluation.metrics'},
    'evaluation.picking': CORE | {'picks', 'synthetic'},
    'evaluation.pictures': DATA | {'evaluation.benchmark', 'evaluation.figures'},
    'evaluation.pose_benchmark': DATA | {'evaluation', 'inference', 'synthetic.parts'},
    'evaluation.pose_ap': CORE,
    'evaluation.pose_error': {'camera', 'types', 'data.store', 'evaluation.metrics'},
    'evaluation.pose_space': {'data.store'},
    'evaluation.template_frame': DATA | {'evaluation'},
    'evaluation.selection': DATA | {'baselines', 'evaluation'},
    'evaluation.figures': {'types', 'evaluation.metrics'},
    'evaluation.report': {'evaluation.figures'},
    'evaluation.judging': CORE | {'evaluation'},
    'collection': CORE | {'data.store', 'data.writer'},
    'picks': CORE,
    'nodes': DATA | {'inference', 'baselines', 'picks', 'synthetic', 'collection'},
    'learn': DATA
    | {
        'synthetic',
        'model',
        'discovery',
        'distillation',
        'training',
        'inference',
        'baselines.learned',
        'evaluation.metrics',
        'evaluation.unlabelled',
    },
    'demos': DATA
    | {
        'nodes',
        'evaluation.picking',
        'picks',
        'evaluation.metrics',
        'synthetic',
        'learn',
        'inference',
        'cli',
    },
}
NO_TORCH = (CORE - {'device'}) | {'synthetic', 'evaluation.metrics', 'picks'}
MODULES = sorted(
    '.'.join(path.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__')
    for path in PACKAGE.rglob('*.py')
)


def imported_by(module: str) -> set[str]:
    path = PACKAGE / Path(*module.split('.'))
    file = path / '__init__.py' if path.is_dir() else path.with_suffix('.py')
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{module}: relative import'
            names.add(node.module or '')
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
    return names


@pytest.mark.parametrize('module', [m for m in MODULES if m.split('.')[0] == 'commands'])
def test_commands_call_neither_nodes_nor_demos(module: str) -> None:
    ours = {module_of(n).split('.')[0] for n in imported_by(module) if n.startswith('insegan_ros')}
    assert not ours & {'nodes', 'demos'}


def part_of(module: str) -> str:
    return next((p for p in (module, module.split('.')[0]) if p in ALLOWED), '')


def module_of(name: str) -> str:
    """The longest module that a dotted name inside the package leads to."""
    parts = name.split('.')[1:]
    while parts and '.'.join(parts) not in MODULES:
        parts.pop()
    return '.'.join(parts)


def is_within(module: str, allowed: set[str]) -> bool:
    """`module` is allowed, lies in an allowed package, or is the package around an allowed one."""
    return any((module + '.').startswith(a + '.') or a.startswith(module + '.') for a in allowed)


@pytest.mark.parametrize('module', [m for m in MODULES if part_of(m)])
def test_imports_stay_within_the_layer(module: str) -> None:
    allowed = ALLOWED[part_of(module)] | {part_of(module)}
    ours = {module_of(n) for n in imported_by(module) if n.split('.')[0] == 'insegan_ros'} - {''}
    wrong = {name for name in ours if not is_within(name, allowed - {''})}
    assert not wrong, f'{module} imports {sorted(wrong)}; it may import {sorted(allowed)}'


@pytest.mark.parametrize('module', [m for m in MODULES if part_of(m) in NO_TORCH])
def test_geometry_and_simulation_do_without_torch(module: str) -> None:
    assert not any(name.split('.')[0] == 'torch' for name in imported_by(module))


def test_everything_but_the_nodes_imports_without_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):  # the package is imported anew, as if ROS were not there
        root = name.split('.')[0]
        if root == 'insegan_ros':
            monkeypatch.delitem(sys.modules, name)
        elif root == 'rclpy':
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    modules = [m for m in MODULES if m.split('.')[0] not in ('nodes', 'demos')]
    try:
        for module in modules:
            try:
                importlib.import_module(f'insegan_ros.{module}'.rstrip('.'))
            except ImportError as error:
                if not isinstance(error, ValueError):  # an extra that is absent is no ROS
                    raise
        with pytest.raises(ImportError):
            importlib.import_module('insegan_ros.nodes.lifecycle')
    finally:
        for name in [n for n in sys.modules if n.split('.')[0] == 'insegan_ros']:
            del sys.modules[name]
