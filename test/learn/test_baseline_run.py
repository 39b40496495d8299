"""`insegan train --method slot_attention | bo_qsa | iodine | wu`: runs, resumes, refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('torch.utils.tensorboard.writer', reason='tensorboard is not installed')

from insegan_ros.baselines.learned.registry import METHODS
from insegan_ros.cli import main
from insegan_ros.data.store import Dataset, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.evaluation.benchmark import make_segmenter
from insegan_ros.inference import model_card
from insegan_ros.training import checkpoint
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(96, 96, 200.0, 200.0, 47.5, 47.5)
SLOTS = ('image_size=8', 'channels=8', 'width=16', 'hidden=16', 'stride=1')
SMALL = {
    'slot_attention': SLOTS,
    'bo_qsa': SLOTS,
    'iodine': ('image_size=8', 'channels=8', 'latent=4', 'hidden=16', 'refinements=1'),
    'wu': ('image_size=16', 'points=16', 'samples=32'),
}


@pytest.fixture(scope='module')
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('blocks')
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, DatasetInfo('block', CAMERA, 'simulated', 3)) as writer:
        for _ in range(8):
            depth = rng.normal(0.5, 0.0003, (96, 96))
            labels = np.zeros((96, 96), np.uint8)
            for k in range(1, 4):
                x, y = rng.integers(5, 70, 2)
                depth[y : y + 20, x : x + 20], labels[y : y + 20, x : x + 20] = 0.47, k
            writer.append(to_units(depth, 0.001), labels)
    return folder


def command(dataset: Path, out: Path, method: str, *more: str, iterations: int = 4) -> list[str]:
    settings = [f'baseline.model.{size}' for size in SMALL[method]]
    settings += ['baseline.step.batch=4', 'loop.validate_every=2', 'baseline.course.start_steps=4']
    settings += [f'loop.iterations={iterations}', *more]
    line = ['train', '--method', method, '--device', 'cpu', '--dataset', str(dataset)]
    return [*line, '--out', str(out), *(part for s in settings for part in ('--set', s))]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(out / 'checkpoint.pt')['descent']['network']


@pytest.mark.parametrize('method', METHODS)
def test_a_run_ends_in_a_model_that_segments(
    blocks: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(command(blocks, tmp_path, method, 'baseline.course.starts=1')) == 0
    assert 'finished: 4 of 4' in capsys.readouterr().out
    for name in ('picture.png', 'config.yaml', 'run.yaml'):
        assert (tmp_path / name).stat().st_size > 100, name
    card = model_card.read_card(tmp_path / 'model')
    assert card['method'] == method
    assert card['settings']['sizes']['instances'] == 3
    assert card['training']['images_seen'] in (8, 16)
    assert {'validation_loss', 'validation_strict_miou'} <= card['figures'].keys()
    frame = Dataset(blocks)[0].frame
    segmenter = make_segmenter(str(tmp_path / 'model'), None, None)
    found = segmenter.segment(frame, pose_seconds=0.1)  # as every caller may ask
    assert segmenter.part_length_m is None
    assert segmenter.parts_bin is not None
    assert 1 <= found.count <= 3


def test_a_run_in_pieces_equals_an_unbroken_one_bit_for_bit(blocks: Path, tmp_path: Path) -> None:
    """Cut within a start, between two starts, and after the best has been chosen."""
    more = ('baseline.course.starts=2',)
    assert main(command(blocks, tmp_path / 'whole', 'wu', *more, iterations=11)) == 0
    for done in (2, 4, 9, 11):
        assert main(command(blocks, tmp_path / 'pieces', 'wu', *more, iterations=done)) == 0
    whole, pieced = weights(tmp_path / 'whole'), weights(tmp_path / 'pieces')
    assert all(torch.equal(whole[name], pieced[name]) for name in whole)


def test_training_goes_on_with_the_start_of_the_lowest_loss(
    blocks: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(command(blocks, tmp_path, 'wu', 'baseline.course.starts=3', iterations=14)) == 0
    state = checkpoint.load(tmp_path / 'checkpoint.pt')
    assert len(state['losses']) == 3
    assert state['descent']['steps'] == 4 + 2  # of the chosen start, and after it was chosen
    assert f'the one of {min(state["losses"]):.4g} goes on' in capsys.readouterr().out
    card = model_card.read_card(tmp_path / 'model')
    assert card['training']['images_seen_by_all_starts'] == 14 * 4


def test_a_folder_of_another_run_is_refused(blocks: Path, tmp_path: Path) -> None:
    assert main(command(blocks, tmp_path, 'bo_qsa', iterations=1)) == 0
    assert (
        main(command(blocks, tmp_path, 'bo_qsa', 'baseline.step.learning_rate=1', iterations=1))
        != 0
    )


@pytest.mark.parametrize(
    ('setting', 'said'),
    [
        ('baseline.model.chanels=8', 'baseline.model.channels'),
        ('baseline.model.instances=4', 'has 3 parts'),
        ('baseline.course.starts=0', 'course.starts 0'),
        ('baseline.step.batch=0', 'batch 0'),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_words(
    blocks: Path, tmp_path: Path, setting: str, said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(command(blocks, tmp_path, 'slot_attention', setting)) != 0
    assert said in capsys.readouterr().err
