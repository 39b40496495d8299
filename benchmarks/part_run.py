"""One InSeGAN among several on a device: frames, schedule in shares of the time, model."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from graphed_steps import GraphedSteps
from torch import Tensor

from insegan_ros import __version__, config
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import crop_frames, measure_crop
from insegan_ros.data.store import Dataset
from insegan_ros.device import processor
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import FilterConfig, InSeGANCard, InSeGANNetworks
from insegan_ros.learn.insegan import pick_precision
from insegan_ros.learn.insegan_start import InSeGANStart
from insegan_ros.model.insegan import InSeGAN, InSeGANConfig
from insegan_ros.training import checkpoint
from insegan_ros.training.health import examine
from insegan_ros.training.step import Trainer
from insegan_ros.training.step_config import StepConfig

HELD_OUT = 60  # frames
STORED = 64  # px
NEVER = 10**9  # steps
SETTLED = 0.3  # of the learning rates, at the end
FALLS = 3  # states that were not finite, before a run gives up
STATE = 'state.pt'


@dataclass(frozen=True)
class Plan:
    """What a run learns, and when; shares are of the time that all runs have."""

    part: str
    method: str = 'insegan3d'
    start: str | None = None  # a model's folder, whose generator, and encoder, it goes on with
    encoder_anew: bool = False  # of the start only the generator
    seed: int = 0
    frames: int | None = None  # at most so many to learn from
    model: dict[str, Any] = field(default_factory=dict)  # of InSeGANConfig
    step: dict[str, Any] = field(default_factory=dict)  # of StepConfig
    held: float = 0.12  # until then poses hardly learn
    generator: float = 0.4  # until then generator and discriminator learn; a start has none of it
    real: float = 0.65  # from then on the encoder sees real frames
    joint: float | None = None  # from then on all three learn
    settle: float = 0.88  # from then on at SETTLED of the rates


def crops(folder: Path, part: str, size: int) -> tuple[CropConfig, Tensor]:
    """The part's crops (N, size, size), float16; they are made once, and kept, with STORED px.

    Raises:
        ValueError: a size of which STORED is no multiple.
    """
    if STORED % size:
        raise ValueError(f'image_size {size}: {STORED}, {STORED // 2} or less are expected')
    kept = folder / f'{part}.npz'
    if not kept.exists():
        dataset = Dataset(folder / part)
        indices = list(dataset.indices)
        crop = measure_crop(dataset, indices, STORED, seed=0, coding='gap')
        images = crop_frames(dataset, indices, crop, seed=0)
        np.savez(kept, images=images, crop=yaml.safe_dump(asdict(crop)))
    with np.load(kept) as stored:
        crop = config.from_mapping(CropConfig, yaml.safe_load(str(stored['crop'])))
        each = STORED // size  # a mean would fill the gap between floor and parts
        return replace(crop, size=size), torch.from_numpy(stored['images'])[:, ::each, ::each]


class PartRun:
    """One part's networks, frames and steps, all in a device's memory."""

    def __init__(self, name: str, plan: Plan, sets: Path, device: torch.device) -> None:
        self.name, self.plan, self.device = name, plan, device
        start = InSeGANStart.find(plan.start, plan.method)
        known = {} if start is None else asdict(start.settings.model)
        kind = {'kind': plan.method.removeprefix('insegan')}
        self.model = config.from_mapping(InSeGANConfig, {**known, **kind, **plan.model})
        self.crop, images = crops(sets, plan.part, self.model.image_size)
        self.held_out = images[:HELD_OUT].float()
        learned = images[HELD_OUT:][: plan.frames]
        self._images = learned.to(device)[:, None]
        steps = config.from_mapping(StepConfig, {'batch': 64, **plan.step})
        first = NEVER if start is None else 1
        steps = replace(
            steps, generator_steps=first, held_steps=NEVER, real_after=NEVER, joint_after=None
        )
        torch.manual_seed(plan.seed)
        model = InSeGAN(self.model).to(device)
        precision = pick_precision('auto', device.type)
        self.trainer = Trainer(model, steps, precision, capturable=device.type == 'cuda')
        self._seen = 0  # images, before this run
        if start is not None:
            anew = ('generator.',) if plan.encoder_anew else ('generator.', 'encoder.')
            weights = start.weights.items()
            self.trainer.begin_with({name: w for name, w in weights if name.startswith(anew)})
            self._seen = 0 if plan.encoder_anew else start.images_seen
        self._first = self.trainer.steps
        self.steps = GraphedSteps(self.trainer, self._draw, device)
        self.best, self._begun = float('inf'), time.monotonic()
        self.share, self._spent, self._falls = 0.0, 0.0, 0
        self._good = copy.deepcopy(self.trainer.state())  # what a fall goes back to
        self._coming = self._schedule(start is not None)

    def _schedule(self, started: bool) -> list[tuple[float, Callable[[], dict[str, Any]]]]:
        """When the configuration changes, and how: lengths are times here, not steps."""
        plan, trainer = self.plan, self.trainer

        def rates() -> dict[str, Any]:
            names = ('learning_rate', 'encoder_learning_rate')
            return {name: SETTLED * getattr(trainer.config, name) for name in names}

        changes: list[tuple[float, Callable[[], dict[str, Any]]]] = [
            (plan.held, lambda: {'held_steps': 0}),
            (plan.real, lambda: {'real_after': 0}),
            (plan.settle, rates),
        ]
        if not started:
            changes.append((plan.generator, lambda: {'generator_steps': trainer.steps}))
        if plan.joint is not None:
            since = trainer.config.generator_steps if started else None
            changes.append(
                (
                    plan.joint,
                    lambda: {
                        'joint_after': trainer.steps - (since or trainer.config.generator_steps)
                    },
                )
            )
        return sorted(changes, key=lambda change: change[0])

    def resume(self, out: Path) -> None:
        """Go on from what the last look kept there, if anything."""
        if not (out / self.name / STATE).exists():
            return
        kept = checkpoint.load(out / self.name / STATE)
        self.trainer.restore(kept['trainer'])
        self.trainer.config = config.from_mapping(StepConfig, kept['config'])
        self.share, self.best, self._spent = kept['share'], kept['best'], kept['seconds']
        self._good = copy.deepcopy(self.trainer.state())
        self._coming = [change for change in self._coming if change[0] > self.share]

    def go_back(self, error: FloatingPointError) -> None:
        """To the last state that was well, with fresh optimisers and without a graph.

        Raises:
            FloatingPointError: it has happened too often.
        """
        self._falls += 1
        if self._falls > FALLS:
            raise error
        self.trainer.restore(self._good, fresh=True)
        self.steps.begin_anew()
        print(f'{self.name}: {error}; back to {self.trainer.steps} steps', flush=True)

    def advance(self, share: float) -> None:
        """Change what is due when so much of the time is over."""
        self.share = share
        while self._coming and self._coming[0][0] <= share:
            change = self._coming.pop(0)[1]()
            self.trainer.config = replace(self.trainer.config, **change)

    def _draw(self) -> tuple[Tensor, Tensor]:
        batch, device = self.trainer.config.batch, self.device
        images = self._images[torch.randint(len(self._images), (batch,), device=device)].float()
        turned = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
        which = torch.randint(4, (batch,), device=device)
        z = torch.randn(batch, self.model.instances, self.model.z_dim, device=device)
        return turned[which, torch.arange(batch, device=device)], z

    def look(self, out: Path) -> str:
        """What is known without labels; the best model by held-out error is kept in `out`.

        The state is kept beside it, and is what `resume` and `go_back` go on from.
        """
        told = self._judge(out)
        self._good = copy.deepcopy(self.trainer.state())
        kept = {'share': self.share, 'best': self.best, 'seconds': self._seconds}
        settings = config.plain(self.trainer.config)
        path = out / self.name / STATE
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, {'trainer': self._good, 'config': settings, **kept})
        return told

    def _judge(self, out: Path) -> str:
        steps, model = self.trainer.steps, self.model
        generator = self.trainer.frozen_generator
        health = examine(generator, self.held_out, model.instances, z_dim=model.z_dim)
        if self.trainer.phase == 'generator':
            return f'{self.name}: {steps} steps; {health.verdict()}'
        networks = InSeGANNetworks(model).to(self.device)
        for name, average in self.trainer.ema.items():
            getattr(networks, name).load_state_dict(average.network.state_dict())
        explained = networks.eval().decompose(self.held_out[:, None].to(self.device))
        alone, again = explained.alone.float().cpu(), explained.image.float().cpu()
        error = float((again - self.held_out).abs().mean())
        if error < self.best:
            self.best = error
            self._write(networks, alone, out / self.name / 'model', health.verdict())
        losses = ', '.join(f'{k} {float(v):.3f}' for k, v in self.steps.losses.items())
        phase = self.trainer.phase + (f' (no graph: {w})' if (w := self.steps.why_not) else '')
        return f'{self.name}: {steps} steps, {phase}, held out {error:.4f} ({losses}); {health}'

    @property
    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._begun

    def _write(self, networks: InSeGANNetworks, alone: Tensor, out: Path, verdict: str) -> None:
        filters = FilterConfig()
        held_out = self.held_out.numpy().astype(np.float32)
        threshold = insegan.choose_threshold(alone.numpy(), held_out, filters)
        card = InSeGANCard(self.model, self.crop, replace(filters, threshold=threshold))
        steps, batch = self.trainer.steps - self._first, self.trainer.config.batch
        said = {
            'method': self.plan.method,
            'part': self.plan.part,
            'made_by': f'insegan_ros {__version__}',
            'labels_used': 'none: the threshold covers best what stands above the floor in '
            'held-out frames',
            'dataset': {'frames': len(self._images)},
            'training': {
                'steps': steps,
                'batch': batch,
                'images_seen': self._seen + steps * batch,
                'seconds': round(self._seconds),
                'processor': processor(str(self.device)),
                'plan': {k: v for k, v in asdict(self.plan).items() if v not in (None, {})},
            },
            'separated': verdict,
            'figures': {'held_out': round(self.best, 4)},
            'settings': config.plain(card),
        }
        model_card.save_model(out, said, networks.state_dict())
