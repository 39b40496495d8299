"""`insegan` teaches itself and fails with a reason, never with a traceback."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from insegan_ros import cli


@pytest.mark.parametrize('command', cli.COMMANDS)
def test_every_command_explains_itself_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([command, '--help'])
    assert left.value.code == 0
    assert f'insegan {command} ' in capsys.readouterr().out.split('options:')[0]


def test_a_folder_that_is_no_dataset_is_an_error(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(['verify', str(tmp_path)]) == 1
    assert 'is no dataset and holds no depth image' in capsys.readouterr().err


@pytest.mark.parametrize('given', [['--out', ''], ['--out=']])
def test_an_empty_value_is_not_the_current_folder(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(['generate', '--part', 'nut', '--count', '1', *given]) == 1
    assert 'the value after --out' in capsys.readouterr().err


def test_a_current_folder_that_was_deleted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'gone').mkdir()
    monkeypatch.chdir(tmp_path / 'gone')
    (tmp_path / 'gone').rmdir()
    assert cli.main(['verify', str(tmp_path)]) == 1
    assert 'insegan verify: the current folder no longer exists' in capsys.readouterr().err
    assert cli.main([]) == 1
    assert 'insegan: the current folder no longer exists' in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(['segmnt'])
    assert left.value.code == 2


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (ValueError('a bad value'), 'insegan verify: a bad value\n'),
        (OSError(28, 'No space left on device', '/x'), 'No space left'),
        (
            type('AcceleratorError', (RuntimeError,), {})(
                'CUDA error: illegal access\nSearch for'
            ),
            'the GPU failed: CUDA error: illegal access. What',
        ),
        (type('OutOfMemoryError', (RuntimeError,), {})(), 'the GPU failed: OutOfMemoryError. '),
        (KeyError('depth'), 'a defect of insegan or of a library: KeyError'),
        (RecursionError('too deep'), 'RecursionError: too deep'),
        (MemoryError(), 'not enough memory'),
        (ModuleNotFoundError("No module named 'x'", name='x'), 'pip install x'),
    ],
)
def test_no_error_reaches_a_user_as_a_traceback(
    error: Exception,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr('insegan_ros.commands.verify.run', fail)
    assert cli.main(['verify', 'x']) == 1
    told = capsys.readouterr().err
    assert said in told
    assert 'Traceback' not in told
    monkeypatch.setenv(cli.DEBUG, '1')
    cli.main(['verify', 'x'])
    assert 'Traceback' in capsys.readouterr().err


@pytest.mark.parametrize('seed', ['-1', '4294967296'])
@pytest.mark.parametrize(
    'call',
    [
        'calibrate --input x --out y',
        'generate --part nut --count 1 --out x',
        'segment --input x --out y --model any',
        'train --dataset x --out y',
    ],
)
def test_a_seed_that_some_library_refuses_is_refused_at_once(
    call: str, seed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*call.split(), '--seed', seed])
    assert ended.value.code == 2
    assert f'--seed {seed}: a whole number' in capsys.readouterr().err


def test_a_path_that_the_locale_cannot_say_is_printed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.TextIOWrapper(io.BytesIO(), 'ascii', write_through=True)
    monkeypatch.setattr('sys.stdout', said)
    mesh = tmp_path / 'Käse.stl'
    assert cli.main(['export-template', 'nut', '--mesh', str(mesh)]) == 0
    assert mesh.exists()
    assert b'K\\xe4se' in said.buffer.getvalue()  # type: ignore[attr-defined]


def test_the_help_explains_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(['--help'])
    assert '3    done, but for what was named and left out' in capsys.readouterr().out
