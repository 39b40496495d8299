"""InSeGANs side by side on one GPU: a stream and CUDA graphs for each run.

insegan generate --part nut --count 3000 --seed 1000 --out paper/train/nut    # and the other parts
python benchmarks/insegan_parts.py --plans benchmarks/insegan_plans.yaml --groups continued \
  --starts earlier --sets paper/train --out paper/runs --minutes 9
python benchmarks/paper.py table1 --work paper --minutes 0 --methods insegan3d    # judges them

A plan says a run's part and settings, and which share of the time each of its phases has
(`part_run.Plan`); runs of several groups may go side by side in several processes. No label is
read. Without a GPU the same steps run one by one. What is kept are models, those with the lowest
held-out re-rendering error so far, not states to go on from: a plan may `start` with one.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from part_run import PartRun, Plan

from insegan_ros import config
from insegan_ros.device import pick_device

EVERY = 50  # steps between two looks at the losses


def still_well(runs: list[PartRun], what: Callable[[PartRun], object]) -> list[PartRun]:
    """Do it with each; a run that fails is out, and the others go on."""
    left = []
    for run in runs:
        try:
            what(run)
            left.append(run)
        except (FloatingPointError, RuntimeError):
            print(f'{run.name}: out\n{traceback.format_exc()}', flush=True)
    return left


def train(runs: list[PartRun], out: Path, seconds: float, every: float) -> None:
    """Steps of all runs in turn; each is looked at `every` so many seconds, and at the end."""
    begun = told = time.monotonic()
    count = 0

    def step(run: PartRun) -> None:
        run.advance((time.monotonic() - begun) / seconds)
        run.steps.step()

    def look(run: PartRun) -> None:
        print(f'{time.monotonic() - begun:4.0f} s  {run.look(out)}', flush=True)

    while runs and (now := time.monotonic()) < begun + seconds:
        runs = still_well(runs, step)
        count += 1
        if count % EVERY == 0:
            runs = still_well(runs, lambda run: run.steps.check())
        if now > told + every:
            told = now
            runs = still_well(runs, lambda run: run.steps.check())
            runs = still_well(runs, look)
    still_well(still_well(runs, lambda run: run.steps.check()), look)


def main() -> None:
    """Read the plans, train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--plans', type=Path, required=True, help='YAML: groups of named plans')
    parser.add_argument('--groups', nargs='+', required=True, help='of the file')
    parser.add_argument('--sets', type=Path, required=True, help='a dataset of each part')
    parser.add_argument('--starts', type=Path, default=Path(), help='where plans find models')
    parser.add_argument('--out', type=Path, required=True, help='<out>/<run>/model')
    parser.add_argument('--minutes', type=float, default=9.0, help='of training (9)')
    parser.add_argument('--every', type=float, default=30.0, help='seconds between looks (30)')
    parser.add_argument('--device', default='auto')
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    begun, device = time.monotonic(), torch.device(pick_device(args.device))
    groups = yaml.safe_load(args.plans.read_text())
    if unknown := sorted({*args.groups} - {*groups}):
        parser.error(f'--groups {" ".join(unknown)}: {args.plans} has {", ".join(groups)}')
    runs = []
    for group in args.groups:
        for name, plan in groups[group].items():
            try:
                chosen = config.from_mapping(Plan, plan, f'{name}.')
                if chosen.start is not None:
                    chosen = replace(chosen, start=str(args.starts / chosen.start))
                runs.append(PartRun(name, chosen, args.sets, device))
            except (OSError, ValueError, RuntimeError) as error:
                print(f'{name}: left out: {error}', flush=True)
    left = 60 * args.minutes - (time.monotonic() - begun)
    print(f'{len(runs)} runs on {device}, {left:.0f} s', flush=True)
    train(runs, args.out, left, args.every)


if __name__ == '__main__':
    main()
