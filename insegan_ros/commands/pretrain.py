"""Teach a network what piles of any part are like, from random shapes; rarely needed.

The model `any` that comes with the package is made by this command. It segments parts that it has
never seen, when it is given nothing but their length in metres, and `insegan train` begins with
its weights.
Shapes of no product are dropped into bins, and depth cameras drawn at random look at them; no
frame of a real or simulated part takes part. Shapes are made while the network learns. The same
command after an interruption goes on.

examples:
  insegan pretrain --out ~/runs/any --max-minutes 60
  insegan segment --model ~/runs/any/model:0.045 --input ~/bins/nut --out found
  insegan train --dataset ~/bins/nut --out ~/runs/nut --start ~/runs/any/model
"""

from __future__ import annotations

import argparse
from pathlib import Path

from insegan_ros.commands.options import add_device, add_workers, workers_of

SHAPES = 1500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('--out', type=Path, required=True, help="the run's folder")
    parser.add_argument('--shapes', type=int, default=SHAPES, help=f'random shapes ({SHAPES})')
    parser.add_argument('--max-minutes', type=float, default=60.0, help='of training (60)')
    parser.add_argument(
        '--start', help='a model of any part to begin with, by name or folder (none)'
    )
    parser.add_argument('--seed', type=int, default=0)
    add_device(parser)
    add_workers(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from insegan_ros.files import FolderClaim
    from insegan_ros.learn.any_model import pretrain

    if args.shapes < 1 or not args.max_minutes > 0:
        raise ValueError(
            f'--shapes {args.shapes} --max-minutes {args.max_minutes}: 1 or more shapes and '
            'more than 0 minutes are expected'
        )
    with FolderClaim(args.out):
        figures = pretrain(
            args.out,
            shapes=args.shapes,
            minutes=args.max_minutes,
            seed=args.seed,
            device=args.device,
            workers=workers_of(args),
            start=args.start,
        )
    print(', '.join(f'{name} {value}' for name, value in figures.items()))
    print(f'the model is in {args.out / "model"}')
    return 0
