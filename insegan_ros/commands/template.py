"""Discover the part's shape in unlabelled images and export it as a mesh.

Nothing but depth images is used. The same command after an interruption goes on where it stopped.
OUT then holds the template, a picture (rows in pairs: what the camera saw, and the template in
the same pose, from the best to the worst explained), a record of the settings, and
resolution.csv, which says how well two halves of the crops agree on details of each size.

examples:
  insegan template --dataset ~/bins/nut --out runs/nut
  insegan template --dataset ~/bins/nut --out runs/nut --max-minutes 4 --mesh nut.ply
"""

from __future__ import annotations

import argparse
from pathlib import Path

from insegan_ros.commands.options import add_part_length, add_reading_options, dataset_given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('--dataset', type=Path, required=True, help='dataset, images or recording')
    parser.add_argument('--split', default='train', help='frames to use (train; all where none)')
    parser.add_argument('--frames', type=int, default=2400, help='at most so many (2400)')
    parser.add_argument('--out', type=Path, required=True, help='folder of the result')
    parser.add_argument('--max-minutes', type=float, default=8.0, help='time limit (8)')
    parser.add_argument('--mesh', type=Path, help='also write the surface (.ply, .stl, .obj), m')
    add_part_length(parser)
    add_reading_options(parser.add_argument_group('of images'), topic=False)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=2, help='of the CPU (2)')


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    import torch

    from insegan_ros.discovery.discover import discover
    from insegan_ros.discovery.search import Search
    from insegan_ros.files import FolderClaim
    from insegan_ros.learn.config import LearnConfig
    from insegan_ros.learn.start import Start

    config = LearnConfig(max_minutes=args.max_minutes, part_length_m=args.part_length)
    torch.set_num_threads(args.threads)
    dataset = dataset_given(args, args.dataset, args.out / 'frames').dataset
    split = args.split if args.split in dataset.splits() else 'all'
    start = Start.find(None)
    with FolderClaim(args.out):
        template = discover(
            Search(
                dataset=dataset,
                indices=dataset.split(split)[: args.frames],
                out=args.out,
                config=config.discovery,
                seed=args.seed,
                max_seconds=config.seconds,
                finder=None if start is None else start.finder(),
                part_length_m=config.part_length_m,
            )
        )
    for name, value in template.account.items():
        print(f'{name}: {value}')
    print(f'diameter_m: {template.diameter_m:.4f}')
    if args.mesh:
        template.mesh().export(args.mesh)
    return 0
