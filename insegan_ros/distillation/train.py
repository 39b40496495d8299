"""Distil piles of the template into the vote network."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from insegan_ros.distillation.network import NetworkConfig, VoteNetwork, channels_last, vote_loss
from insegan_ros.distillation.optimizers import Optimizers
from insegan_ros.training import checkpoint
from insegan_ros.training.ema import Ema
from insegan_ros.training.loop import Ending, Hooks, LoopConfig, require_finite, run_loop

REPORT_S = 20.0
STARTED_RATE = 1e-3  # learning rate of a network that has seen other piles
GPU_BATCH = 64  # a GPU learns from so many in little more time than from eight
Batches = Callable[[np.random.Generator], tuple[Tensor, Tensor]]  # one at a time
UNTIL_THE_TIME_IS_OVER = LoopConfig(sys.maxsize, sys.maxsize, checkpoint_minutes=1.0)


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    batch: int = 8
    gpu_batch: int = GPU_BATCH
    learning_rate: float = 2e-3
    started_rate: float = STARTED_RATE  # of a network that has seen other piles
    weight_decay: float = 1e-3
    warmup: float = 0.03  # of the whole
    ema: float = 0.995  # of the weights, a step
    held_out: int = 300  # piles kept from training
    bfloat16: bool = True

    def adapted(self, device: str, started: bool = False) -> TrainConfig:
        """For a device, and for a network that may have seen other piles."""
        batch = self.gpu_batch if device.startswith('cuda') else self.batch
        rate = self.started_rate if started else self.learning_rate
        return replace(self, batch=batch, learning_rate=rate)


@dataclass
class Progress:
    """All that a resumed run needs."""

    network: VoteNetwork
    ema: Ema[VoteNetwork]
    optimizers: Optimizers
    step: int = 0

    @property
    def average(self) -> VoteNetwork:
        """The network with averaged weights: what is used."""
        return self.ema.network


def begin(
    config: NetworkConfig,
    train: TrainConfig,
    seed: int,
    *,
    device: str = 'cpu',
    start: Mapping[str, Tensor] | None = None,
) -> Progress:
    """A run at its beginning, from random weights or from those of `start`.

    Raises:
        RuntimeError: weights of a network of other widths.
    """
    torch.manual_seed(seed)
    network = VoteNetwork(config)
    if start is not None:
        network.load_state_dict(start)
    network = channels_last(network.to(device))
    return Progress(network, Ema(network, train.ema), Optimizers(network, train.weight_decay))


def train_step(
    progress: Progress, batch: tuple[Tensor, Tensor], rate: float, *, config: TrainConfig
) -> dict[str, Tensor]:
    """One update; returns the losses.

    Raises:
        FloatingPointError: the loss is not finite; no weight has been changed then.
    """
    network = progress.network.train()
    device = next(network.parameters()).device
    image = batch[0].to(device, memory_format=torch.channels_last, non_blocking=True)
    target = batch[1].to(device, non_blocking=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
        output = network(image)
    losses = vote_loss(output.float(), target)
    told = {name: value.detach() for name, value in losses.items()}
    require_finite(told, progress.step)
    network.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    progress.optimizers.step(rate)
    progress.step += 1
    progress.ema.update(network, progress.step)
    return told


def rate_at(share: float, config: TrainConfig) -> float:
    """Learning rate when `share` of the time is over: warm-up, then half a cosine."""
    if share < config.warmup:
        return config.learning_rate * max(share / config.warmup, 0.05)
    past = min((share - config.warmup) / (1 - config.warmup), 1.0)
    return config.learning_rate * (0.5 + 0.5 * math.cos(math.pi * past)) + 1e-6


class Steps(Dataset[tuple[Tensor, Tensor]]):
    """Batch k, made with a generator of step k's own: the same whichever process makes it."""

    def __init__(self, batches: Batches, seed: int) -> None:
        self._batches, self._seed = batches, seed

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        return self._batches(np.random.default_rng([self._seed, k]))


