"""Training: piles can be learned by heart, and runs resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from bricks import CONFIG, brick_piles

from insegan_ros.data.store import Dataset
from insegan_ros.distillation import train
from insegan_ros.distillation.clusters import VoteSettings, find_instances
from insegan_ros.distillation.examples import Piles, mixed_batch
from insegan_ros.distillation.network import network_input
from insegan_ros.distillation.piles import store_piles
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.training import checkpoint
from insegan_ros.training.checkpoint import CheckpointError

SETTINGS = train.TrainConfig(batch=4, held_out=2, bfloat16=False)


@pytest.fixture(scope='module')
def piles(tmp_path_factory: pytest.TempPathFactory) -> Piles:
    path = tmp_path_factory.mktemp('piles')
    list(store_piles(brick_piles(2), path, seed=0, workers=1))
    return Piles.load(Dataset(path), [0, 1])


def test_the_network_learns_two_piles_by_heart(piles: Piles) -> None:
    torch.set_num_threads(1)
    progress = train.begin(CONFIG, SETTINGS, seed=0)

    def known() -> bool:
        progress.network.eval()
        rng = np.random.default_rng(9)
        scores = []
        for index in (0, 1):
            image = network_input(piles.heights(index, rng), CONFIG)
            output = train.predict(progress.network, image)
            found = find_instances(output, CONFIG, VoteSettings(min_support=4.0))
            scores.append(strict_miou(found.labels, piles.labels[index]))
        progress.network.train()
        return bool(np.mean(scores) > 0.7)

    for step in range(220):
        rng = np.random.default_rng([0, step])
        batch = mixed_batch([(piles, CONFIG)], 2, rng)
        train.train_step(progress, batch, 3e-3, config=SETTINGS)
        if step % 40 == 39 and known():
            return
    pytest.fail('two piles are not known after 220 steps')


def test_a_run_resumes_where_its_checkpoint_was_written(piles: Piles, tmp_path: Path) -> None:
    progress = train.begin(CONFIG, SETTINGS, seed=0)
    batch = mixed_batch([(piles, CONFIG)], 2, np.random.default_rng(0))
    train.train_step(progress, batch, train.rate_at(0.5, SETTINGS), config=SETTINGS)
    train.save_progress(progress, tmp_path / 'state', seconds=7.0)
    resumed = train.begin(CONFIG, SETTINGS, seed=1)
    assert train.load_checkpoint(resumed, tmp_path / 'state') == 7.0
    assert resumed.step == 1
    ours = train.train_step(progress, batch, 1e-3, config=SETTINGS)
    theirs = train.train_step(resumed, batch, 1e-3, config=SETTINGS)
    assert {k: v.item() for k, v in ours.items()} == pytest.approx(
        {k: v.item() for k, v in theirs.items()}
    )


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rates = [train.rate_at(share, SETTINGS) for share in (0, 0.03, 0.5, 1)]
    assert rates[0] < rates[1] > rates[2] > rates[3]
    assert rates[3] < 1e-5


def test_a_run_ends_when_its_time_is_over_whatever_interrupts_it(
    piles: Piles, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    state = tmp_path / 'state.pt'

    def batch(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return mixed_batch([(piles, CONFIG)], SETTINGS.batch, rng)

    def tell(step: int, share: float, losses: Mapping[str, float]) -> None:
        pass

    def go_on(seconds: float) -> tuple[train.Progress, str]:
        progress = train.begin(CONFIG, SETTINGS, seed=0)
        return progress, train.train_network(
            progress, batch, SETTINGS, seconds=seconds, seed=0, report=tell, path=state
        )

    first, ending = go_on(0.5)
    assert ending == 'out of time'
    assert first.step > 0
    again, _ = go_on(0.5)  # nothing is left to do
    assert again.step == first.step
    weights = zip(first.average.parameters(), again.average.parameters())
    assert all(torch.equal(ours, theirs) for ours, theirs in weights)
    longer, _ = go_on(1.0)
    assert longer.step > first.step


def test_other_processes_make_the_batches_that_this_one_would(piles: Piles) -> None:
    def batch(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return mixed_batch([(piles, CONFIG)], 2, rng)

    alone, apart = (
        train.batches_from(3, batch, 7, workers=workers, device=torch.device('cpu'))
        for workers in (0, 2)
    )
    for _ in range(5):
        for ours, theirs in zip(next(alone), next(apart), strict=True):
            assert torch.equal(ours, theirs)


def test_a_loss_that_is_not_finite_changes_no_weight(piles: Piles) -> None:
    progress = train.begin(CONFIG, SETTINGS, seed=0)
    image, target = mixed_batch([(piles, CONFIG)], 2, np.random.default_rng(0))
    before = [weight.clone() for weight in progress.network.parameters()]
    with pytest.raises(FloatingPointError, match='not finite after 0 steps'):
        train.train_step(progress, (image * float('inf'), target), 1e-3, config=SETTINGS)
    after = progress.network.parameters()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(before, after))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / 'state.pt').write_bytes(b'torn')
    with pytest.raises(CheckpointError, match=r'state\.pt cannot be read'):
        train.load_checkpoint(train.begin(CONFIG, SETTINGS, seed=0), tmp_path / 'state.pt')


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'state.pt'
    progress = train.begin(CONFIG, SETTINGS, seed=0)
    train.save_progress(progress, path, seconds=7.0)
    stored = checkpoint.load(path)
    stored['optimizer'] = stored.pop('optimizers')
    checkpoint.save(path, stored)
    with pytest.raises(CheckpointError, match=r'state\.pt is of an earlier version.*delete it'):
        train.load_checkpoint(progress, path)


def test_the_first_steps_are_small_and_grow_evenly() -> None:
    rate = SETTINGS.learning_rate
    begun, half, full = (train.rate_at(k * SETTINGS.warmup, SETTINGS) for k in (0.0, 0.5, 1.0))
    assert 0 < begun <= 0.05 * rate
    assert half == pytest.approx(0.5 * rate)
    assert full == pytest.approx(rate, rel=0.01)
    assert train.rate_at(0.5 + SETTINGS.warmup / 2, SETTINGS) == pytest.approx(rate / 2, rel=0.01)
