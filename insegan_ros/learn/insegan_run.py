"""One InSeGAN run: its step, its validation, its pictures, its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from insegan_ros import __version__, drawing
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import (
    Frames,
)
from insegan_ros.data.store import DatasetError, Sample
from insegan_ros.device import processor
from insegan_ros.evaluation.metrics import paper_miou, strict_miou
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import InSeGANCard, InSeGANNetworks
from insegan_ros.learn.run_folder import Job
from insegan_ros.optional import needed_for
from insegan_ros.training import checkpoint
from insegan_ros.training.step import Trainer

with needed_for('training InSeGAN'):
    from torch.utils.tensorboard.writer import SummaryWriter

SHOWN = 8  # frames in a picture


@dataclass(frozen=True)
class Validation:
    """Held-out frames: their crops, and those that happen to have labels."""

    images: Tensor  # (V, S, S) float32
    labelled: list[Sample]


class InSeGANRun:
    """One run's state and what the loop calls."""

    def __init__(
        self, job: Job, crop: CropConfig, trainer: Trainer, validation: Validation, frames: Frames
    ) -> None:
        self._out, self._settings, self._dataset, self._crop = (
            job.out,
            job.config,
            job.dataset,
            crop,
        )
        self._trainer, self._validation, self._seed = trainer, validation, job.seed
        self._frames, self._device = frames, job.device
        self._best = float('inf')
        self._seconds, self._begun = 0.0, time.monotonic()
        self._bar: tqdm | None = None
        self._board: SummaryWriter | None = None
        self._recent: list[Tensor] = []

    def open_bar(self) -> None:
        done = self._trainer.steps
        total = self._settings.loop.iterations
        self._bar = tqdm(total=total, initial=done, unit='it', desc='train')
        self._board = SummaryWriter(str(self._out / 'tensorboard'), purge_step=done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()

    def step(self, k: int) -> dict[str, Tensor]:
        """Iteration k: what is drawn depends on (seed, k) alone."""
        batch = self._settings.step.batch
        rows = self._trainer.group.share(batch)
        real = self._frames.batch(batch, np.random.default_rng([self._seed, 0, k]))[rows]
        model = self._settings.model
        latents = np.random.default_rng([self._seed, 1, k])
        z = latents.standard_normal((batch, model.instances, model.z_dim), np.float32)[rows]
        return self._trainer.step(real, torch.from_numpy(z).to(self._device))

    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        self._recent.append(torch.stack(list(losses.values())))
        assert self._bar is not None
        assert self._board is not None
        self._bar.update(done - self._bar.n)
        if done % 10 == 0:
            mean = torch.stack(self._recent).mean(dim=0).tolist()
            self._recent = []
            rate = self._bar.format_dict['rate'] or 0.0
            named = {f'L_{name}': value for name, value in zip(losses, mean)}
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
        networks = self.networks()
        alone, again = self._decompose(networks, self._validation.images)
        error_mm = float((again - self._validation.images).abs().mean())
        error_mm *= self._crop.height_m / 2 * 1000
        figures: dict[str, float] = {'rerendering_mm': error_mm}
        filters = self._settings.filters
        threshold = insegan.choose_threshold(
            alone.numpy(), self._validation.images.numpy(), filters
        )
        card = InSeGANCard(self._settings.model, self._crop, replace(filters, threshold=threshold))
        if self._settings.data.threshold_from == 'labels':
            card = self._threshold_by_labels(networks, card)
        figures.update(self._judge(networks, card))
        assert self._board is not None
        for name, value in figures.items():
            self._board.add_scalar(f'validation/{name}', value, done)
        told = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
        better = error_mm < self._best
        tqdm.write(f'{done} iterations: {told}{" (best so far)" if better else ""}')
        if better:
            self._best = error_mm
            self._write_model(networks, card, done, figures)
        self.save()

    def _decompose(self, networks: InSeGANNetworks, images: Tensor) -> tuple[Tensor, Tensor]:
        alone, again = [], []
        for some in images.split(32):
            a, b = networks.decompose(some[:, None].to(self._device))
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
        self, networks: InSeGANNetworks, card: InSeGANCard, done: int, figures: dict[str, float]
    ) -> None:
        by_labels = self._settings.data.threshold_from == 'labels'
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
                'images_seen': done * self._settings.step.batch,
                'seconds': round(self._seconds + time.monotonic() - self._begun),
                'seed': self._seed,
                'processor': processor(self._device),
            },
            'figures': {f'validation_{k}': round(v, 4) for k, v in figures.items()},
            'settings': insegan.to_card(card),
        }
        model_card.save_model(self._out / 'model', said, networks.state_dict())

    def draw(self, done: int) -> None:
        """A row each: real held-out frames; re-rendered; segmented; their instances; generated."""
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
            made = networks.generator(torch.from_numpy(z).to(self._device))[0][:, 0].float().cpu()

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
        rows += [grey(alone[:, k]) for k in range(model.instances)] + [grey(made)]
        drawing.save_rows(self._out / 'picture.png', rows)
        if self._board is not None:
            sheet = cv2.imread(str(self._out / 'picture.png'))
            if sheet is not None:
                self._board.add_image('picture', sheet[..., ::-1].copy(), done, dataformats='HWC')

    def save(self) -> None:
        seconds = self._seconds + time.monotonic() - self._begun
        state = {'trainer': self._trainer.state(), 'best': self._best, 'seconds': seconds}
        checkpoint.save(self._out / 'checkpoint.pt', state)

    def resume(self) -> None:
        """Raises: CheckpointError, for a checkpoint that is damaged or of other networks."""
        path = self._out / 'checkpoint.pt'
        state = checkpoint.load(path)
        try:
            self._trainer.restore(state['trainer'])
            self._best, self._seconds = float(state['best']), float(state['seconds'])
        except (KeyError, RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f'{path} does not fit these networks ({reason}); choose another --out'
            ) from None
