"""How figures change with the number of unlabelled frames, and with the parts in the bin.

python benchmarks/curves.py frames --work ten --part nut --values 100 300 1000 3000
python benchmarks/curves.py instances --work ten --part bolt --values 2 3 4 6 8 10 12

frames: a model is trained from that many frames (of another seed than the judged ones; a smaller
set is the beginning of a larger one) and judged on the frames of ten_parts.py in the same folder.
instances: ten_parts.py's model of the part is judged in a bin 2.8 part lengths wide.

What is there is kept; the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from ten_parts import JUDGED, PARTS, Work
from ten_parts_tables import table

FRAMES_SEED, INSTANCES_SEED = 3, 9


def frames_curve(work: Work, part: str, values: Sequence[int], minutes: float) -> list[list[str]]:
    rows = []
    for count in values:
        work.make_frames(part)
        dataset = work.path / 'frames' / f'{part}.{count}'
        made = dataset.with_name(f'{dataset.name}.made')
        if not made.exists():
            work.insegan(
                *('generate', '--part', part, '--count', str(count), '--seed', str(FRAMES_SEED)),
                *('--out', dataset, '--workers', str(work.workers)),
                log=f'generate.frames.{dataset.name}',
            )
            (dataset / 'splits.yaml').unlink(missing_ok=True)  # all of it is for training
            made.touch()
        run = work.path / 'runs' / f'{part}.f{count}'
        work.insegan(
            *('train', '--dataset', dataset, '--out', run, '--max-minutes', str(minutes)),
            *('--workers', str(work.workers)),
            log=run.name,
        )
        cells = [f'{count:,}', *_found(work, run, part)]
        for judged in ('test', 'test_random', 'count'):
            kind, split = JUDGED[judged]
            frames = work.path / kind / part
            figures = _judged(work, frames, split, run / 'model', f'{run.name}.{judged}')
            name = 'count_accuracy' if judged == 'count' else 'strict_miou'
            cells.append(f'{figures[name]:.3f}')
        rows.append(cells)
    return rows


FRAMES_HEAD = [
    'frames',
    'crops',
    'residual',
    'chamfer, % of the diameter',
    'strict mIoU, `test`',
    'strict mIoU, `test_random`',
    'count right, 3 to 8',
]


def _found(work: Work, run: Path, part: str) -> list[str]:
    """What discovery found: crops, residual, chamfer."""
    discovery = yaml.safe_load((run / 'report.yaml').read_text()).get('discovery') or {}
    if 'residual' not in discovery:
        return ['', '', '']
    told = work.insegan(
        'export-template', run / 'template', '--compare', part, log=f'{run.name}.compared'
    )
    line = next(line for line in told.splitlines() if line.startswith('chamfer_of_diameter'))
    chamfer = 100 * float(line.split()[1])
    return [str(discovery['crops']), f'{discovery["residual"]:.2f}', f'{chamfer:.1f}']


def instances_curve(work: Work, part: str, values: Sequence[int]) -> list[list[str]]:
    own = work.run(part, 0) / 'model'
    rows = []
    for count in values:
        frames = work.path / 'instances' / f'{part}.{count}'
        if not (frames / 'splits.yaml').exists():
            work.insegan(
                *('generate', '--part', part, '--count', '50', '--instances', str(count)),
                *('--seed', str(INSTANCES_SEED), '--bin-width', '2.8'),
                *('--out', frames, '--workers', str(work.workers)),
                log=f'generate.instances.{frames.name}',
            )
        ours, theirs = (
            _judged(work, frames, 'all', method, f'{part}.n{count}.{name}')
            for method, name in ((own, 'own'), ('kmeans', 'kmeans'))
        )
        cells = [f'{ours[name]:.3f}' for name in ('paper_miou', 'strict_miou', 'count_accuracy')]
        rows.append([str(count), *cells, f'{theirs["strict_miou"]:.3f}'])
    return rows


INSTANCES_HEAD = [
    'parts',
    'paper mIoU',
    'strict mIoU',
    'count right',
    'strict mIoU of K-means, given the count',
]


def _judged(
    work: Work, frames: Path, split: str, method: str | Path, name: str
) -> dict[str, float]:
    """The figures of a method on frames, kept under a name."""
    out = work.path / 'r' / name
    if not (out / 'results.json').exists():
        work.insegan(
            *('evaluate', '--dataset', frames, '--split', split, '--methods', method),
            *('--seeds', '1', '--out', out),
            log=out.name,
        )
    return json.loads((out / 'results.json').read_text())['runs'][0]['summary']


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('curve', choices=['frames', 'instances'])
    parser.add_argument('--work', type=Path, required=True, help='folder of ten_parts.py')
    parser.add_argument('--part', choices=PARTS, required=True)
    parser.add_argument('--values', type=int, nargs='+', required=True)
    parser.add_argument('--minutes', type=float, default=14.0, help='of `insegan train` (14)')
    parser.add_argument('--workers', type=int, default=1, help='processes (1)')
    args = parser.parse_args()
    work = Work(args.work, args.workers)
    if args.curve == 'frames':
        head, rows = FRAMES_HEAD, frames_curve(work, args.part, args.values, args.minutes)
    else:
        head, rows = INSTANCES_HEAD, instances_curve(work, args.part, args.values)
    text = table(head, rows)
    (args.work / f'{args.curve}.{args.part}.md').write_text(text + '\n')
    print(text)


if __name__ == '__main__':
    main()
