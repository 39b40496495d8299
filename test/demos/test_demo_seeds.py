from __future__ import annotations

import importlib
import sys

import pytest

pytest.importorskip('rclpy', reason='demos start ROS 2 nodes')


@pytest.mark.parametrize('name', ['collect_demo', 'demo', 'learn_demo', 'pick_demo', 'view'])
def test_a_seed_that_some_library_refuses_is_refused_at_once(name, monkeypatch, capsys):
    if name == 'view':
        pytest.importorskip('rerun', reason='the viewer is not installed')
    module = importlib.import_module(f'insegan_ros.demos.{name}')
    monkeypatch.setattr(sys, 'argv', [name, '--seed', '-1'])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert '--seed -1: a whole number' in capsys.readouterr().err