def batches_from(
    step: int, batches: Batches, seed: int, *, device: torch.device, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of this and all later steps; made by `workers` processes, 0: by this one."""
    apart: dict[str, Any] = {}
    if workers:
        # forked: what batches are made of is not copied; a child would wait for OpenCV's threads,
        # which are not forked with it
        cv2.setNumThreads(1)
        apart = {'multiprocessing_context': 'fork', 'worker_init_fn': _start_maker}
    loader = DataLoader(
        Steps(batches, seed),
        batch_size=None,
        sampler=count(step),  # type: ignore[arg-type]
        num_workers=workers,
        pin_memory=workers > 0 and device.type == 'cuda',  # else made there
        **apart,
    )
    return iter(loader)


def _start_maker(_worker: int) -> None:
    """One thread's work; Ctrl-C is the learning process's to handle."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def train_network(
    progress: Progress,
    batches: Batches,
    config: TrainConfig,
    *,
    seconds: float,
    seed: int,
    report: Callable[[int, float, Mapping[str, float]], None],
    path: Path,
    workers: int = 0,
) -> Ending:
    """Train for `seconds`; time already spent by an interrupted run counts.

    Args:
        batches: what is learned from; called with a generator of the step's own.
        report: called now and then with the step, the share done, mean losses.
        path: of the checkpoint, from which a run is resumed.
        workers: processes that make batches while the network learns, 0: none but this.
    """
    spent = load_checkpoint(progress, path) if path.exists() else 0.0
    begun = said = time.monotonic()
    recent: list[Tensor] = []
    device = next(progress.network.parameters()).device
    torch.backends.cudnn.benchmark = True  # all batches are alike
    ready = batches_from(progress.step, batches, seed, workers=workers, device=device)

    def share() -> float:
        return (spent + time.monotonic() - begun) / seconds

    def step(_: int) -> dict[str, Tensor]:
        return train_step(progress, next(ready), rate_at(share(), config), config=config)

    def tell(done: int, losses: Mapping[str, Tensor]) -> None:
        nonlocal said
        recent.append(torch.stack(list(losses.values())))
        if time.monotonic() - said > REPORT_S:
            means = torch.stack(recent).mean(dim=0).tolist()
            report(done, share(), dict(zip(losses, means)))
            recent.clear()
            said = time.monotonic()

    def save() -> None:
        save_progress(progress, path, spent + time.monotonic() - begun)

    if spent >= seconds:
        return 'out of time'
    hooks = Hooks(save, lambda _: None, lambda _: None, tell)
    return run_loop(
        step, progress.step, UNTIL_THE_TIME_IS_OVER, hooks=hooks, seconds=seconds - spent
    )


def save_progress(progress: Progress, path: Path, seconds: float) -> None:
    """Raises: OSError, where the disk is full; the checkpoint before is unharmed."""
    state = {
        'network': progress.network.state_dict(),
        'average': progress.average.state_dict(),
        'optimizers': progress.optimizers.state_dict(),
        'step': progress.step,
        'seconds': seconds,
    }
    checkpoint.save(path, state)


def load_checkpoint(progress: Progress, path: Path) -> float:
    """Restore an interrupted run; the seconds it had spent.

    Raises:
        CheckpointError: the file is damaged, or of an earlier version.
    """
    stored = checkpoint.load(path)
    if 'optimizers' not in stored:
        raise checkpoint.CheckpointError(
            f'{path} is of an earlier version of insegan_ros, which learned by another rule; '
            'delete it, and the network learns anew'
        )
    progress.network.load_state_dict(stored['network'])
    progress.average.load_state_dict(stored['average'])
    progress.optimizers.load_state_dict(stored['optimizers'])
    progress.step = stored['step']
    return float(stored['seconds'])


@torch.inference_mode()
def predict(network: VoteNetwork, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, H, W) -> (OUTPUTS, H, W)."""
    device = next(network.parameters()).device
    batch = torch.from_numpy(image)[None].to(device, memory_format=torch.channels_last)
    return network(batch)[0].float().cpu().numpy()
