"""Check every frame of a dataset, of a folder of images or point clouds, or of a recording.

Of a dataset it is also checked that each image is what was captured. What is broken is named and
counted; the exit code is then 1.

examples:
  insegan verify ~/bins/nut
  insegan verify ~/zivid_clouds --float-scale 0.001
"""

from __future__ import annotations

import argparse
from pathlib import Path

from insegan_ros.commands.options import add_reading_options, replay_given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('dataset', type=Path, help='the folder or file')
    add_reading_options(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from tqdm import tqdm

    with replay_given(args, args.dataset) as source:
        bar = tqdm(source.verify(), total=len(source), unit='frame')
        problems = [problem for found in bar for problem in found]
        for text in dict.fromkeys([*problems, *source.notes]):
            print(text)
        print(f'{len(source)} frames, {len(problems)} problems')
    return 1 if problems else 0
