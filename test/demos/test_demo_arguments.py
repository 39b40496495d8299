from __future__ import annotations

import importlib
import sys

import pytest

pytest.importorskip('rclpy', reason='demos start ROS 2 nodes')


@pytest.mark.parametrize('count', ['0', '-3', '1000'])
def test_a_count_of_parts_that_fills_no_bin_is_refused_at_once(count, monkeypatch, capsys):
    module = importlib.import_module('insegan_ros.demos.pick_demo')
    monkeypatch.setattr(sys, 'argv', ['pick_demo', '--count', count])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert f'--count {count}: 1 to 100' in capsys.readouterr().err


def test_an_output_folder_that_is_a_file_is_said_in_words(tmp_path, monkeypatch, capsys):
    module = importlib.import_module('insegan_ros.demos.pick_demo')
    (tmp_path / 'taken').touch()
    out = ['--out', str(tmp_path / 'taken'), '--count', '1']
    monkeypatch.setattr(sys, 'argv', ['pick_demo', *out])
    assert module.main() == 1
    assert 'taken' in capsys.readouterr().err


def test_a_simulation_that_becomes_unstable_ends_the_pick_demo_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module('insegan_ros.demos.pick_demo')

    def run(args: object) -> None:
        raise module.UnstableError('try another seed')

    monkeypatch.setattr(module, 'run', run)
    monkeypatch.setattr(sys, 'argv', ['pick_demo'])
    assert module.main() == 1
    assert capsys.readouterr().err == 'pick_demo: try another seed\n'


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
