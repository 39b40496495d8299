"""Check every frame of a dataset folder and count what is broken.

example:
  insegan verify ~/bins/nut
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('dataset', type=Path, help='the dataset folder')


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from tqdm import tqdm

    from insegan_ros.data.store import Dataset

    dataset = Dataset(args.dataset)
    bar = tqdm(dataset.verify(), total=len(dataset), unit='frame')
    problems = [problem for found in bar for problem in found]
    for problem in problems:
        print(problem)
    print(f'{len(dataset)} frames, {len(problems)} problems')
    return 1 if problems else 0
