"""One InSeGAN run: its step, its validation, its rescues."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from insegan_ros import config
from insegan_ros.crop import CropConfig, decode
from insegan_ros.data.frames import Frames
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import InSeGANCard, InSeGANNetworks
from insegan_ros.learn.insegan_picture import save_picture
from insegan_ros.learn.insegan_start import InSeGANStart
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.training_run import SHOWN, TrainingRun, Validation
from insegan_ros.model.insegan import InSeGAN
from insegan_ros.training.health import Health, examine
from insegan_ros.training.step import Trainer

KEPT_EVERY = 200  # steps: a state to go back to
SAID_EVERY = 10  # iterations whose mean losses are shown


class InSeGANRun(TrainingRun):
    """One run's state and what the loop calls."""

    def __init__(
        self,
        job: Job,
        crop: CropConfig,
        trainer: Trainer,
        *,
        frames: Frames,
        validation: Validation,
        start: InSeGANStart | None = None,
    ) -> None:
        super().__init__(job, crop, frames=frames, validation=validation)
        self._trainer, self._settings, self._start = trainer, job.config, start
        self._attempt, self._falls = 0, 0
        self._good: dict[str, Any] | None = None  # the state that a fall goes back to
        self._recent: list[Mapping[str, Tensor]] = []

    def step(self, k: int) -> dict[str, Tensor]:
        """Iteration k: what is drawn depends on (seed, attempt, k) alone.

        Raises:
            FloatingPointError: losses exploded too often.
        """
        batch = self._settings.step.batch
        rows = self._trainer.group.share(batch)
        source = [self.job.seed, self._attempt, k]
        real = self.frames.batch(batch, np.random.default_rng([0, *source]))[rows]
        z = self._latents(batch, [1, *source])[rows]
        self.done = k + 1
        if self._good is None:
            self._good = copy.deepcopy(self._trainer.state())
        try:
            losses = self._trainer.step(real, z.to(self.job.device))
        except FloatingPointError as error:
            self._go_back(error)
            return {}
        if self._trainer.steps % KEPT_EVERY == 0:
            self._good = copy.deepcopy(self._trainer.state())
        if self._trainer.steps == self._settings.rescue.examine_at:
            self._begin_anew_if_hopeless()
        return losses

    def _latents(self, count: int, seed: list[int]) -> Tensor:
        shape = (count, self._settings.model.instances, self._settings.model.z_dim)
        return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))

    def _go_back(self, error: FloatingPointError) -> None:
        self._falls += 1
        if self._good is None or self._falls > self._settings.rescue.falls:
            raise error
        self._trainer.restore(self._good, fresh=True)
        self._say(f'{error}; back to the state after {self._trainer.steps} steps')

    def _begin_anew_if_hopeless(self) -> None:
        health = self.health()
        rescue = self._settings.rescue
        if not health.whole_scenes or self._trainer.phase in ('encoder', 'joint'):
            return
        if self._attempt >= rescue.restarts:
            self._say(f'{health.verdict()}; {rescue.restarts} restarts have not mended it')
            return
        self._attempt += 1
        seed = self.job.seed + 1000 * self._attempt
        self._say(f'{health.verdict()}; begins anew with seed {seed}')
        torch.manual_seed(seed)
        model = InSeGAN(self._settings.model).to(self.job.device)
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
            self.validation.images,
            model.instances,
            z_dim=model.z_dim,
        )

    def verdict(self) -> str:
        """Separated or not, and how that is known; what is missing of a model."""
        said = self.health().verdict()
        if self.best == float('inf'):
            return f'{said}. There is no model yet: the encoder has not begun to learn'
        return f'{said}. Held-out frames are re-rendered to {self.best:.4f} of their range'

    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        """Show the mean losses of the last steps."""
        rate = self.advance(done) * self._settings.step.batch
        if self._recent and self._recent[-1].keys() != losses.keys():
            self._recent = []
        if losses:
            self._recent.append(losses)
        if done % SAID_EVERY == 0 and self._recent:
            named = {
                f'L_{name}': float(torch.stack([some[name] for some in self._recent]).mean())
                for name in self._recent[-1]
            }
            self._recent = []
            self.show(done, named, **{'img/s': f'{rate:.0f}'})

    def networks(self) -> InSeGANNetworks:
        """The averaged generator and encoder, those that are judged and kept."""
        networks = InSeGANNetworks(self._settings.model).to(self.job.device).eval()
        for name, ema in self._trainer.ema.items():
            getattr(networks, name).load_state_dict(ema.network.state_dict())
        return networks

    def validate(self, done: int) -> None:
        """Keep the model if it re-renders held-out real frames better than any before."""
        if not self._trainer.group.leads:
            return
        health = self.health()
        figures = {f'health_{name}': value for name, value in health.signs.items()}
        better = False
        if self._trainer.phase != 'generator':
            networks = self.networks()
            alone, again = self._decompose(networks, self.validation.images)
            error = float((again - self.validation.images).abs().mean())
            figures['rerendering'] = error
            figures['rerendering_mm'] = 1000 * float(
                np.abs(self._metres(again) - self._metres(self.validation.images)).mean()
            )
            card = self._chosen(alone)
            segmenter = insegan.InSeGANSegmenter(networks, card, seed=self.job.seed)
            figures.update(self.judged(segmenter))
            better = error < self.best
            if better:
                self.best = error
                self._write_model(networks, card, done, figures=figures, health=health)
        self.record_figures(figures, done, better=better)
        self.save()

    def _metres(self, images: Tensor) -> NDArray[np.float32]:
        return decode(images.numpy(), self.crop)

    def _chosen(self, alone: Tensor) -> InSeGANCard:
        filters = self._settings.filters
        threshold = insegan.choose_threshold(
            alone.numpy(), self.validation.images.numpy(), filters
        )
        filters = replace(filters, threshold=threshold)
        return InSeGANCard(self._settings.model, self.crop, filters, turns=self._settings.turns)

    def _decompose(self, networks: InSeGANNetworks, images: Tensor) -> tuple[Tensor, Tensor]:
        settings = self._settings
        found = [
            networks.decompose(some[:, None].to(self.job.device), turns=settings.turns)
            for some in images.split(32)
        ]
        alone = torch.cat([some.alone.float().cpu() for some in found])
        return alone, torch.cat([some.image.float().cpu() for some in found])

    def _write_model(
        self,
        networks: InSeGANNetworks,
        card: InSeGANCard,
        done: int,
        *,
        figures: dict[str, float],
        health: Health,
    ) -> None:
        said = self.card(
            done,
            self._settings.step.batch,
            figures=figures,
            labels_used='none: the threshold covers best what stands above the floor in held-out '
            'frames',
        )
        if self._start is not None:
            said['training']['images_seen'] += self._start.images_seen
            said['began_with'] = self._start.card.get('training')
        said['separated'] = health.verdict()
        kept = replace(card, refine_steps=self._settings.refine_steps)
        said['settings'] = config.plain(kept)
        model_card.save_model(self.job.model, said, networks.state_dict())

    def draw(self, done: int) -> None:
        """Rows: held-out frames; re-rendered; segmented; their instances; generated; theirs."""
        if not self._trainer.group.leads:
            return
        networks = self.networks()
        real = self.validation.images[:SHOWN]
        z = self._latents(len(real), [self.job.seed, 2]).to(self.job.device)
        with torch.inference_mode():
            made, single = networks.generator.render_both(networks.generator.place(z))
        save_picture(
            self.job.out / 'picture.png',
            real,
            self._decompose(networks, real),
            generated=(made.float().cpu(), single.float().cpu()),
            filters=self._settings.filters,
        )
        sheet = cv2.imread(str(self.job.out / 'picture.png'))
        if self._board is not None and sheet is not None:
            self._board.add_image('picture', sheet[..., ::-1].copy(), done, dataformats='HWC')

    def state(self) -> dict[str, Any]:
        """Of the trainer, and which attempt this is."""
        return {'trainer': self._trainer.state(), 'attempt': self._attempt}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._trainer.restore(state['trainer'])
        self._attempt = int(state['attempt'])
