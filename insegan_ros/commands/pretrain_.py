"""Teach the network what piles of any part are like, from random shapes; rarely needed.

`insegan train` begins with the weights that come with the package (models/start), made by this
command. It drops shapes of no product into bins, renders them with a depth camera's noise, and
trains on these alone: no frame of a real or simulated part of yours takes part. The same command
after an interruption goes on.

examples:
  insegan pretrain --out ~/runs/start --max-minutes 60
  insegan train --dataset ~/bins/nut --out ~/runs/nut --start ~/runs/start/start.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

SHAPES = 240


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--out', type=Path, required=True, help="the run's folder")
    parser.add_argument('--shapes', type=int, default=SHAPES, help=f'random shapes ({SHAPES})')
    parser.add_argument('--max-minutes', type=float, default=60.0, help='of training (60)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda[:index]')
    parser.add_argument('--workers', type=int, default=0, help='processes (0: one a core)')


def run(args: argparse.Namespace) -> int:
    import os

    from tqdm import tqdm

    from insegan_ros.commands.train_explicit import train_with_bar
    from insegan_ros.distillation.examples import mixed_batch
    from insegan_ros.distillation.pretrain import ShapesConfig, load_shapes, store_shapes
    from insegan_ros.distillation.train import TrainConfig, begin
    from insegan_ros.inference import model_card

    if args.shapes < 1 or not args.max_minutes > 0:
        raise ValueError(
            f'--shapes {args.shapes} --max-minutes {args.max_minutes}: 1 or more shapes and '
            'more than 0 minutes are expected'
        )
    config, train = ShapesConfig(shapes=args.shapes), TrainConfig()
    device = model_card.pick_device(args.device)
    folder = args.out / 'shapes'
    workers = args.workers or os.cpu_count() or 1
    with tqdm(total=config.shapes, desc='shapes', unit='shape') as bar:
        for done in store_shapes(config, folder, args.seed, workers):
            bar.update(done - bar.n)
    parts = list(load_shapes(folder, config, args.seed))
    progress = begin(parts[0][1], train, args.seed, device)
    piles = sum(len(each) for each, _ in parts)
    print(f'{len(parts)} shapes, {piles} piles', flush=True)

    train_with_bar(
        progress,
        lambda rng: mixed_batch(parts, train.batch, rng),
        train,
        60 * args.max_minutes,
        args.seed,
        args.out / 'state.pt',
    )
    card = {
        'what': 'weights that the network of `insegan train` begins with',
        'made_by': 'insegan pretrain',
        'labels_used': 'none: piles of random shapes in physics; no part of any dataset',
        'shapes': len(parts),
        'piles': piles,
        'steps': progress.step,
        'batch': train.batch,
        'seed': args.seed,
        'minutes': args.max_minutes,
    }
    model_card.save_start(args.out, card, progress.average.state_dict())
    print(f'{args.out / model_card.START} holds the weights')
    return 0
