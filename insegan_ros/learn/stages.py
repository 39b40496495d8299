"""What the stages of a training run share: their figures, and the bar while a network learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from insegan_ros.distillation.train import Batches, Progress, TrainConfig, train_network

ENOUGH = 0.9  # of the time allowed for the network: less, and a finished run goes on


class Report:
    """Figures of the stages, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content: dict[str, Any] = {}
        if path.exists():
            self.content = yaml.safe_load(path.read_text()) or {}

    def add(self, stage: str, **figures: Any) -> None:
        """Write the figures of a stage, and print them."""
        self.content[stage] = figures
        self._path.write_text(yaml.safe_dump(self.content, sort_keys=False))
        print(f'{stage}: ' + ', '.join(f'{k} {v}' for k, v in figures.items()), flush=True)


def batch_workers(device: str, workers: int) -> int:
    """Processes that make batches beside a GPU; a processor that learns makes its own."""
    return workers if device.startswith('cuda') else 0


def train_with_bar(
    progress: Progress,
    batches: Batches,
    config: TrainConfig,
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
    bar = tqdm(total=100, desc='distil', unit='%')

    def said(step: int, share: float, losses: Mapping[str, float]) -> None:
        bar.update(int(share * 100) - bar.n)
        bar.set_postfix(step=step, **{k: f'{v:.3f}' for k, v in losses.items()})

    try:
        ending = train_network(progress, batches, config, seconds, seed, said, state, workers)
    except FloatingPointError as error:
        raise ValueError(f'{error}; the last good state is {state}; use another --seed') from None
    finally:
        bar.close()
    if ending == 'interrupted':
        raise KeyboardInterrupt
