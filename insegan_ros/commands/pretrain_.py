"""Teach a network what piles of any part are like, from random shapes; rarely needed.

The model `any` that comes with the package is made by this command. It segments parts that it has
never seen, told nothing but their length in metres, and `insegan train` begins with its weights.
Shapes of no product are dropped into bins and rendered with a depth camera's noise; no frame of a
real or simulated part takes part. The same command after an interruption goes on.

examples:
  insegan pretrain --out ~/runs/any --max-minutes 60
  insegan segment --model ~/runs/any/model:0.045 --input ~/bins/nut --out found
  insegan train --dataset ~/bins/nut --out ~/runs/nut --start ~/runs/any/model
"""

from __future__ import annotations

import argparse
from pathlib import Path

SHAPES = 600
HELD_OUT = 20  # one shape in so many is not trained on, but no more than
MOST_HELD_OUT = 30
# What the card assumes where no length is given, and of the length how thick parts are: a tenth of
# the random shapes are thinner. Centres of parts that lie on each other are no further apart.
PART_LENGTH_M, THICKNESS = 0.056, 0.35


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

    from insegan_ros import __version__
    from insegan_ros.commands.calibration import learn_to_read
    from insegan_ros.commands.stages import batch_workers, train_with_bar
    from insegan_ros.distillation.examples import mixed_batch
    from insegan_ros.distillation.network import NetworkConfig
    from insegan_ros.distillation.pretrain import ShapesConfig, load_shapes, store_shapes
    from insegan_ros.distillation.train import TrainConfig, begin
    from insegan_ros.inference import distilled_card, model_card
    from insegan_ros.synthetic.d435 import D435

    if args.shapes < 1 or not args.max_minutes > 0:
        raise ValueError(
            f'--shapes {args.shapes} --max-minutes {args.max_minutes}: 1 or more shapes and '
            'more than 0 minutes are expected'
        )
    device = model_card.pick_device(args.device)
    config, train = ShapesConfig(shapes=args.shapes), TrainConfig().on(device)
    folder = args.out / 'shapes'
    workers = args.workers or os.cpu_count() or 1
    with tqdm(total=config.shapes, desc='shapes', unit='shape') as bar:
        for done in store_shapes(config, folder, args.seed, workers):
            bar.update(done - bar.n)
    parts = list(load_shapes(folder, config, args.seed))
    last = max(1, min(len(parts) // HELD_OUT, MOST_HELD_OUT))
    held, taught = parts[-last:], parts[:-last] or parts
    height = sum(config.camera_height) / 2
    assumed = NetworkConfig(PART_LENGTH_M, THICKNESS * PART_LENGTH_M, height / D435.fx)
    progress = begin(assumed, train, args.seed, device)
    piles = sum(len(each) for each, _ in taught)
    print(f'{len(taught)} shapes, {piles} piles', flush=True)
    train_with_bar(
        progress,
        lambda rng: mixed_batch(taught, train.batch, rng),
        train,
        60 * args.max_minutes,
        args.seed,
        args.out / 'state.pt',
        batch_workers(device, workers),
    )
    read = learn_to_read(progress.average, held, args.seed)
    figures = {
        'strict_miou_on_unseen_shapes': round(read.strict_miou, 4),
        'count_accuracy_on_unseen_shapes': round(read.count_accuracy, 4),
    }
    card = {
        'method': 'explicit',
        'part': 'any',
        'made_by': f'insegan_ros {__version__}, insegan pretrain',
        'labels_used': 'none: piles of random shapes in physics taught the network',
        'dataset': {'random_shapes': len(taught), 'piles': piles, 'frames_of_parts': 0},
        'training': {
            'steps': progress.step,
            'batch': train.batch,
            'minutes': args.max_minutes,
            'seed': args.seed,
            'processor': model_card.processor(device),
        },
        'figures': figures,
        'settings': distilled_card.to_card(
            assumed, read.votes, lengths_px=config.part_px, existence=read.existence
        ),
    }
    model_card.save_model(args.out / 'model', card, progress.average.state_dict())
    print(', '.join(f'{name} {value}' for name, value in figures.items()))
    print(f'the model is in {args.out / "model"}')
    return 0
