"""One run of a learned baseline: its starts, its steps, its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from insegan_ros import __version__, drawing
from insegan_ros.baselines.learned.decomposer import Decomposer
from insegan_ros.baselines.learned.learned_segmenter import LearnedCard, LearnedSegmenter, to_card
from insegan_ros.baselines.learned.registry import Course, build
from insegan_ros.crop import CropConfig, decode
from insegan_ros.data.frames import Frames
from insegan_ros.data.store import Dataset
from insegan_ros.device import processor
from insegan_ros.evaluation.metrics import paper_miou, strict_miou
from insegan_ros.inference import model_card
from insegan_ros.learn.insegan_run import Validation
from insegan_ros.optional import needed_for
from insegan_ros.training import checkpoint
from insegan_ros.training.descent import Descent, DescentConfig

with needed_for('training a baseline'):
    from torch.utils.tensorboard.writer import SummaryWriter

SHOWN = 8  # frames in a picture
JUDGED = 16  # images that are judged at once


class BaselineRun:
    """One run's state and what the loop calls."""

    def __init__(
        self,
        out: Path,
        method: str,
        sizes: Mapping[str, Any],
        *,
        step: DescentConfig,
        course: Course,
        frames: Frames,
        validation: Validation,
        dataset: Dataset,
        crop: CropConfig,
        seed: int,
        device: str,
        precision: torch.dtype,
    ) -> None:
        self.out, self.done = out, 0
        self._method, self._sizes, self._config, self._course = method, dict(sizes), step, course
        self._frames, self._validation, self._dataset = frames, validation, dataset
        self._crop, self._seed, self._device, self._precision = crop, seed, device, precision
        self._descent = self._begin(0)
        self._last_quarter: list[float] = []  # of the start under way
        self._losses: list[float] = []  # of each start that is over
        self._chosen: dict[str, Any] | None = None  # the best of them
        self._best = float('inf')
        self._seconds, self._begun = 0.0, time.monotonic()
        self._bar: tqdm | None = None
        self._board: SummaryWriter | None = None

    def _begin(self, start: int) -> Descent[Decomposer]:
        torch.manual_seed(int(np.random.SeedSequence([self._seed, start]).generate_state(1)[0]))
        network = build(self._method, self._sizes).to(self._device)
        return Descent(network, network.losses, self._config, precision=self._precision)

    def open(self, iterations: int) -> None:
        """The bar and the board."""
        self._bar = tqdm(total=iterations, initial=self.done, unit='it', desc=self._method)
        self._board = SummaryWriter(str(self.out / 'tensorboard'), purge_step=self.done)
        self._begun = time.monotonic()

    def close(self) -> None:
        """What `open` opened."""
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()

    def step(self, k: int) -> dict[str, Tensor]:
        """Iteration k: what is drawn depends on (seed, k) alone."""
        start, within = divmod(k, self._course.start_steps)
        if k < self._course.choosing and within == 0 and k > 0:
            self._descent = self._begin(start)
        images = self._frames.batch(self._config.batch, np.random.default_rng([self._seed, 0, k]))
        told = self._descent.step(images, self._noise(len(images), [self._seed, 1, k]))
        if k < self._course.choosing:
            self._compare(within, float(told['total']))
        self.done = k + 1
        return told

    def _compare(self, within: int, loss: float) -> None:
        """Keep a start that is over if it is the best so far; after the last go on with that."""
        steps = self._course.start_steps
        if within >= steps - steps // 4:
            self._last_quarter.append(loss)
        if within < steps - 1:
            return
        self._losses.append(float(np.mean(self._last_quarter)))
        self._last_quarter = []
        if self._losses[-1] == min(self._losses):
            self._chosen = self._descent.state()
            network = self._chosen['network']
            self._chosen['network'] = {name: value.clone() for name, value in network.items()}
        if len(self._losses) == self._course.starts and self._chosen is not None:
            told = ', '.join(f'{value:.4g}' for value in self._losses)
            tqdm.write(f'starts: {told}; the one of {min(self._losses):.4g} goes on')
            self._descent = self._begin(0)
            self._descent.restore(self._chosen)
            self._chosen = None

    def _noise(self, count: int, seed: list[int]) -> Tensor:
        shape = (count, *self._descent.network.noise_shape)
        drawn = np.random.default_rng(seed).standard_normal(shape, np.float32)
        return torch.from_numpy(drawn).to(self._device)

    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        """One iteration's losses, to bar and board."""
        assert self._bar is not None
        assert self._board is not None
        self._bar.update(done - self._bar.n)
        if done % 10 == 0:
            named = {name: float(loss) for name, loss in losses.items()}
            self._bar.set_postfix({name: f'{value:.4g}' for name, value in named.items()})
            for name, value in named.items():
                self._board.add_scalar(f'loss/{name}', value, done)

    def validate(self, done: int) -> None:
        """Keep the model if its own loss on held-out frames is lower than any before."""
        if done < self._course.choosing:
            return
        figures = {'loss': self._held_out_loss(), **self._judge()}
        better = figures['loss'] < self._best
        told = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
        tqdm.write(f'{done} iterations: held out {told}{" (best so far)" if better else ""}')
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f'validation/{name}', value, done)
        if better:
            self._best = figures['loss']
            self._write_model(figures)
        self.save()

    def _held_out_loss(self) -> float:
        network = self._descent.network.eval()
        total = 0.0
        for some in self._validation.images.split(JUDGED):
            noise = self._noise(len(some), [self._seed, 2])
            with torch.no_grad():
                losses = network.losses(some[:, None].to(self._device), noise)
            total += float(losses.get('bound', losses['total']).detach()) * len(some)
        network.train()
        return total / len(self._validation.images)

    def _judge(self) -> dict[str, float]:
        """Label-dependent figures, reported beside; nothing is chosen by them."""
        if not self._validation.labelled:
            return {}
        network = self._descent.network
        segment = LearnedSegmenter(network, self._crop, seed=self._seed).segment
        found = [(segment(s.frame).labels, s.labels) for s in self._validation.labelled]
        network.train()
        known = [(labels, true) for labels, true in found if true is not None]
        return {
            'paper_miou': float(np.nanmean([paper_miou(f, t) for f, t in known])),
            'strict_miou': float(np.nanmean([strict_miou(f, t) for f, t in known])),
        }

    def _write_model(self, figures: Mapping[str, float]) -> None:
        card = {
            'method': self._method,
            'part': self._dataset.info.part,
            'made_by': f'insegan_ros {__version__}',
            'labels_used': 'none',
            'dataset': {'frames': len(self._frames), 'hash': self._dataset.content_hash()},
            'training': {
                'iterations': self._descent.steps,
                'batch': self._config.batch,
                'images_seen': self._descent.steps * self._config.batch,
                'images_seen_by_all_starts': self.done * self._config.batch,
                'starts': {'number': self._course.starts, 'losses': self._losses},
                'seconds': round(self._seconds + time.monotonic() - self._begun),
                'seed': self._seed,
                'processor': processor(self._device),
            },
            'figures': {f'validation_{k}': round(v, 4) for k, v in figures.items()},
            'settings': to_card(LearnedCard(self._method, self._sizes, self._crop)),
        }
        model_card.save_model(self.out / 'model', card, self._descent.network.state_dict())

    def draw(self, done: int) -> None:  # noqa: ARG002 - the loop tells every hook
        """Held-out frames, and below each how it is segmented."""
        images = self._validation.images[:SHOWN]
        network = self._descent.network.eval()
        noise = self._noise(len(images), [self._seed, 2])
        labels = network.labels(images[:, None].to(self._device), noise).cpu().numpy()
        network.train()
        heights = [decode(i.numpy(), self._crop) for i in images]
        top = self._crop.height_m
        rows = [
            [drawing.heights_picture(h, top) for h in heights],
            [drawing.labels_picture(h, found, top) for h, found in zip(heights, labels)],
        ]
        drawing.save_rows(self.out / 'picture.png', rows)

    def save(self) -> None:
        """Write the checkpoint from which the same command goes on."""
        state = {
            'done': self.done,
            'descent': self._descent.state(),
            'chosen': self._chosen,
            'last_quarter': self._last_quarter,
            'losses': self._losses,
            'best': self._best,
            'seconds': self._seconds + time.monotonic() - self._begun,
        }
        checkpoint.save(self.out / 'checkpoint.pt', state)

    def resume(self) -> None:
        """Raises: CheckpointError, for a checkpoint that is damaged or of another network."""
        path = self.out / 'checkpoint.pt'
        if not path.exists():
            return
        state = checkpoint.load(path)
        try:
            self._descent.restore(state['descent'])
            self.done, self._chosen = int(state['done']), state['chosen']
            self._last_quarter, self._losses = state['last_quarter'], state['losses']
            self._best, self._seconds = float(state['best']), float(state['seconds'])
        except (KeyError, RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f'{path} does not fit this network ({reason}); choose another --out'
            ) from None
