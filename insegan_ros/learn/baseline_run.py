"""One run of a learned baseline: its starts, its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from insegan_ros import config, drawing
from insegan_ros.baselines.learned.decomposer import Decomposer
from insegan_ros.baselines.learned.learned_segmenter import LearnedCard, LearnedSegmenter
from insegan_ros.baselines.learned.registry import Course, build
from insegan_ros.crop import CropConfig, decode
from insegan_ros.data.frames import Frames
from insegan_ros.inference import model_card
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.training_run import SHOWN, TrainingRun, Validation
from insegan_ros.training.descent import Descent, DescentConfig

JUDGED = 16  # images that are judged at once
SAID_EVERY = 10  # iterations


class BaselineRun(TrainingRun):
    """One run's state and what the loop calls."""

    def __init__(
        self,
        job: Job,
        crop: CropConfig,
        sizes: Mapping[str, Any],
        *,
        frames: Frames,
        validation: Validation,
        precision: torch.dtype,
    ) -> None:
        super().__init__(job, crop, frames=frames, validation=validation)
        self._sizes, self._precision = dict(sizes), precision
        self._config = config.from_mapping(DescentConfig, job.config.baseline.step)
        self._course = config.from_mapping(Course, job.config.baseline.course)
        self._descent = self._begin(0)
        self._last_quarter: list[float] = []  # of the start under way
        self._losses: list[float] = []  # of each start that is over
        self._chosen: dict[str, Any] | None = None  # the best of them

    def _begin(self, start: int) -> Descent[Decomposer]:
        seed = np.random.SeedSequence([self.job.seed, start]).generate_state(1)[0]
        torch.manual_seed(int(seed))
        network = build(self.job.config.method, self._sizes).to(self.job.device)
        return Descent(network, network.losses, self._config, precision=self._precision)

    def step(self, k: int) -> dict[str, Tensor]:
        """Iteration k: what is drawn depends on (seed, k) alone."""
        seed = self.job.seed
        start, within = divmod(k, self._course.start_steps)
        if k < self._course.choosing and within == 0 and k > 0:
            self._descent = self._begin(start)
        images = self.frames.batch(self._config.batch, np.random.default_rng([seed, 0, k]))
        told = self._descent.step(images, self._noise(len(images), [seed, 1, k]))
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
        return torch.from_numpy(drawn).to(self.job.device)

    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        """Show one iteration's losses."""
        self.advance(done)
        if done % SAID_EVERY == 0:
            self.show(done, {name: float(loss) for name, loss in losses.items()})

    def validate(self, done: int) -> None:
        """Keep the model if its own loss on held-out frames is lower than any before."""
        if done < self._course.choosing:
            return
        network = self._descent.network
        segmenter = LearnedSegmenter(network, self.crop, seed=self.job.seed)
        figures = {'loss': self._held_out_loss(), **self.judged(segmenter)}
        network.train()
        better = figures['loss'] < self.best
        self.record_figures(figures, done, better=better)
        if better:
            self.best = figures['loss']
            self._write_model(figures)
        self.save()

    def _held_out_loss(self) -> float:
        network = self._descent.network.eval()
        total = 0.0
        for some in self.validation.images.split(JUDGED):
            noise = self._noise(len(some), [self.job.seed, 2])
            with torch.no_grad():
                losses = network.losses(some[:, None].to(self.job.device), noise)
            total += float(losses.get('bound', losses['total']).detach()) * len(some)
        return total / len(self.validation.images)

    def _write_model(self, figures: Mapping[str, float]) -> None:
        batch = self._config.batch
        card = self.card(self._descent.steps, batch, figures=figures, labels_used='none')
        card['training'] |= {
            'images_seen_by_all_starts': self.done * batch,
            'starts': {'number': self._course.starts, 'losses': self._losses},
        }
        card['settings'] = config.plain(
            LearnedCard(self.job.config.method, self._sizes, self.crop)
        )
        model_card.save_model(self.job.model, card, self._descent.network.state_dict())

    def draw(self, done: int) -> None:  # noqa: ARG002 - the loop tells every hook
        """Held-out frames, and below each how it is segmented."""
        images = self.validation.images[:SHOWN]
        network = self._descent.network.eval()
        noise = self._noise(len(images), [self.job.seed, 2])
        labels = network.labels(images[:, None].to(self.job.device), noise).cpu().numpy()
        network.train()
        heights = [decode(i.numpy(), self.crop) for i in images]
        top = self.crop.height_m
        rows = [
            [drawing.heights_picture(h, top) for h in heights],
            [drawing.labels_picture(h, found, top) for h, found in zip(heights, labels)],
        ]
        drawing.save_rows(self.job.out / 'picture.png', rows)

    def state(self) -> dict[str, Any]:
        """Of the network, and how the starts compare."""
        return {
            'descent': self._descent.state(),
            'chosen': self._chosen,
            'last_quarter': self._last_quarter,
            'losses': self._losses,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._descent.restore(state['descent'])
        self._chosen, self._losses = state['chosen'], state['losses']
        self._last_quarter = state['last_quarter']
