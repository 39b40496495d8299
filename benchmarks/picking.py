"""Bins emptied in the simulated cell: what each segmenter gets out of them, with which gripper.

python benchmarks/picking.py --work picking                              # resumes by itself
python benchmarks/picking.py --work picking --parts cylinder bolt --methods own kmeans --bins 3
python benchmarks/picking.py --work picking --calibrate                  # a gripper's chance, anew
python benchmarks/picking.py --work picking --grippers cup_9mm jaw_60mm  # changed by rule
python benchmarks/picking.py --work picking --parts nut bolt --methods 'runs/{part}/model'
python benchmarks/picking.py --work picking --tables-only

Every method gets the same bins, filled by the same seeds. K-means is given how many parts are
left, `any` the part's length; the others are given nothing. A method may also be a model's
folder, in which {part} stands for the part's name: what `insegan train --mesh` learned from CAD
models. Figures: the share of tried picks that lift exactly the part that was meant, bins emptied
without help (three misses in a row end a bin), from frame to picks in milliseconds, and how far
promised chances are from what happened (expected calibration error). `--calibrate` fits the
chance to bins of other seeds than those of the tables, in which picks are tried in any order and
ten misses in a row end a bin. `--processor-time` is for a machine that does other work as well:
the poses' budget and the milliseconds are then those of this thread's processor time (give it one
thread).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from ten_parts import LENGTHS, PARTS

from insegan_ros import baselines
from insegan_ros.evaluation.picking import (
    BinRun,
    CellConfig,
    Look,
    MakeSegmenter,
    Sight,
    SimulatedCell,
    looker,
)
from insegan_ros.files import write_atomically
from insegan_ros.inference import model_card
from insegan_ros.inference.poses import PoseEstimator
from insegan_ros.parts_bin import Bin
from insegan_ros.picks.chance import expected_calibration_error, fit_chance
from insegan_ros.picks.gripper import find_gripper
from insegan_ros.synthetic.parts import make_part
from insegan_ros.synthetic.pick_cell import Outcome
from insegan_ros.types import DepthFrame, Segmenter

METHODS = ('own', 'any', 'kmeans', 'felzenszwalb')
CALIBRATION_SEED = 1000  # of the first bin that a chance is fitted to
CALIBRATION_MISSES = 10  # in a row end such a bin
SEED = 100  # of the first bin of the tables; no rule was made with these


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--work', type=Path, required=True, help='folder of all results')
    parser.add_argument('--parts', nargs='+', default=list(PARTS), choices=PARTS)
    parser.add_argument('--methods', nargs='+', default=list(METHODS))
    parser.add_argument('--bins', type=int, default=10, help='for each part and method')
    parser.add_argument('--count', type=int, default=20, help='parts in a full bin')
    parser.add_argument(
        '--grippers', nargs='+', default=['cup_9mm'], help='by name, or YAML files'
    )
    parser.add_argument('--processor-time', action='store_true', help='not the clock on the wall')
    parser.add_argument('--calibrate', action='store_true', help="fit the gripper's chance")
    parser.add_argument('--tables-only', action='store_true', help='of what is there')
    return parser.parse_args()


def maker(method: str, part: str) -> MakeSegmenter:
    """How a method is made for a bin in which so many parts are left."""
    if method in baselines.METHODS:
        return lambda parts_bin, left: baselines.make(method, left, parts_bin)
    name = {'own': part, 'any': f'any:{LENGTHS[part]}'}.get(method, method).format(part=part)
    loaded: dict[Bin, Segmenter] = {}

    def make(parts_bin: Bin, _: int) -> Segmenter:
        if parts_bin not in loaded:
            loaded[parts_bin] = model_card.load_segmenter(name, 'cpu', parts_bin)
        return loaded[parts_bin]

    return make


def anyhow(look: Look, seed: int) -> Look:
    """The same picks in any order: a chance that is fitted to the best ones alone knows no bad."""
    rng = np.random.default_rng(seed)

    def shuffled(
        frame: DepthFrame, parts_bin: Bin, left: int, *, failed: NDArray[np.floating]
    ) -> Sight:
        sight = look(frame, parts_bin, left, failed=failed)
        order = rng.permutation(len(sight.picks))
        return replace(sight, picks=tuple(sight.picks[k] for k in order))

    return shuffled


def run_bin(cell: SimulatedCell, look: Look, seed: int, path: Path) -> None:
    """Empty one bin and keep what happened."""
    run: BinRun = cell.run(look, seed)
    content = {
        'parts': run.parts,
        'left': run.left,
        'blind': run.blind,
        'tries': [
            {
                'outcome': one.outcome.value,
                'chance': round(one.chance, 4),
                'cues': np.round(one.cues, 4).tolist(),
                'ms': round(1000 * one.seconds, 1),
                'tool': one.tool,
            }
            for one in run.tries
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content).encode())


def path_of(args: argparse.Namespace, part: str, method: str, seed: int) -> Path:
    """The file of one bin."""
    tools = '+'.join(Path(name).stem for name in args.grippers)
    name = f'{part}.{method}.{tools}.{args.count}.{seed}.json'
    return Path(args.work) / 'bins' / name.replace('/', '_')


def run_all(args: argparse.Namespace, first_seed: int) -> None:
    """What is missing, bin by bin over all parts and methods, so that early tables are fair."""
    grippers = [find_gripper(name) for name in args.grippers]
    clock = time.perf_counter
    if args.processor_time:
        clock = time.thread_time
        PoseEstimator.clock = staticmethod(clock)
    cells: dict[str, SimulatedCell] = {}
    looks: dict[tuple[str, str], Look] = {}
    for seed in range(first_seed, first_seed + args.bins):
        for part in args.parts:
            for method in args.methods:
                path = path_of(args, part, method, seed)
                if path.exists():
                    continue
                if part not in cells:
                    misses = CALIBRATION_MISSES if args.calibrate else CellConfig.misses
                    config = CellConfig(part=make_part(part), count=args.count, misses=misses)
                    cells[part] = SimulatedCell(config, grippers)
                if (part, method) not in looks:
                    make = maker(method, part)
                    looks[part, method] = looker(make, grippers, clock=clock)
                look = looks[part, method]
                run_bin(cells[part], anyhow(look, seed) if args.calibrate else look, seed, path)
                print(f'{path.name}: {line([json.loads(path.read_text())])}', flush=True)


def stored(args: argparse.Namespace, part: str, method: str, first_seed: int) -> list[dict]:
    """The bins that are there."""
    seeds = range(first_seed, first_seed + args.bins)
    paths = [path_of(args, part, method, seed) for seed in seeds]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def tries_of(runs: list[dict]) -> Iterator[dict]:
    """All tries of some bins."""
    return (one for run in runs for one in run['tries'])


def figures(runs: list[dict]) -> dict[str, float]:
    """Of some bins of one method."""
    tries = list(tries_of(runs))
    lifted = np.array([one['outcome'] == Outcome.LIFTED.value for one in tries], bool)
    ms = np.array([one['ms'] for one in tries] or [np.nan])
    chances = np.array([one['chance'] for one in tries])
    return {
        'bins': len(runs),
        'tries': len(tries),
        'lifted': float(lifted.mean()) if tries else 0.0,
        'emptied': float(np.mean([run['left'] == 0 for run in runs])) if runs else 0.0,
        'left': float(np.mean([run['left'] for run in runs])) if runs else 0.0,
        'double': sum(one['outcome'] == Outcome.DOUBLE.value for one in tries),
        'p50': float(np.percentile(ms, 50)),
        'p99': float(np.percentile(ms, 99)),
        'calibration': expected_calibration_error(chances, lifted),
    }


def line(runs: list[dict]) -> str:
    """Figures of some bins in words."""
    found = figures(runs)
    return (
        f'{found["lifted"]:.2f} of {found["tries"]} picks lift one part, '
        f'{found["left"]:.1f} parts left, p50 {found["p50"]:.0f} ms'
    )


def tables(args: argparse.Namespace) -> str:
    """Markdown: a row for each method, and one for each part of each method."""
    head = '| | bins | picks | lift exactly one | bins emptied | double | p50, p99 ms | ECE |'
    rows = [head, '|---|---|---|---|---|---|---|---|']
    for method in args.methods:
        runs = [run for part in args.parts for run in stored(args, part, method, SEED)]
        if runs:
            rows.append(row(f'**{method}**', runs))
        for part in args.parts:
            if found := stored(args, part, method, SEED):
                rows.append(row(f'{method}, {part}', found))
    return '\n'.join(rows) + '\n'


def row(name: str, runs: list[dict]) -> str:
    """One row of the table."""
    f = figures(runs)
    return (
        f'| {name} | {f["bins"]} | {f["tries"]} | {f["lifted"]:.3f} | {f["emptied"]:.2f} | '
        f'{f["double"]} | {f["p50"]:.0f}, {f["p99"]:.0f} | {f["calibration"]:.3f} |'
    )


def calibrate(args: argparse.Namespace) -> str:
    """The chance of each gripper as YAML, fitted to bins that no table uses."""
    runs = [
        run
        for part in args.parts
        for method in args.methods
        for run in stored(args, part, method, CALIBRATION_SEED)
    ]
    made = ''
    for tool, name in enumerate(args.grippers):
        tries = [one for one in tries_of(runs) if one.get('tool', 0) == tool]
        cues = np.array([one['cues'] for one in tries])
        lifted = np.array([one['outcome'] == Outcome.LIFTED.value for one in tries])
        chance = fit_chance(cues, lifted)
        values = {
            'weights': [round(weight, 2) for weight in chance.weights],
            'bias': round(chance.bias, 2),
        }
        made += f'# {name}: fitted to {len(tries)} picks, {lifted.mean():.3f} lifted one part\n'
        made += yaml.safe_dump({'chance': values}, sort_keys=False)
    return made


def main() -> None:
    """Run what is missing, then write the tables."""
    args = arguments()
    if args.calibrate:
        run_all(args, CALIBRATION_SEED)
        print(calibrate(args))
        return
    if not args.tables_only:
        run_all(args, SEED)
    text = tables(args)
    write_atomically(args.work / 'tables.md', text.encode())
    print(text)


if __name__ == '__main__':
    main()
