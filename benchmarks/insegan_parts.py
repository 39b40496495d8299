"""InSeGAN of several parts side by side on one GPU: a stream and CUDA graphs for each run.

insegan generate --part nut --count 3000 --seed 1000 --out sets/nut        # and the other parts
python benchmarks/insegan_parts.py --sets sets --parts nut bolt --out gan --minutes 9
insegan evaluate --dataset test/nut --split test --methods kmeans,gan/nut --out results/nut

Half of the time is the generators', half the encoders'. No label is read. Without a GPU the same
steps run one by one. What is kept are models, not states to go on from.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from graphed_steps import GraphedSteps
from torch import Tensor

from insegan_ros import __version__, config
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import crop_frames, measure_crop
from insegan_ros.data.store import Dataset
from insegan_ros.device import pick_device, processor
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import FilterConfig, InSeGANCard, InSeGANNetworks
from insegan_ros.learn.insegan import pick_precision
from insegan_ros.model.insegan import InSeGAN, InSeGANConfig
from insegan_ros.training.health import examine
from insegan_ros.training.step import Trainer
from insegan_ros.training.step_config import StepConfig

HELD_OUT = 60  # frames
EVERY = 50  # steps between two looks at the losses
NEVER = 10**9


class PartRun:
    """One part's networks, frames and steps, all in a device's memory."""

    def __init__(self, part: str, folder: Path, device: torch.device, batch: int) -> None:
        dataset = Dataset(folder / part)
        indices = list(dataset.indices)
        self.part, self.device = part, device
        self.crop: CropConfig = measure_crop(dataset, indices, 64, seed=0, coding='gap')
        images = torch.from_numpy(crop_frames(dataset, indices, self.crop, seed=0))
        self.held_out = images[:HELD_OUT].float()
        self._images = images[HELD_OUT:].to(device)[:, None]
        self.model = InSeGANConfig(instances=dataset.info.instances or 5)
        steps = StepConfig(batch=batch, generator_steps=NEVER, held_steps=NEVER)
        torch.manual_seed(0)
        self.trainer = Trainer(
            InSeGAN(self.model).to(device),
            steps,
            pick_precision('auto', device.type),
            capturable=device.type == 'cuda',
        )
        self.steps = GraphedSteps(self.trainer, self._draw, device)

    def _draw(self) -> tuple[Tensor, Tensor]:
        batch, device = self.trainer.config.batch, self.device
        images = self._images[torch.randint(len(self._images), (batch,), device=device)].float()
        turned = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
        which = torch.randint(4, (batch,), device=device)
        z = torch.randn(batch, self.model.instances, self.model.z_dim, device=device)
        return turned[which, torch.arange(batch, device=device)], z

    def change(self, **settings: int) -> None:
        """Of the schedule, whose lengths are times here."""
        self.trainer.config = replace(self.trainer.config, **settings)

    def write(self, out: Path) -> str:
        """The averaged networks as a model; what is known of it without labels."""
        networks = InSeGANNetworks(self.model)
        for name, average in self.trainer.ema.items():
            getattr(networks, name).load_state_dict(average.network.state_dict())
        explained = networks.eval().decompose(self.held_out[:, None])
        error = float((explained.image - self.held_out).abs().mean())
        filters = FilterConfig()
        held_out = self.held_out.numpy().astype(np.float32)
        threshold = insegan.choose_threshold(explained.alone.numpy(), held_out, filters)
        card = InSeGANCard(self.model, self.crop, replace(filters, threshold=threshold))
        model = self.model
        generator = self.trainer.frozen_generator
        health = examine(generator, self.held_out, model.instances, z_dim=model.z_dim)
        steps, batch = self.trainer.steps, self.trainer.config.batch
        said = {
            'method': 'insegan3d',
            'part': self.part,
            'made_by': f'insegan_ros {__version__}',
            'labels_used': 'none',
            'training': {'steps': steps, 'batch': batch, 'processor': processor(str(self.device))},
            'separated': health.verdict(),
            'figures': {'held_out': round(error, 4)},
            'settings': config.plain(card),
        }
        model_card.save_model(out / self.part, said, networks.state_dict())
        return f'{steps} steps, held-out error {error:.4f}; {health.verdict()}'


def run_until(runs: list[PartRun], end: float) -> None:
    """Steps of all runs in turn."""
    count = 0
    while time.monotonic() < end:
        for run in runs:
            run.steps.step()
        count += 1
        if count % EVERY == 0:
            for run in runs:
                run.steps.check()


def main() -> None:
    """Train, and write a model of each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sets', type=Path, required=True, help='a dataset of each part')
    parser.add_argument('--parts', nargs='+', required=True)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--minutes', type=float, default=9.0, help='of training (9)')
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--device', default='auto')
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    device = torch.device(pick_device(args.device))
    runs = [PartRun(part, args.sets, device, args.batch) for part in args.parts]
    begun, length = time.monotonic(), 60 * args.minutes
    run_until(runs, begun + 0.2 * length)
    for run in runs:
        run.change(held_steps=0)
    run_until(runs, begun + 0.5 * length)
    for run in runs:
        run.change(generator_steps=run.trainer.steps, real_after=NEVER)
    run_until(runs, begun + 0.7 * length)
    for run in runs:
        run.change(real_after=0)
    run_until(runs, begun + length)
    for run in runs:
        run.steps.check()
        print(f'{run.part}: {run.write(args.out)}', flush=True)


if __name__ == '__main__':
    main()
