"""`insegan train` says before it begins what it would do, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from insegan_ros.cli import main


def test_a_dry_run_says_all_settings_and_times_and_leaves_no_trace(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / 'run'
    command = ['train', '--dataset', str(frames), '--out', str(out), '--dry-run']
    assert main([*command, '--max-minutes', '20', '--set', 'discovery.crops=99']) == 0
    said = capsys.readouterr().out
    settings, _, plan = said.partition('\n\n')
    assert yaml.safe_load(settings)['discovery']['crops'] == 99
    assert 'discovery    up to 7.0 min' in plan
    assert 'network      up to 9.0 min' in plan
    (tmp_path / 'said.yaml').write_text(settings)
    assert main([*command, '--config', str(tmp_path / 'said.yaml')]) == 0
    assert capsys.readouterr().out == said
    assert not out.exists()


@pytest.mark.parametrize('method', ['distilled', 'insegan3d'])
@pytest.mark.skipif(torch.cuda.device_count() > 8, reason='it has as many GPUs')
def test_a_gpu_that_is_not_there_is_an_error_for_every_method(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture, method: str
) -> None:
    given = ['--dataset', str(frames), '--out', str(tmp_path / 'run'), '--method', method]
    if method == 'insegan3d':
        given += ['--set', 'model.instances=3']
    assert main(['train', *given, '--device', 'cuda:8']) == 1
    assert "device 'cuda:8'" in capsys.readouterr().err


def test_an_empty_dataset_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(['train', '--dataset', str(tmp_path), '--out', str(tmp_path / 'run')]) == 1
    assert 'no dataset' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('method', 'option'),
    [
        ('distilled', ('--set', 'step.batch=8')),
        ('insegan3d', ('--part-length', '.05')),
    ],
)
def test_options_of_another_method_are_refused(
    frames: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    method: str,
    option: tuple[str, str],
) -> None:
    given = ['--dataset', str(frames), '--out', str(tmp_path / 'run'), '--method', method]
    assert main(['train', *given, *option]) == 1
    assert f'is not for the method {method}' in capsys.readouterr().err


def test_a_model_of_another_method_is_not_begun_with(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    given = ['--dataset', str(frames), '--out', str(tmp_path / 'run'), '--dry-run']
    assert main(['train', *given, '--start', 'insegan_nut']) == 1
    assert "of method 'insegan3d'; to begin with, one of" in capsys.readouterr().err
    assert main(['pretrain', '--out', str(tmp_path / 'any'), '--start', 'insegan_nut']) == 1
    assert "of method 'insegan3d'; to begin with, one of" in capsys.readouterr().err
