"""Learn a model of the part from unlabelled depth images.

The run's folder holds what each stage found, a picture of it, and its figures; the same command
after an interruption goes on. Labels are never read, even where the dataset has some.

examples:
  insegan train --dataset ~/bins/nut --out ~/runs/nut
  insegan train --dataset ~/bins/nut --out ~/runs/nut --max-minutes 15
then:
  insegan segment --dataset ~/bins/nut --model ~/runs/nut/model --out ~/segmented
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

# method -> (the module whose run(args) trains it, what it is)
METHODS = {
    'explicit': (
        'insegan_ros.commands.train_explicit',
        "discover the part's shape, pile it up in physics, teach a network from the piles",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--dataset', type=Path, required=True, help='folder of depth frames')
    parser.add_argument('--out', type=Path, required=True, help="the run's folder")
    described = '; '.join(f'{name}: {text}' for name, (_, text) in METHODS.items())
    parser.add_argument('--method', choices=list(METHODS), default='explicit', help=described)
    parser.add_argument(
        '--max-minutes', type=float, default=30.0, help='shared out among the stages (30)'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda[:index]')
    parser.add_argument(
        '--workers', type=int, default=0, help='processes that make piles (0: one a core)'
    )


def run(args: argparse.Namespace) -> int:
    if not args.max_minutes > 0:
        raise ValueError(f'--max-minutes is {args.max_minutes}; more than 0 is expected')
    module, _ = METHODS[args.method]
    return int(importlib.import_module(module).run(args))
