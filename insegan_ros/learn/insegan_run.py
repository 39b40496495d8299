"""One InSeGAN run: its step, its validation, its pictures, its checkpoints."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from insegan_ros import __version__, drawing
from insegan_ros.crop import CropConfig, decode
from insegan_ros.data.frames import (
    Frames,
)
from insegan_ros.data.store import DatasetError, Sample
from insegan_ros.device import processor
from insegan_ros.evaluation.metrics import paper_miou, strict_miou
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import InSeGANCard, InSeGANNetworks
from insegan_ros.learn.insegan_start import InSeGANStart
from insegan_ros.learn.run_folder import Job
from insegan_ros.model.insegan import InSeGAN
from insegan_ros.optional import needed_for
from insegan_ros.training import checkpoint
from insegan_ros.training.health import Health, examine
from insegan_ros.training.step import Trainer

with needed_for('training InSeGAN'):
    from torch.utils.tensorboard.writer import SummaryWriter

SHOWN = 8  # frames in a picture
KEPT_EVERY = 200  # steps: a state to go back to


@dataclass(frozen=True)
class Validation:
    """Held-out frames: their crops, and those that happen to have labels."""

    images: Tensor  # (V, S, S) float32
    labelled: list[Sample]


class InSeGANRun:
    """One run's state and what the loop calls."""

    def __init__(
        self,
        job: Job,
        crop: CropConfig,
        trainer: Trainer,
        *,
        validation: Validation,
        frames: Frames,
        start: InSeGANStart | None = None,
    ) -> None:
        self._out, self._settings, self._dataset, self._crop = (
            job.out,
            job.config,
            job.dataset,
            crop,
        )
        self._trainer, self._validation, self._seed = trainer, validation, job.seed
        self._frames, self._device, self._start = frames, job.device, start
        self._best = float('inf')
        self.done = 0  # iterations, of all attempts
        self._attempt, self._falls = 0, 0
        self._good: dict[str, Any] | None = None  # the state that a fall goes back to
        self._seconds, self._begun = 0.0, time.monotonic()
        self._bar: tqdm | None = None
        self._board: SummaryWriter | None = None
        self._recent: list[Mapping[str, Tensor]] = []

    def open_bar(self) -> None:
        """Show the progress, on the screen and for TensorBoard."""
        done = self.done
        total = self._settings.loop.iterations
        self._bar = tqdm(total=total, initial=done, unit='it', desc='train')
        self._board = SummaryWriter(str(self._out / 'tensorboard'), purge_step=done)

    def close(self) -> None:
        """Close the progress bar and the TensorBoard file."""
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()

    def step(self, k: int) -> dict[str, Tensor]:
        """Iteration k: what is drawn depends on (seed, attempt, k) alone.

        Raises:
            FloatingPointError: losses exploded too often.
        """
        batch, model = self._settings.step.batch, self._settings.model
        rows = self._trainer.group.share(batch)
        source = [self._seed, self._attempt, k]
        real = self._frames.batch(batch, np.random.default_rng([0, *source]))[rows]
        latents = np.random.default_rng([1, *source])
        z = latents.standard_normal((batch, model.instances, model.z_dim), np.float32)[rows]
        self.done = k + 1
        try:
            losses = self._trainer.step(real, torch.from_numpy(z).to(self._device))
        except FloatingPointError as error:
            self._go_back(error)
            return {}
        if self._trainer.steps % KEPT_EVERY == 0:
            self._good = copy.deepcopy(self._trainer.state())
        if self._trainer.steps == self._settings.rescue.examine_at:
            self._begin_anew_if_hopeless()
        return losses

    def _go_back(self, error: FloatingPointError) -> None:
        self._falls += 1
        if self._good is None or self._falls > self._settings.rescue.falls:
            raise error
        self._trainer.restore(self._good, fresh=True)
        self._say(f'{error}; back to the state after {self._trainer.steps} steps')

    def _begin_anew_if_hopeless(self) -> None:
        health = self.health()
        rescue = self._settings.rescue
        if not health.whole_scenes or self._trainer.phase == 'encoder':
            return
        if self._attempt >= rescue.restarts:
            self._say(f'{health.verdict()}; {rescue.restarts} restarts have not mended it')
            return
        self._attempt += 1
        seed = self._seed + 1000 * self._attempt
        self._say(f'{health.verdict()}; begins anew with seed {seed}')
        torch.manual_seed(seed)
        model = InSeGAN(self._settings.model).to(self._device)
        old = self._trainer
        self._trainer = Trainer(model, self._settings.step, old.precision, group=old.group)
        self._good = None

    def _say(self, text: str) -> None:
        if self._trainer.group.leads:
            tqdm.write(text)

    def health(self) -> Health:
        """Of the averaged generator."""
        model = self._settings.model
        return examine(
            self._trainer.frozen_generator,
            self._validation.images,
            model.instances,
            z_dim=model.z_dim,
        )

    def verdict(self) -> str:
        """Separated or not, and how that is known; what is missing of a model."""
        said = self.health().verdict()
        if self._best == float('inf'):
            return f'{said}. There is no model yet: the encoder has not begun to learn'
        return f'{said}. Held-out frames are re-rendered to {self._best:.4f} of their range'

    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        """Show the mean losses of the last steps."""
        assert self._bar is not None
        assert self._board is not None
        self._bar.update(done - self._bar.n)
        if self._recent and self._recent[-1].keys() != losses.keys():
            self._recent = []
        if losses:
            self._recent.append(losses)
        if done % 10 == 0 and self._recent:
            named = {
                f'L_{name}': float(torch.stack([some[name] for some in self._recent]).mean())
                for name in self._recent[-1]
            }
            self._recent = []
            rate = self._bar.format_dict['rate'] or 0.0
            shown = {key: f'{value:.3f}' for key, value in named.items()}
            self._bar.set_postfix({**shown, 'img/s': f'{rate * self._settings.step.batch:.0f}'})
            for name, value in named.items():
                self._board.add_scalar(f'loss/{name}', value, done)
            self._board.add_scalar('images_per_second', rate * self._settings.step.batch, done)

    def networks(self) -> InSeGANNetworks:
        """The averaged generator and encoder, those that are judged and kept."""
        networks = InSeGANNetworks(self._settings.model).to(self._device).eval()
        for name, ema in self._trainer.ema.items():
            getattr(networks, name).load_state_dict(ema.network.state_dict())
        return networks

    def validate(self, done: int) -> None:
        """Keep the model if it re-renders held-out real frames better than any before."""
        if not self._trainer.group.leads:
            return
        health = self.health()
        figures = {f'health_{name}': value for name, value in asdict(health).items()}
        better = False
        if self._trainer.phase != 'generator':
            networks = self.networks()
            alone, again = self._decompose(networks, self._validation.images)
            error = float((again - self._validation.images).abs().mean())
            figures['rerendering'] = error
            figures['rerendering_mm'] = 1000 * float(
                np.abs(self._metres(again) - self._metres(self._validation.images)).mean()
            )
            card = self._card(networks, alone)
            figures.update(self._judge(networks, card))
            better = error < self._best
            if better:
                self._best = error
                self._write_model(networks, card, done, figures=figures, health=health)
        assert self._board is not None
        for name, value in figures.items():
            self._board.add_scalar(f'validation/{name}', value, done)
        told = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
        tqdm.write(f'{done} iterations: {told}{" (best so far)" if better else ""}')
        self.save()

    def _metres(self, images: Tensor) -> NDArray[np.float32]:
        return decode(images.numpy(), self._crop)

    def _card(self, networks: InSeGANNetworks, alone: Tensor) -> InSeGANCard:
        filters = self._settings.filters
        threshold = insegan.choose_threshold(
            alone.numpy(), self._validation.images.numpy(), filters
        )
        card = InSeGANCard(
            self._settings.model,
            self._crop,
            replace(filters, threshold=threshold),
            turns=self._settings.turns,
        )
        by_labels = self._settings.data.threshold_from == 'labels'
        return self._threshold_by_labels(networks, card) if by_labels else card

    def _decompose(self, networks: InSeGANNetworks, images: Tensor) -> tuple[Tensor, Tensor]:
        alone, again = [], []
        for some in images.split(32):
            a, b = networks.decompose(some[:, None].to(self._device), turns=self._settings.turns)
            alone.append(a.float().cpu())
            again.append(b.float().cpu())
        return torch.cat(alone), torch.cat(again)

    def _judge(self, networks: InSeGANNetworks, card: InSeGANCard) -> dict[str, float]:
        """Label-dependent figures, reported beside; nothing is chosen by them."""
        if not self._validation.labelled:
            return {}
        segment = insegan.InSeGANSegmenter(networks, card, seed=self._seed).segment
        pairs = [(segment(s.frame).labels, s.labels) for s in self._validation.labelled]
        known = [(found, true) for found, true in pairs if true is not None]
        return {
            'paper_miou': float(np.nanmean([paper_miou(f, t) for f, t in known])),
            'strict_miou': float(np.nanmean([strict_miou(f, t) for f, t in known])),
        }

    def _threshold_by_labels(self, networks: InSeGANNetworks, card: InSeGANCard) -> InSeGANCard:
        """The paper's protocol: the threshold with the best mIoU on labelled validation frames."""
        if not self._validation.labelled:
            raise DatasetError(
                f'{self._dataset.path} has no labelled validation frames; '
                'use data.threshold_from=foreground'
            )
        trials = [
            replace(card, filters=replace(card.filters, threshold=round(float(t), 2)))
            for t in np.linspace(-0.95, 0.5, 15)
        ]
        return max(trials, key=lambda trial: self._judge(networks, trial)['strict_miou'])

    def _write_model(
        self,
        networks: InSeGANNetworks,
        card: InSeGANCard,
        done: int,
        *,
        figures: dict[str, float],
        health: Health,
    ) -> None:
        by_labels = self._settings.data.threshold_from == 'labels'
        start = self._start
        before = 0 if start is None else start.images_seen
        said = {
            'method': f'insegan{self._settings.model.kind}',
            'part': self._dataset.info.part,
            'made_by': f'insegan_ros {__version__}',
            'labels_used': 'the threshold was chosen on labelled validation frames'
            if by_labels
            else 'none: the threshold covers best what stands above the floor in held-out frames',
            'dataset': {'frames': len(self._frames), 'hash': self._dataset.content_hash()},
            'training': {
                'iterations': done,
                'batch': self._settings.step.batch,
                'images_seen': done * self._settings.step.batch + before,
                'seconds': round(self._seconds + time.monotonic() - self._begun),
                'seed': self._seed,
                'processor': processor(self._device),
            },
            **({} if start is None else {'began_with': start.card.get('training')}),
            'separated': health.verdict(),
            'figures': {f'validation_{k}': round(v, 4) for k, v in figures.items()},
            'settings': insegan.to_card(replace(card, refine_steps=self._settings.refine_steps)),
        }
        model_card.save_model(self._out / 'model', said, networks.state_dict())

    def draw(self, done: int) -> None:
        """Rows: held-out frames; re-rendered; segmented; their instances; generated; theirs."""
        if not self._trainer.group.leads:
            return
        networks = self.networks()
        real = self._validation.images[:SHOWN]
        alone, again = self._decompose(networks, real)
        threshold = insegan.choose_threshold(alone.numpy(), real.numpy(), self._settings.filters)
        model = self._settings.model
        latents = np.random.default_rng([self._seed, 2])
        z = latents.standard_normal((len(real), model.instances, model.z_dim), np.float32)
        with torch.inference_mode():
            codes = networks.generator.place(torch.from_numpy(z).to(self._device))
            made, single = (some.float().cpu() for some in networks.generator.render_both(codes))

        def grey(images: Tensor) -> list[NDArray[np.uint8]]:
            return [drawing.heights_picture((i.numpy() + 1) / 2, 1.0) for i in images]

        labels = [
            insegan.nearest(insegan.filtered(one.numpy(), self._settings.filters), threshold)
            for one in alone
        ]
        segmented = [
            drawing.labels_picture((image.numpy() + 1) / 2, found, 1.0)
            for image, found in zip(real, labels)
        ]
        rows = [grey(real), grey(again), segmented]
        rows += [grey(alone[:, k]) for k in range(model.instances)] + [grey(made[:, 0])]
        rows += [grey(single[:, k]) for k in range(model.instances)]
        drawing.save_rows(self._out / 'picture.png', rows)
        if self._board is not None:
            sheet = cv2.imread(str(self._out / 'picture.png'))
            if sheet is not None:
                self._board.add_image('picture', sheet[..., ::-1].copy(), done, dataformats='HWC')

    def save(self) -> None:
        """Store a checkpoint, from which the same command goes on."""
        seconds = self._seconds + time.monotonic() - self._begun
        state = {
            'trainer': self._trainer.state(),
            'best': self._best,
            'seconds': seconds,
            'done': self.done,
            'attempt': self._attempt,
        }
        checkpoint.save(self._out / 'checkpoint.pt', state)

    def resume(self) -> None:
        """Raises: CheckpointError, for a checkpoint that is damaged or of other networks."""
        path = self._out / 'checkpoint.pt'
        state = checkpoint.load(path)
        try:
            self._trainer.restore(state['trainer'])
            self._best, self._seconds = float(state['best']), float(state['seconds'])
            self.done, self._attempt = int(state['done']), int(state['attempt'])
        except (KeyError, RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f'{path} does not fit these networks ({reason}); choose another --out'
            ) from None
