"""`insegan train --method insegan3d --start MODEL`: the encoder goes on, the generator stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_insegan import NETWORKS

pytest.importorskip('torch.utils.tensorboard.writer', reason='tensorboard is not installed')

from insegan_ros.cli import main
from insegan_ros.data.store import DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.inference import model_card
from insegan_ros.training import checkpoint
from insegan_ros.training.step_config import StepConfig
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(48, 48, 100.0, 100.0, 23.5, 23.5)
TINY = [*NETWORKS, 'step.generator_steps=1']
SHORT = ['step.batch=4', 'loop.validate_every=2']


@pytest.fixture(scope='module')
def bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder, rng = tmp_path_factory.mktemp('bins'), np.random.default_rng(0)
    with DatasetWriter(folder, DatasetInfo('block', CAMERA, 'simulated', 2)) as writer:
        for _ in range(6):
            depth = rng.normal(0.5, 0.0003, (48, 48))
            for _ in range(2):
                x, y = rng.integers(3, 34, 2)
                depth[y : y + 10, x : x + 10] = 0.47
            writer.append(to_units(depth, 0.001))
    return folder


def run(bins: Path, out: Path, *settings: str, iterations: int = 3) -> int:
    line = ['train', '--device', 'cpu', '--dataset', str(bins), '--out', str(out)]
    if not any(s.startswith('method=') for s in settings):
        line += ['--method', 'insegan3d']
    given = [*SHORT, f'loop.iterations={iterations}', *settings]
    return main([*line, *(part for s in given for part in ('--set', s))])


@pytest.fixture(scope='module')
def model(bins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('first')
    assert run(bins, out, *TINY) == 0
    return out / 'model'


def tensors(model: Path, network: str) -> dict[str, torch.Tensor]:
    found = model_card.load_weights(model)
    return {name: value for name, value in found.items() if name.startswith(network)}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_the_encoder_goes_on_and_the_generator_stays(
    bins: Path, model: Path, tmp_path: Path
) -> None:
    assert run(bins, tmp_path, f'start={model}') == 0
    after = checkpoint.load(tmp_path / 'checkpoint.pt')['trainer']['ema']
    before = tensors(model, 'generator')
    assert all(
        torch.equal(after['generator'][name.removeprefix('generator.')], value.float())
        for name, value in before.items()
    )
    assert not all(
        torch.equal(after['encoder'][name.removeprefix('encoder.')], value.float())
        for name, value in tensors(model, 'encoder').items()
    )
    card, first = (model_card.read_card(folder) for folder in (tmp_path / 'model', model))
    assert card['settings']['model'] == first['settings']['model']
    assert card['settings']['crop'] == first['settings']['crop']
    assert card['began_with'] == first['training']
    mine = card['training']['iterations'] * card['training']['batch']
    assert card['training']['images_seen'] == mine + first['training']['images_seen']


def test_what_it_begins_with_is_kept_where_nothing_better_comes(
    bins: Path, model: Path, tmp_path: Path
) -> None:
    still = 'step.encoder_learning_rate=1e-30'
    assert run(bins, tmp_path, f'start={model}', still, iterations=2) == 0
    assert model_card.read_card(tmp_path / 'model')['training']['iterations'] == 0
    assert same(tensors(tmp_path / 'model', 'encoder'), tensors(model, 'encoder'))


def test_in_pieces_it_learns_the_same_bit_for_bit(bins: Path, model: Path, tmp_path: Path) -> None:
    given = (f'start={model}', 'step.settle_steps=3', 'step.joint_after=1')
    assert run(bins, tmp_path / 'whole', *given) == 0
    for _ in range(3):
        assert run(bins, tmp_path / 'pieces', *given, 'max_minutes=1e-9') == 0
    states = [
        checkpoint.load(tmp_path / name / 'checkpoint.pt')['trainer']['model']
        for name in ('whole', 'pieces')
    ]
    assert same(*states)


@pytest.mark.parametrize(
    ('settings', 'reason'),
    [
        (['method=insegan2d'], "is a model of method 'insegan3d'"),
        (['step.generator_steps=0'], 'the encoder learns first'),
        (['model.z_dim=9'], 'model differs from that of'),
    ],
)
def test_what_cannot_go_on_is_refused(
    bins: Path,
    model: Path,
    tmp_path: Path,
    settings: list[str],
    reason: str,
    capsys: pytest.CaptureFixture,
) -> None:
    assert run(bins, tmp_path / 'out', f'start={model}', *settings) != 0
    assert reason in capsys.readouterr().err
    assert not (tmp_path / 'out/checkpoint.pt').exists()


def test_weights_that_do_not_fit_their_card_are_refused(
    bins: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    card = model_card.read_card(model)
    card['settings']['model']['z_dim'] = 7
    model_card.save_model(tmp_path / 'model', card, model_card.load_weights(model))
    assert run(bins, tmp_path / 'out', f'start={tmp_path / "model"}') != 0
    assert 'does not fit its card' in capsys.readouterr().err


def test_the_rate_falls_to_nothing_over_the_steps_told() -> None:
    config = StepConfig(encoder_learning_rate=1e-3, settle_steps=100)
    rates = [config.encoder_rate(step) for step in (0, 50, 100, 500)]
    assert rates == pytest.approx([1e-3, 5e-4, 0, 0])
    assert StepConfig(encoder_learning_rate=1e-3).encoder_rate(9999) == 1e-3
