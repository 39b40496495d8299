"""Learn a model of the part from unlabelled depth images.

The run's folder holds what each stage found, a picture of it, and its figures; the same command
after an interruption goes on. Labels are never read, even where the dataset has some. Where no
shape explains the frames, the random shapes that look most like what they show teach the network:
masks, but no poses.

examples:
  insegan train --dataset ~/bins/nut --out ~/runs/nut
  insegan train --dataset ~/bins/nut --out ~/runs/nut --max-minutes 15
  insegan train --dataset ~/bins/nut --out ~/runs/gan --method insegan3d --max-minutes 60 \\
      --config config/train/insegan_reference.yaml --set step.batch=32
  torchrun --nproc-per-node 4 -m insegan_ros.cli train --dataset ~/bins/nut --out ~/runs/gan \\
      --method insegan3d
then:
  insegan segment --input ~/bins/nut --model ~/runs/nut/model --out ~/segmented
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from insegan_ros.commands.part_length import add_part_length, require_part_length

# method -> (the module whose run(args) trains it, what it is)
METHODS = {
    'explicit': (
        'insegan_ros.learn.distilled_run',
        "discover the part's shape, pile it up in physics, teach a network from the piles",
    ),
    'insegan3d': (
        'insegan_ros.learn.insegan',
        "the paper's InSeGAN: a GAN with an implicit 3-D template, and an encoder that inverts it",
    ),
    'insegan2d': (
        'insegan_ros.learn.insegan',
        "the paper's ablation without a template",
    ),
    'slot_attention': ('insegan_ros.learn.baseline', 'Slot Attention (Locatello et al. 2020)'),
    'bo_qsa': ('insegan_ros.learn.baseline', 'Slot Attention with learned starts (BO-QSA, 2023)'),
    'iodine': ('insegan_ros.learn.baseline', 'IODINE (Greff et al. 2019)'),
    'wu': ('insegan_ros.learn.baseline', 'our reconstruction of Wu et al. 2019'),
}

CONFIGURED = tuple(name for name in METHODS if name != 'explicit')
ONLY_FOR = {  # options that mean nothing to the other methods
    'config': CONFIGURED,
    'set': CONFIGURED,
    'start': ('explicit',),
    'part-length': ('explicit',),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--dataset', type=Path, required=True, help='folder of depth frames')
    parser.add_argument('--out', type=Path, required=True, help="the run's folder")
    described = '; '.join(f'{name}: {text}' for name, (_, text) in METHODS.items())
    parser.add_argument('--method', choices=list(METHODS), default='explicit', help=described)
    parser.add_argument(
        '--max-minutes',
        type=float,
        help='explicit: shared out among its stages (30), and with more than a finished run had '
        'its network goes on learning; all others: of this call (no limit)',
    )
    parser.add_argument(
        '--config',
        type=Path,
        action='append',
        metavar='FILE',
        help='all but explicit: YAML of settings that override the defaults; may be repeated',
    )
    parser.add_argument(
        '--set',
        action='append',
        metavar='KEY=VALUE',
        help='all but explicit: one setting, e.g. model.z_dim=64; <out>/config.yaml shows all',
    )
    parser.add_argument(
        '--start',
        metavar='MODEL',
        help='explicit: the model whose network to begin with, by name or folder, or `none` (any)',
    )
    add_part_length(parser)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda[:index]')
    parser.add_argument(
        '--workers', type=int, default=0, help='processes that make piles (0: one a core)'
    )


def run(args: argparse.Namespace) -> int:
    if args.max_minutes is not None and not args.max_minutes > 0:
        raise ValueError(f'--max-minutes is {args.max_minutes}; more than 0 is expected')
    require_part_length(args)
    for option, methods in ONLY_FOR.items():
        if getattr(args, option.replace('-', '_')) and args.method not in methods:
            raise ValueError(
                f'--{option} is not for the method {args.method}, but for {", ".join(methods)}'
            )
    module, _ = METHODS[args.method]
    return int(importlib.import_module(module).run(args))
