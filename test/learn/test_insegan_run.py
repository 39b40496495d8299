"""`insegan train --method insegan3d | insegan2d`: runs, resumes, refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from small_insegan import NETWORKS

from insegan_ros.cli import main
from insegan_ros.data.store import Dataset, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.inference import model_card
from insegan_ros.training import checkpoint
from insegan_ros.training.health import Health
from insegan_ros.training.step import Trainer
from insegan_ros.types import Intrinsics

pytest.importorskip('torch.utils.tensorboard.writer', reason='tensorboard is not installed')

from insegan_ros.learn import insegan, insegan_run

CAMERA = Intrinsics(96, 96, 200.0, 200.0, 47.5, 47.5)
SMALL = [
    *NETWORKS,
    'step.batch=4',
    'step.generator_steps=2',
    'step.real_after=1',
    'refine_steps=2',
    'loop.validate_every=2',
]


def make_dataset(folder: Path, count: int, instances: int | None = 3) -> Path:
    rng = np.random.default_rng(0)
    info = DatasetInfo('block', CAMERA, 'simulated', instances)
    with DatasetWriter(folder, info) as writer:
        for _ in range(count):
            depth = rng.normal(0.5, 0.0003, (96, 96))
            labels = np.zeros((96, 96), np.uint8)
            for k in range(1, 4):
                x, y = rng.integers(5, 70, 2)
                depth[y : y + 20, x : x + 20] = 0.47
                labels[y : y + 20, x : x + 20] = k
            writer.append(to_units(depth, 0.001), labels)
    return folder


@pytest.fixture(scope='module')
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_dataset(tmp_path_factory.mktemp('blocks'), 12)


@pytest.fixture(autouse=True, scope='module')
def crop_measured_once() -> Iterator[None]:
    """Finding the bin in the same frames would be most of a short run's time."""
    measured: dict[str, object] = {}
    measure = insegan.measure_crop

    def remembered(dataset: Dataset, *given: object, **options: object) -> object:
        key = repr((dataset.path, given, options))
        if key not in measured:
            measured[key] = measure(dataset, *given, **options)
        return measured[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(insegan, 'measure_crop', remembered)
        yield


def command(dataset: Path, out: Path, *more: str, iterations: int = 4) -> list[str]:
    settings = [*SMALL, f'loop.iterations={iterations}', *more]
    line = ['train', '--method', 'insegan3d', '--device', 'cpu', '--dataset', str(dataset)]
    return [*line, '--out', str(out), *(part for s in settings for part in ('--set', s))]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(out / 'checkpoint.pt')['trainer']['model']


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize('method', ['insegan3d', 'insegan2d'])
def test_a_run_ends_in_a_model_that_segments(
    blocks: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture
) -> None:
    line = command(blocks, tmp_path)
    line[2] = method
    assert main(line) == 0
    said = capsys.readouterr().out
    assert 'finished: 4 of 4' in said
    assert 'separated' in said
    for name in ('picture.png', 'config.yaml', 'run.yaml', 'train.npz', 'val.npz'):
        assert (tmp_path / name).stat().st_size > 100, name
    assert list((tmp_path / 'tensorboard').iterdir())
    card = model_card.read_card(tmp_path / 'model')
    assert card['method'] == method
    assert card['labels_used'].startswith('none')
    assert card['training']['images_seen'] in (8, 16)
    assert {'validation_rerendering_mm', 'validation_strict_miou'} <= card['figures'].keys()
    frame = Dataset(blocks)[0].frame
    found = model_card.load_segmenter(str(tmp_path / 'model')).segment(frame)
    assert found.labels.shape == (96, 96)
    described = yaml.safe_load((tmp_path / 'run.yaml').read_text())
    assert described['dataset_hash'] == Dataset(blocks).content_hash()
    assert described['seed'] == 0


def test_a_run_in_pieces_equals_an_unbroken_one_bit_for_bit(blocks: Path, tmp_path: Path) -> None:
    assert main(command(blocks, tmp_path / 'whole', iterations=3)) == 0
    pieces = command(blocks, tmp_path / 'pieces', iterations=3)
    for _ in range(2):  # out of time after every iteration
        assert main([*pieces, '--max-minutes', '1e-9']) == 0
    assert checkpoint.load(tmp_path / 'pieces/checkpoint.pt')['trainer']['steps'] == 2
    assert main(pieces) == 0
    assert same(weights(tmp_path / 'whole'), weights(tmp_path / 'pieces'))
    cards = [model_card.read_card(tmp_path / run / 'model') for run in ('whole', 'pieces')]
    assert cards[0]['figures'] == cards[1]['figures']


def test_a_run_that_is_killed_goes_on_to_the_same_result(blocks: Path, tmp_path: Path) -> None:
    often = ('loop.checkpoint_minutes=1e-4', 'loop.validate_every=100')
    assert main(command(blocks, tmp_path / 'whole', *often, iterations=12)) == 0
    line = command(blocks, tmp_path / 'killed', *often, iterations=12)
    process = subprocess.Popen(
        [sys.executable, '-m', 'insegan_ros.cli', *line],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stored = tmp_path / 'killed/checkpoint.pt'
    deadline = time.monotonic() + 300
    while not stored.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, 'it was not killed in the middle'
    assert 0 < checkpoint.load(stored)['trainer']['steps'] < 12
    assert main(line) == 0
    assert same(weights(tmp_path / 'whole'), weights(tmp_path / 'killed'))


# a thread of a group that is alive when the interpreter ends can abort the process
LEARNING = """
import pathlib, sys
from insegan_ros.cli import main
code = main(sys.argv[1:])
tasks = pathlib.Path('/proc/self/task').glob('*/comm')  # none are there but on Linux
left = [name for task in tasks if 'gloo' in (name := task.read_text().strip())]
sys.exit(code or ', '.join(left) or 0)
"""


def test_two_processes_learn_what_one_does_and_leave_nothing_of_their_group(
    blocks: Path, tmp_path: Path
) -> None:
    # what is drawn at random within a step is each process's own
    alike = ('precision=float32', 'step.noise=0', 'step.generator_steps=9')
    one, two = (command(blocks, tmp_path / name, *alike, iterations=2) for name in 'ab')
    assert main(one) == 0
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2']
    script = tmp_path / 'learning.py'
    script.write_text(LEARNING)
    done = subprocess.run(
        [*launch, '--standalone', str(script), *two],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    a, b = weights(tmp_path / 'a'), weights(tmp_path / 'b')
    # instance norm has no part in this: only the order of sums differs
    assert max((a[key] - b[key]).abs().max().item() for key in a) < 1e-3


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(
    blocks: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture
) -> None:
    assert main([*command(blocks, tmp_path), '--max-minutes', '1e-9']) == 0
    before = weights(tmp_path)
    step = Trainer.step
    monkeypatch.setattr(Trainer, 'step', lambda self, real, z: step(self, real * torch.nan, z))
    assert main(command(blocks, tmp_path, iterations=9)) == 1  # it goes back three times
    said = capsys.readouterr().err
    assert 'not finite' in said
    assert 'learning_rate' in said
    assert same(before, weights(tmp_path))


def test_another_run_in_the_same_folder_is_refused(
    blocks: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([*command(blocks, tmp_path), '--max-minutes', '1e-9']) == 0
    assert main(command(blocks, tmp_path, 'step.learning_rate=0.1')) == 1
    assert 'step.learning_rate was 0.0004, is 0.1' in capsys.readouterr().err
    assert main([*command(blocks, tmp_path), '--seed', '3']) == 1
    assert 'seed was 0, is 3' in capsys.readouterr().err
    assert main(command(blocks, tmp_path, iterations=6)) == 0  # longer is the same run


def test_damaged_checkpoints_are_told_and_kept(
    blocks: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([*command(blocks, tmp_path), '--max-minutes', '1e-9']) == 0
    stored = tmp_path / 'checkpoint.pt'
    stored.write_bytes(stored.read_bytes()[:999])
    assert main(command(blocks, tmp_path)) == 1
    assert 'delete it to begin this run anew' in capsys.readouterr().err
    assert stored.stat().st_size == 999


def test_settings_and_datasets_that_do_not_fit_are_refused(
    blocks: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def error(dataset: Path, *more: str) -> str:
        assert main(command(dataset, tmp_path / 'out', *more)) == 1
        return capsys.readouterr().err

    assert 'did you mean model.z_dim' in error(blocks, 'model.zdim=3')
    assert "valid: 'ot', 'hungarian'" in error(blocks, 'step.losses.matching=best')
    assert 'has 3 parts in a frame and model.instances is 5' in error(blocks, 'model.instances=5')
    mixed = make_dataset(tmp_path / 'mixed', 4, None)
    assert 'model.instances=5' in error(mixed)
    (tmp_path / 'empty').mkdir()
    assert 'no dataset' in error(tmp_path / 'empty')
    none = make_dataset(tmp_path / 'none', 0)
    assert 'has no frames' in error(none)
    broken = shutil.copytree(blocks, tmp_path / 'broken')
    (broken / 'depth/000003.png').write_bytes(b'half a PNG')
    assert '000003.png is damaged' in error(broken)
    shutil.copytree(blocks, tmp_path / 'small')
    assert not (tmp_path / 'out/checkpoint.pt').exists()


def test_another_number_of_instances_can_be_asked_for(blocks: Path, tmp_path: Path) -> None:
    more = ('model.instances=2', 'data.allow_other_count=true', 'step.generator_steps=0')
    assert main(command(blocks, tmp_path, *more, iterations=1)) == 0
    settings = model_card.read_card(tmp_path / 'model')['settings']
    assert settings['model']['instances'] == 2


def test_a_model_of_two_templates_tells_two_classes(blocks: Path, tmp_path: Path) -> None:
    more = ('model.templates=2', 'step.generator_steps=1', 'step.real_after=0')
    assert main(command(blocks, tmp_path, *more, iterations=2)) == 0
    segmenter = model_card.load_segmenter(str(tmp_path / 'model'))
    kinds = segmenter.segment(Dataset(blocks)[0].frame).kinds
    assert kinds is not None
    assert set(kinds.tolist()) <= {1, 2}


def test_a_run_that_draws_whole_scenes_begins_anew_and_says_so(
    blocks: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(Health, 'whole_scenes', True)
    more = ('rescue.examine_at=1', 'rescue.restarts=2', 'step.generator_steps=9')
    assert main(command(blocks, tmp_path, *more)) == 0
    said = capsys.readouterr()
    told = said.out + said.err
    assert 'begins anew with seed 1000' in told
    assert 'begins anew with seed 2000' in told
    assert '2 restarts have not mended it' in told
    assert 'There is no model yet' in told
    state = checkpoint.load(tmp_path / 'checkpoint.pt')
    assert (state['done'], state['attempt'], state['trainer']['steps']) == (4, 2, 2)


@pytest.mark.parametrize(('bad', 'begun'), [(1, [0, 0, 1, 2]), (2, [0, 1, 1, 2])])
def test_a_loss_that_explodes_goes_back_to_the_last_good_state(
    blocks: Path,
    tmp_path: Path,
    monkeypatch,
    capsys: pytest.CaptureFixture,
    bad: int,
    begun: list[int],
) -> None:
    monkeypatch.setattr(insegan_run, 'KEPT_EVERY', 1)
    step, calls = Trainer.step, []

    def once(self: Trainer, real: torch.Tensor, z: torch.Tensor) -> dict[str, torch.Tensor]:
        calls.append(self.steps)
        return step(self, real * torch.nan if len(calls) == bad else real, z)

    monkeypatch.setattr(Trainer, 'step', once)
    assert main(command(blocks, tmp_path, 'step.generator_steps=9')) == 0
    said = capsys.readouterr()
    assert f'back to the state after {bad - 1} steps' in said.out + said.err
    assert calls == begun
