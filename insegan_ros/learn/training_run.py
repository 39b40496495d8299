"""What the runs of all methods that learn by one loop share: screen, board, card, checkpoint."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from insegan_ros import __version__
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import Frames
from insegan_ros.data.store import Sample
from insegan_ros.device import processor
from insegan_ros.evaluation.metrics import paper_miou, strict_miou
from insegan_ros.learn.run_folder import Job
from insegan_ros.optional import needed_for
from insegan_ros.training import checkpoint
from insegan_ros.types import Segmenter

with needed_for('training InSeGAN or a baseline'):
    from torch.utils.tensorboard.writer import SummaryWriter

SHOWN = 8  # frames in a picture


@dataclass(frozen=True)
class Validation:
    """Held-out frames: their crops, and those that happen to have labels."""

    images: Tensor  # (V, S, S) float32
    labelled: list[Sample]


class TrainingRun(ABC):
    """One run's state and what the loop calls; a method adds its step, and how it is judged."""

    def __init__(
        self, job: Job, crop: CropConfig, *, frames: Frames, validation: Validation
    ) -> None:
        self.job, self.crop, self.frames, self.validation = job, crop, frames, validation
        self.done = 0  # iterations
        self.best = float('inf')  # of held-out frames
        self._seconds, self._begun = 0.0, time.monotonic()
        self._bar: tqdm | None = None
        self._board: SummaryWriter | None = None

    # --- what a method says ---------------------------------------------------------------------

    @abstractmethod
    def step(self, k: int) -> Mapping[str, Tensor]:
        """Iteration k: what is drawn depends on its number and the seed alone."""

    @abstractmethod
    def validate(self, done: int) -> None:
        """Keep the model if it is better on held-out frames than any before."""

    @abstractmethod
    def draw(self, done: int) -> None:
        """Write picture.png."""

    @abstractmethod
    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        """Show the losses of an iteration."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds besides what all runs have."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises: KeyError, RuntimeError or TypeError, for a state of other networks."""

    # --- screen and board -----------------------------------------------------------------------

    def open(self) -> None:
        """Show the progress, on the screen and for TensorBoard."""
        total = self.job.config.loop.iterations
        self._bar = tqdm(total=total, initial=self.done, unit='it', desc=self.job.config.method)
        self._board = SummaryWriter(str(self.job.out / 'tensorboard'), purge_step=self.done)
        self._begun = time.monotonic()

    def close(self) -> None:
        """What `open` opened."""
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()

    def advance(self, done: int) -> float:
        """Move the bar; iterations a second."""
        assert self._bar is not None
        self._bar.update(done - self._bar.n)
        return self._bar.format_dict['rate'] or 0.0

    def show(self, done: int, losses: Mapping[str, float], **more: str) -> None:
        """Losses by name, and more on the bar."""
        assert self._bar is not None
        self._bar.set_postfix({**{k: f'{v:.4g}' for k, v in losses.items()}, **more})
        self.record('loss', losses, done)

    def record(self, group: str, values: Mapping[str, float], done: int) -> None:
        """For TensorBoard."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f'{group}/{name}', value, done)

    def record_figures(self, figures: Mapping[str, float], done: int, *, better: bool) -> None:
        """Held-out figures, on the screen and for TensorBoard."""
        told = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
        tqdm.write(f'{done} iterations: held out {told}{" (best so far)" if better else ""}')
        self.record('validation', figures, done)

    # --- figures and card -----------------------------------------------------------------------

    def judged(self, segmenter: Segmenter) -> dict[str, float]:
        """Label-dependent figures, reported beside; nothing is chosen by them."""
        pairs = [(segmenter.segment(s.frame).labels, s.labels) for s in self.validation.labelled]
        known = [(found, true) for found, true in pairs if true is not None]
        if not known:
            return {}
        return {
            'paper_miou': float(np.nanmean([paper_miou(f, t) for f, t in known])),
            'strict_miou': float(np.nanmean([strict_miou(f, t) for f, t in known])),
        }

    def card(
        self, iterations: int, batch: int, *, figures: Mapping[str, float], labels_used: str
    ) -> dict[str, Any]:
        """What the card of every such model says."""
        dataset = self.job.dataset
        return {
            'method': self.job.config.method,
            'part': dataset.info.part,
            'made_by': f'insegan_ros {__version__}',
            'labels_used': labels_used,
            'dataset': {'frames': len(self.frames), 'hash': dataset.content_hash()},
            'training': {
                'iterations': iterations,
                'batch': batch,
                'images_seen': iterations * batch,
                'seconds': round(self._spent),
                'seed': self.job.seed,
                'processor': processor(self.job.device),
            },
            'figures': {f'validation_{k}': round(v, 4) for k, v in figures.items()},
        }

    # --- checkpoint -----------------------------------------------------------------------------

    @property
    def _spent(self) -> float:
        return self._seconds + time.monotonic() - self._begun

    def save(self) -> None:
        """Store a checkpoint, from which the same command goes on."""
        shared = {'done': self.done, 'best': self.best, 'seconds': self._spent}
        checkpoint.save(self.job.out / 'checkpoint.pt', {**self.state(), **shared})

    def resume(self) -> bool:
        """Go on from the checkpoint; False: there is none.

        Raises:
            CheckpointError: it is damaged or of other networks.
        """
        path = self.job.out / 'checkpoint.pt'
        if not path.exists():
            return False
        state = checkpoint.load(path)
        try:
            self.restore(state)
            self.best, self._seconds = float(state['best']), float(state['seconds'])
            self.done = int(state['done'])
        except (KeyError, RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f'{path} does not fit these networks ({reason}); choose another --out'
            ) from None
        return True
