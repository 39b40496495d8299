"""What quarter turns and refinement are worth to a trained InSeGAN, without labels.

python benchmarks/insegan_inference.py --model runs/gan/model --dataset sets/nut --split val \
    --turns 1 4 --steps 0 10 40

The error of re-rendering, in an image's range of 2, over frames of a split that the model has not
learned from; and over scenes that its own generator draws, where the instances are known, the
strict mIoU with which they are found again. A setting is chosen by these two, never by labels.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from ten_parts_tables import table
from torch import Tensor

from insegan_ros import config
from insegan_ros.data.frames import crop_frames
from insegan_ros.data.store import Dataset
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import InSeGANCard, InSeGANNetworks
from insegan_ros.model.set_losses import MIDDLE
from insegan_ros.training.noise import measured

EMPTY = -1 + 1e-3  # above it something was measured above the floor


def load(folder: Path) -> tuple[InSeGANNetworks, InSeGANCard]:
    """The networks of a model, and its card."""
    card = config.from_mapping(InSeGANCard, model_card.read_card(folder)['settings'])
    networks = InSeGANNetworks(card.model)
    networks.load_state_dict(model_card.load_weights(folder))
    return networks.eval(), card


@torch.no_grad()
def drawn(networks: InSeGANNetworks, card: InSeGANCard, count: int) -> tuple[Tensor, Tensor]:
    """Scenes of the generator as a camera would measure them, and their labels (B, S, S)."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(count, card.model.instances, card.model.z_dim, generator=rng)
    image, alone = networks.generator.render_both(networks.generator.place(z))
    labels = torch.where(alone.amax(dim=1) > MIDDLE, 1 + alone.argmax(dim=1), 0)
    return measured(image, rng)[:, 0], labels


def found(alone: Tensor, images: Tensor, card: InSeGANCard) -> list[np.ndarray]:
    """Labels, as the segmenter reads renderings."""
    labels = []
    for each, image in zip(alone.numpy(), images.numpy()):
        seen = insegan.filtered(each, card.filters)
        seen = insegan.nearest(seen, card.filters.threshold)
        labels.append(insegan.filled(seen, image > EMPTY))
    return labels


def measure(
    networks: InSeGANNetworks, card: InSeGANCard, images: Tensor, turns: int, steps: int
) -> tuple[float, list[np.ndarray]]:
    """The error over images (B, S, S), and their labels."""
    alone, again = [], []
    for some in images.split(4):
        explained = networks.decompose(some[:, None], steps, turns=turns)
        alone.append(explained.alone)
        again.append(explained.image)
    error = float((torch.cat(again) - images).abs().mean())
    return error, found(torch.cat(alone), images, card)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', type=Path, required=True)
    parser.add_argument('--dataset', type=Path, required=True)
    parser.add_argument('--split', default='val')
    parser.add_argument('--frames', type=int, default=30)
    parser.add_argument('--turns', type=int, nargs='+', default=[1, 2, 4])
    parser.add_argument('--steps', type=int, nargs='+', default=[0])
    args = parser.parse_args()
    networks, card = load(args.model)
    dataset = Dataset(args.dataset)
    indices = dataset.split(args.split)[: args.frames]
    held_out = torch.from_numpy(crop_frames(dataset, indices, card.crop, seed=0)).float()
    scenes, truth = drawn(networks, card, args.frames)
    rows = []
    for turns in args.turns:
        for steps in args.steps:
            begun = time.monotonic()
            error, _ = measure(networks, card, held_out, turns, steps)
            seconds = (time.monotonic() - begun) / len(held_out)
            own, labels = measure(networks, card, scenes, turns, steps)
            pairs = zip(labels, truth.numpy())
            iou = np.nanmean([strict_miou(label, true) for label, true in pairs])
            cells = [f'{error:.4f}', f'{own:.4f}', f'{iou:.3f}', f'{seconds:.2f}']
            rows.append([str(turns), str(steps), *cells])
            print(' '.join(rows[-1]), flush=True)
    head = ['held-out error', 'error, own scenes', 'strict mIoU, own scenes', 's a frame']
    print(table(['turns', 'steps', *head], rows))


if __name__ == '__main__':
    main()
