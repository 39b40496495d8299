"""The ten parts from nothing to the tables of docs/results.md: frames, models, figures.

python benchmarks/ten_parts.py --work ten                   # some two and a half hours of a core
python benchmarks/ten_parts.py --work ten --parts nut bolt --seeds 0 1 2
python benchmarks/ten_parts.py --work ten --tables-only     # of what is there

    ten/sets/<part>  count/<part>  wide/<part>  clean/<part>     frames
        runs/<part>[.s<seed>]                                    insegan train
        r/<part>.<frames>[.s<seed>]                              insegan evaluate
        tables.md

What is there is kept; the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ten_parts_tables import Figures, tables

PARTS = (
    'nut',
    'stopper',
    'cylinder',
    'bolt',
    'cone',
    'connector',
    'five_pin',
    'obj_01',
    'obj_14',
    'obj_05',
)
# about how long they are, m: what `any` is given
LENGTHS = dict(zip(PARTS, (0.056, 0.054, 0.056, 0.056, 0.058, 0.056, 0.05, 0.052, 0.048, 0.052)))
FRAMES = {
    'sets': ['--count', '1600'],
    'count': ['--count', '100', '--instances', '3-8', '--seed', '5'],
    'wide': ['--count', '60', '--instances', '3-8', '--seed', '5', '--bin-width', '2.8'],
    'clean': ['--count', '300', '--noise', 'none', '--seed', '77'],
}
# what is judged: its name -> the frames and their split
JUDGED = {
    'test': ('sets', 'test'),
    'test_random': ('sets', 'test_random'),
    'count': ('count', 'all'),
    'wide': ('wide', 'all'),
    'clean.test': ('clean', 'test'),
    'clean.test_random': ('clean', 'test_random'),
}


@dataclass(frozen=True)
class Work:
    """The folder, and what goes where in it."""

    path: Path
    workers: int

    def insegan(self, *arguments: str | Path, log: str) -> str:
        """Run a command of the package; what it printed.

        Raises:
            SystemExit: it failed.
        """
        command = [sys.executable, '-m', 'insegan_ros.cli', *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        (self.path / 'log').mkdir(parents=True, exist_ok=True)
        (self.path / 'log' / f'{log}.txt').write_text(done.stdout + done.stderr)
        if done.returncode:
            raise SystemExit(f'insegan {arguments[0]} failed; see {self.path}/log/{log}.txt')
        return done.stdout

    def make_frames(self, part: str) -> None:
        for kind, options in FRAMES.items():
            folder = self.path / kind / part
            if not (folder / 'splits.yaml').exists():
                self.insegan(
                    *('generate', '--part', part, '--out', str(folder), *options),
                    *('--workers', str(self.workers)),
                    log=f'generate.{kind}.{part}',
                )

    def run(self, part: str, seed: int) -> Path:
        return self.path / 'runs' / (part if not seed else f'{part}.s{seed}')

    def result(self, part: str, judged: str, seed: int = 0) -> Path:
        return self.path / 'r' / (f'{part}.{judged}' + (f'.s{seed}' if seed else ''))

    def train(self, part: str, seed: int, minutes: float) -> None:
        self.insegan(
            *('train', '--dataset', self.path / 'sets' / part, '--out', self.run(part, seed)),
            *('--max-minutes', str(minutes), '--seed', str(seed)),
            *('--workers', str(self.workers)),
            log=self.run(part, seed).name,
        )

    def evaluate(self, part: str, seed: int) -> None:
        model = self.run(part, seed) / 'model'
        others = [] if seed else ['kmeans', f'any:{LENGTHS[part]}']
        for judged, (kind, split) in JUDGED.items():
            out = self.result(part, judged, seed)
            if not (out / 'results.json').exists():
                self.insegan(
                    *('evaluate', '--dataset', self.path / kind / part, '--split', split),
                    *('--methods', ','.join([*others, str(model)]), '--seeds', '1', '--out', out),
                    log=out.name,
                )
        if seed or not (self.run(part, 0) / 'template' / 'template.yaml').exists():
            return
        poses = self.result(part, 'poses')
        if not (poses / 'poses.json').exists():
            self.insegan(
                *('evaluate', '--dataset', self.path / 'sets' / part, '--methods', model),
                *('--split', 'test', '--poses', '--limit', '60', '--out', poses),
                log=poses.name,
            )
        compared = self.run(part, 0) / 'compared.txt'
        if not compared.exists():
            template = self.run(part, 0) / 'template'
            told = self.insegan(
                'export-template', template, '--compare', part, log=f'{part}.compared'
            )
            compared.write_text(told)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--minutes', type=float, default=14.0, help='of `insegan train` (14)')
    parser.add_argument('--workers', type=int, default=1, help='processes (1)')
    parser.add_argument('--tables-only', action='store_true')
    args = parser.parse_args()
    work = Work(args.work, args.workers)
    if not args.tables_only:
        for part in args.parts:
            work.make_frames(part)
            for seed in args.seeds:
                print(f'{part}, seed {seed}', flush=True)
                work.train(part, seed, args.minutes)
                work.evaluate(part, seed)
    text = tables(Figures(work.result, work.run, args.parts), args.seeds)
    (args.work / 'tables.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
