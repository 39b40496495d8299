"""Stage: a network that learns from piles how each pixel votes for its part's centre.

<out>/state.pt     weights, optimisers and time spent, from which the same command goes on
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from insegan_ros.device import processor
from insegan_ros.distillation.network import NetworkConfig, told_kinds
from insegan_ros.distillation.train import (
    Batches,
    Progress,
    TrainConfig,
    begin,
    load_checkpoint,
    train_network,
)
from insegan_ros.inference import model_card
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.start import Start

ENOUGH = 0.9  # of the time allowed: a network that learned for less goes on
STATE = 'state.pt'


def begun(
    job: Job, network: NetworkConfig, settings: TrainConfig, *, start: Start | None
) -> Progress:
    """The run's network at its beginning, or where it was left.

    Raises:
        ValueError: the weights begun with are of another network.
    """
    weights = None if start is None else told_kinds(start.weights, network)
    try:
        progress = begin(network, settings, job.seed, device=job.device, start=weights)
    except RuntimeError as error:
        assert start is not None
        raise ValueError(f'{start.folder} is of another network: {error}') from None
    if (job.out / STATE).exists():
        load_checkpoint(progress, job.out / STATE)
    return progress


def learned_enough(job: Job, seconds: float) -> bool:
    """Whether the network has had most of the time that it may have."""
    return job.report.of('network').get('seconds', 0) >= ENOUGH * seconds


def teach(
    job: Job, progress: Progress, batches: Batches, *, settings: TrainConfig, seconds: float
) -> dict[str, float]:
    """Until the network has learned for so many seconds in all; steps and seconds.

    Raises:
        ValueError: the loss is not finite any more.
        KeyboardInterrupt: the run was interrupted, and its state is stored.
    """
    state = job.out / STATE
    # they make batches beside a GPU; a processor that learns makes its own
    workers = job.workers if job.device.startswith('cuda') else 0
    train_with_bar(
        progress, batches, settings, seconds=seconds, seed=job.seed, state=state, workers=workers
    )
    spent = load_checkpoint(progress, state)
    return {'steps': progress.step, 'seconds': round(spent, 1)}


def train_with_bar(
    progress: Progress,
    batches: Batches,
    config: TrainConfig,
    *,
    seconds: float,
    seed: int,
    state: Path,
    workers: int = 0,
) -> None:
    """`train_network` with a progress bar.

    Raises:
        ValueError: the loss is not finite any more.
        KeyboardInterrupt: the run was interrupted, and its state is stored.
    """
    bar = tqdm(total=100, desc='network', unit='%')

    def said(step: int, share: float, losses: Mapping[str, float]) -> None:
        bar.update(int(share * 100) - bar.n)
        bar.set_postfix(step=step, **{k: f'{v:.3f}' for k, v in losses.items()})

    try:
        ending = train_network(
            progress,
            batches,
            config,
            seconds=seconds,
            seed=seed,
            report=said,
            path=state,
            workers=workers,
        )
    except FloatingPointError as error:
        raise ValueError(f'{error}; the last good state is {state}; use another --seed') from None
    finally:
        bar.close()
    if ending == 'interrupted':
        raise KeyboardInterrupt


def is_read(job: Job) -> bool:
    """Whether the model in the folder is of the network as it is now."""
    known = job.report.of('reading').get('steps') == job.report.of('network').get('steps')
    return known and (job.model / model_card.CARD).exists()


def training_of(job: Job, start: Start | None) -> dict[str, object]:
    """What a card says of the network's training."""
    learned = job.report.of('network')
    return {
        'steps': learned['steps'],
        'batch': job.config.network.adapted(job.device, start is not None).batch,
        'seconds': round(learned['seconds']),
        'seed': job.seed,
        'began_with': 'random weights' if start is None else start.origin,
        'processor': processor(job.device),
    }
