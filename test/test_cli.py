"""`insegan` teaches itself and fails with a reason, never with a traceback."""

from __future__ import annotations

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
    assert 'is no dataset: it has no dataset.yaml' in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(['segmnt'])
    assert left.value.code == 2
