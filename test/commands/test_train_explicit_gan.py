"""`insegan train --method explicit-gan`: runs, goes on, refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from insegan_ros.cli import main
from insegan_ros.data.store import Dataset, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.model.explicit import Template
from insegan_ros.training.explicit_run import ExplicitRunConfig, refine_template
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(96, 96, 200.0, 200.0, 47.5, 47.5)
SMALL = [
    'model.image_size=32',
    'model.samples=8',
    'model.slots_side=4',
    'model.encoder_channels=8',
    'model.discriminator_channels=8',
    'step.batch=2',
    'step.warm=2',
    'loop.validate_every=2',
    'held_out=4',
    'fit_sweeps=1',
]


@pytest.fixture(scope='module')
def bin_of_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('blocks') / 'bin'
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, DatasetInfo('block', CAMERA, 'simulated', 3)) as writer:
        for _ in range(14):
            depth = rng.normal(0.5, 0.0003, (96, 96))
            for _ in range(3):
                x, y = rng.integers(5, 70, 2)
                depth[y : y + 20, x : x + 20] = 0.47
            writer.append(to_units(depth, 0.001))
    return folder


def block() -> Template:
    logits = np.full((16, 16, 16), -6, np.float32)
    logits[3:13, 3:13, 4:12] = 6
    return Template(logits, 0.005, {'pieces': 9})


def train(dataset: Path, out: Path, iterations: int, *more: str) -> int:
    command = ['train', '--method', 'explicit-gan', '--dataset', str(dataset), '--out', str(out)]
    for setting in [*SMALL, f'loop.iterations={iterations}']:
        command += ['--set', setting]
    return main([*command, *more])


def test_run_leaves_a_picture_a_verdict_and_a_template_only_if_better(
    bin_of_blocks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block().save(tmp_path / 'begun')
    out = tmp_path / 'run'
    given = ('--template', str(tmp_path / 'begun'))
    assert train(bin_of_blocks, out, 3, *given) == 0
    verdict = yaml.safe_load((out / 'verdict.yaml').read_text())
    assert (out / 'template').exists() == verdict['better']
    assert (out / 'picture.png').exists()
    assert len((out / 'losses.jsonl').read_text().splitlines()) == 1
    shutil.rmtree(tmp_path / 'begun')  # the run has its own copy
    assert train(bin_of_blocks, out, 4, *given) == 0
    assert '3 of 4 iterations done' in capsys.readouterr().out
    candidate = Template.load(out / 'candidate')
    assert candidate.account['pieces'] == 9
    assert candidate.account['refined_steps'] == 4


def test_run_begins_from_a_ball_where_asked(bin_of_blocks: Path, tmp_path: Path) -> None:
    assert train(bin_of_blocks, tmp_path, 2, '--init', 'blob', '--part-length', '.05') == 0
    start = Template.load(tmp_path / 'start')
    assert start.diameter_m == pytest.approx(0.05, rel=0.4)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda folder: (folder / 'template.safetensors').write_bytes(b'torn'), 'no whole temp'),
        (
            lambda folder: Template(np.full((16, 16, 16), -6, np.float32), 0.005).save(folder),
            'only 0 voxels',
        ),
    ],
)
def test_a_damaged_or_empty_template_is_refused(
    bin_of_blocks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil, message: str
) -> None:
    block().save(tmp_path / 'begun')
    spoil(tmp_path / 'begun')
    assert train(bin_of_blocks, tmp_path / 'run', 2, '--template', str(tmp_path / 'begun')) != 0
    assert message in capsys.readouterr().err


def test_one_call_gives_back_a_template_that_is_as_good_at_least(
    bin_of_blocks: Path, tmp_path: Path
) -> None:
    from insegan_ros import config

    dataset = Dataset(bin_of_blocks)
    settings = config.load(ExplicitRunConfig, [], [*SMALL, 'loop.iterations=3'])
    given = block()
    found = refine_template(given, dataset, dataset.indices, tmp_path, 60.0, 0, settings)
    assert found is given or 'rerendering_mm' in found.account
