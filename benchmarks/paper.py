"""The experiments of the InSeGAN paper: tables 1 to 3, figures 4a and 4b.

python benchmarks/paper.py table1 --work paper --parts nut bolt cone cylinder --minutes 60
python benchmarks/paper.py table3 --work paper --minutes 60
python benchmarks/paper.py figure4a --work paper --parts bolt --minutes 20
python benchmarks/paper.py table1 --work paper --minutes 0          # judge and write what is there
python benchmarks/paper.py figure4b --work paper --minutes 30 --set step.generator_steps=2000

    paper/train/<part>  sets/<part>      frames to learn from, and 300 others to judge by
          runs/<trial>                   insegan train, which goes on by the same command
          r/<trial>.<split>              insegan evaluate
          <experiment>.json              what the tables are made of

A trial is a method on a part with some settings; --minutes is what each may have in this call.
InSeGAN's encoder learns after step.generator_steps iterations: a budget that ends before leaves no
model to judge, so a short one needs a shorter schedule, by --set.

What is there is kept: the same command goes on after an interruption, and a model that another
machine has learned is judged where it lies in runs/<trial>/model. The tables go into
docs/results.md between the experiment's two comment lines, which are added where they are absent.

Original data (Insta-10) becomes a dataset by `insegan import --from insta10`; put it in the
place of paper/train/<part> and paper/sets/<part>.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from paper_experiments import CLASSICAL, EXPERIMENTS, PARTS, Trial
from paper_tables import rendered, write_section
from tqdm import tqdm

FRAMES, JUDGED = 3000, 300  # to learn from, and to judge by
BLOCKS = ['--instances', '4', '--noise', 'd435_strong', '--bin-width', '2.55']


class Work:
    """The folder, and what goes where in it."""

    def __init__(self, path: Path, workers: int, device: str, settings: Sequence[str]) -> None:
        self.path, self._workers, self._device = path, workers, device
        self._settings = settings  # `--set` of every InSeGAN, before its trial's own

    def insegan(self, *arguments: str | Path, log: str) -> None:
        """Run a command of the package.

        Raises:
            SystemExit: it failed.
        """
        command = [sys.executable, '-m', 'insegan_ros.cli', *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        file = self.path / 'log' / f'{log}.txt'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(done.stdout + done.stderr)
        if done.returncode:
            raise SystemExit(f'insegan {arguments[0]} failed; see {file}')

    def frames(self, part: str) -> None:
        """Unlabelled ones to learn from, and others to judge by."""
        blocks = part == 'block'
        judged = ['--count', '62', '--seed', '77'] if blocks else ['--count', str(JUDGED)]
        noise: list[str] = BLOCKS if blocks else []
        wanted = {'train': ['--count', str(FRAMES), '--seed', '1000'], 'sets': judged}
        for kind, options in wanted.items():
            folder = self.path / kind / part
            if not (folder / 'splits.yaml').exists():
                line: list[str | Path] = ['generate', '--part', part, '--out', folder, *options]
                line += [*noise, '--workers', str(self._workers)]
                self.insegan(*line, log=f'generate.{kind}.{part}')
        if blocks and not self.parts_bin.exists():  # strong noise hides the bin in single frames
            train = self.path / 'train' / part
            self.insegan('calibrate', '--input', train, '--out', self.parts_bin, log='calibrate')

    @property
    def parts_bin(self) -> Path:
        """Where table 3's box is."""
        return self.path / 'block.yaml'

    def model(self, trial: Trial) -> Path:
        return self.path / 'runs' / trial.name / 'model'

    def train(self, trial: Trial, minutes: float) -> None:
        run = self.path / 'runs' / trial.name
        own = self.model(trial)
        if own.exists() and not (run / 'checkpoint.pt').exists():
            return  # another machine has learned it
        schedule = self._settings if trial.method.startswith('insegan') else ()
        self.insegan(
            *('train', '--dataset', self.path / 'train' / trial.part, '--out', run),
            *('--method', trial.method, '--max-minutes', str(minutes), '--device', self._device),
            *(part for setting in (*schedule, *trial.settings) for part in ('--set', setting)),
            log=f'train.{trial.name}',
        )

    def evaluate(self, trial: Trial, split: str) -> None:
        """Judge a trial, anew where its model is newer than its figures."""
        classical = trial.method in CLASSICAL
        card = self.model(trial) / 'model.yaml'
        out = self.path / 'r' / f'{trial.name}.{split}'
        result = out / 'results.json'
        if not classical and not card.exists():
            return
        if result.exists() and (classical or card.stat().st_mtime < result.stat().st_mtime):
            return
        self.insegan(
            *('evaluate', '--dataset', self.path / 'sets' / trial.part, '--split', split),
            *('--methods', trial.method if classical else self.model(trial), '--out', out),
            *(('--bin', self.parts_bin) if trial.part == 'block' else ()),
            *('--seeds', '1', '--device', self._device),
            log=f'evaluate.{trial.name}.{split}',
        )


def main() -> None:
    """Train, judge, collect, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('experiment', choices=list(EXPERIMENTS))
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--parts', nargs='+', choices=PARTS, help="(the paper's)")
    parser.add_argument('--minutes', type=float, default=30.0, help="each trial's (30); 0: none")
    parser.add_argument('--methods', nargs='+', help='only these')
    parser.add_argument(
        '--set',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='of `insegan train`, InSeGANs only',
    )
    parser.add_argument('--device', default='auto')
    parser.add_argument('--workers', type=int, default=1, help='processes (1)')
    parser.add_argument('--tables-only', action='store_true', help='of what is there')
    parser.add_argument(
        '--results', type=Path, default=Path(__file__).parents[1] / 'docs' / 'results.md'
    )
    args = parser.parse_args()
    experiment = EXPERIMENTS[args.experiment]
    trials = [
        trial
        for trial in experiment.trials(args.parts or experiment.parts)
        if not args.methods or trial.method in args.methods
    ]
    work = Work(args.work, args.workers, args.device, args.set)
    if not args.tables_only:
        for trial in tqdm(trials, desc=args.experiment, unit='trial'):
            work.frames(trial.part)
            if args.minutes > 0 and trial.method not in CLASSICAL:
                work.train(trial, args.minutes)
            work.evaluate(trial, experiment.split)
    rows = [row for trial in trials if (row := trial.row(args.work, experiment.split))]
    (args.work / f'{args.experiment}.json').write_text(json.dumps(rows, indent=1))
    text = rendered(args.experiment, rows, args.results.parent)
    write_section(args.results, args.experiment, text)
    print(text)


if __name__ == '__main__':
    main()
