"""InSeGANs in turn on one GPU, by CUDA graphs, or on a processor.

insegan generate --part nut --count 3000 --seed 1000 --out paper/train/nut    # and the other parts
python benchmarks/insegan_parts.py --plans benchmarks/insegan_plans.yaml --groups continued \
  --starts earlier --sets paper/train --out paper/runs --minutes 9
python benchmarks/paper.py table1 --work paper --minutes 0 --methods insegan3d    # judges them

A plan says a run's part and settings, and which share of the time each of its phases has
(`part_run.Plan`); what shall overlap on a GPU runs in several processes, with other groups. No
label is read. Without a GPU the same steps run one by one, and minutes are those of the
processor. What is kept are models, those with the lowest held-out re-rendering error so far, which
a plan may `start` with, and states, from which the same command goes on.
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
    """Do it with each; one that is not finite goes back, one that fails is out."""
    left = []
    for run in runs:
        try:
            try:
                what(run)
            except FloatingPointError as error:
                run.go_back(error)
            left.append(run)
        except (FloatingPointError, RuntimeError):
            print(f'{run.name}: out\n{traceback.format_exc()}', flush=True)
    return left


def train(
    runs: list[PartRun], out: Path, seconds: float, every: float, clock: Callable[[], float]
) -> None:
    """Steps of all runs in turn; each is looked at `every` so many seconds, and at the end.

    Args:
        seconds: of `clock`, with those of earlier calls from which the runs go on.
    """
    begun = clock() - seconds * min((run.share for run in runs), default=0.0)
    told, count = clock(), 0

    def step(run: PartRun) -> None:
        run.advance((clock() - begun) / seconds)
        run.steps.step()

    def look(run: PartRun) -> None:
        print(f'{clock() - begun:4.0f} s  {run.look(out)}', flush=True)

    while runs and (now := clock()) < begun + seconds:
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
    parser.add_argument('--minutes', type=float, default=9.0, help='of training, in all calls (9)')
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
                run = PartRun(name, chosen, args.sets, device)
                run.resume(args.out)
                if chosen.start is not None and not run.share:
                    print(f'begins with {run.look(args.out)}', flush=True)  # the first best
                runs.append(run)
            except (OSError, ValueError, RuntimeError) as error:
                print(f'{name}: left out: {error}', flush=True)
    clock, left = time.process_time, 60 * args.minutes
    if device.type == 'cuda':  # whose time is lent whole
        clock, left = time.monotonic, left - (time.monotonic() - begun)
    print(f'{len(runs)} runs on {device}, {left:.0f} s', flush=True)
    train(runs, args.out, left, args.every, clock)


if __name__ == '__main__':
    main()
