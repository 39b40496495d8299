"""The tables of benchmarks/ten_parts.py, from what it left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

NAMES = {'kmeans': 'K-means with the count', 'any': '`any` with the length', 'own': 'own model'}
# where frames hold unlike many, K-means is given no count
COUNTING = {**NAMES, 'kmeans': 'K-means, count estimated'}
NOTHING = float('nan')


@dataclass(frozen=True)
class Figures:
    """What was measured, NaN where it was not."""

    result: Callable[[str, str, int], Path]  # folder of a part's, of judged frames and a seed
    run: Callable[[str, int], Path]  # folder of a part's run
    parts: Sequence[str]

    def summary(self, part: str, judged: str, method: str, seed: int = 0) -> dict[str, Any]:
        """Of 'kmeans', 'any' or 'own'."""
        file = self.result(part, judged, seed) / 'results.json'
        runs = json.loads(file.read_text())['runs'] if file.exists() else []
        found = [run['summary'] for run in runs if _kind(run['method']) == method]
        return found[0] if found else {}

    def of(self, judged: str, method: str, name: str) -> list[float]:
        found = [self.summary(part, judged, method).get(name) for part in self.parts]
        return [NOTHING if value is None else float(value) for value in found]

    def pose(self, name: str) -> list[float]:
        return [self._pose(part, name) for part in self.parts]

    def _pose(self, part: str, name: str) -> float:
        file = self.result(part, 'poses', 0) / 'poses.json'
        if not file.exists():
            return NOTHING
        return next(iter(json.loads(file.read_text())['methods'].values())).get(name, NOTHING)

    def compared(self, name: str, factor: float = 1.0) -> list[float]:
        return [factor * self._compared(part, name) for part in self.parts]

    def _compared(self, part: str, name: str) -> float:
        file = self.run(part, 0) / 'compared.txt'
        found = re.search(rf'^{name}: ([\d.]+)', file.read_text(), re.M) if file.exists() else None
        return float(found[1]) if found else NOTHING

    def trained(self, name: str) -> list[float]:
        """What the models' cards say of their training."""
        return [self._trained(part, name) for part in self.parts]

    def _trained(self, part: str, name: str) -> float:
        file = self.run(part, 0) / 'model' / 'model.yaml'
        found = yaml.safe_load(file.read_text()) if file.exists() else {}
        return float(found.get('training', {}).get(name, NOTHING))

    def report(self, stage: str, name: str) -> list[float]:
        return [self._report(part, stage, name) for part in self.parts]

    def _report(self, part: str, stage: str, name: str) -> float:
        file = self.run(part, 0) / 'report.yaml'
        content = yaml.safe_load(file.read_text()) if file.exists() else {}
        return float((content.get(stage) or {}).get(name, NOTHING))


def _kind(method: str) -> str:
    if method == 'kmeans':
        return method
    return 'any' if re.search(r'(^|/)any(/model)?:', method) else 'own'


def row(name: str, values: Iterable[float], form: str = '{:.3f}') -> list[str]:
    """Its name, the values, and their mean; NaN is left open."""
    values = list(values)
    known = [value for value in values if value == value]
    cells = ['' if value != value else form.format(value) for value in values]
    return [name, *cells, form.format(mean(known)) if known else '']


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, its columns aligned."""
    widths = [max(len(line[k]) for line in [head, *rows]) for k in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return '| ' + ' | '.join(c.ljust(w) for c, w in zip(cells, widths)) + ' |'

    rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
    return '\n'.join([line(head), rule, *map(line, rows)])


def tables(figures: Figures, seeds: Sequence[int]) -> str:
    """All of docs/results.md's section on the ten parts."""
    head = ['', *figures.parts, 'mean']
    scores = {'paper_miou': 'paper mIoU', 'strict_miou': 'strict mIoU'}
    parts: list[str] = []

    def add(title: str, rows: Sequence[Sequence[str]], first: Sequence[str] = head) -> None:
        parts.append(f'### {title}\n\n{table(first, rows)}\n')

    for judged in ('test', 'test_random'):
        for score, title in scores.items():
            rows = [row(said, figures.of(judged, key, score)) for key, said in NAMES.items()]
            add(f'`{judged}`, {title}', rows)
    add('Other figures, mean over the parts', others(figures), OTHERS)
    crowds = [
        row(f'{title}, {name}, {said}', figures.of(judged, key, score), '{:.2f}')
        for score, title in (('count_accuracy', 'count right'), ('strict_miou', 'strict mIoU'))
        for judged, name in (('count', 'tight'), ('wide', 'wide'))
        for key, said in COUNTING.items()
    ]
    add('How many parts: 3 to 8, in the tight bin and in one 2.8 part lengths wide', crowds)
    noise_free = [
        row(f'{title}, `{judged}`, {said}', figures.of(f'clean.{judged}', key, score), '{:.2f}')
        for score, title in scores.items()
        for judged in ('test', 'test_random')
        for key, said in NAMES.items()
    ]
    add('Without noise: 300 frames more', noise_free)
    recall = [
        row(f'{kind}, within {limit}', figures.pose(f'{key}_recall_{limit}'), '{:.2f}')
        for kind, key, limits in (
            ('MSSD', 'mssd', ('0.05', '0.1', '0.2')),
            ('ADD-S', 'add_s', ('0.05', '0.1')),
        )
        for limit in limits
    ]
    add('Poses: recall, of the diameter', recall)
    add('Shapes and time', shapes(figures))
    if len(seeds) > 1:
        add(f'Seeds {", ".join(map(str, seeds))}: mean and deviation', spread(figures, seeds))
    return '\n'.join(parts)


OTHERS = ['frames', '', 'ARI-FG', 'AP@[.5:.95]', 'false pos./image', 'count right']


def others(figures: Figures) -> list[list[str]]:
    names = {
        'ari_foreground': '{:.3f}',
        'average_precision': '{:.3f}',
        'false_positives': '{:.2f}',
        'count_accuracy': '{:.2f}',
    }
    return [
        [judged, said]
        + [row('', figures.of(judged, key, name), form)[-1] for name, form in names.items()]
        for judged in ('test', 'test_random')
        for key, said in NAMES.items()
    ]


def shapes(figures: Figures) -> list[list[str]]:
    report: Callable[[str, str], list[float]] = figures.report
    return [
        row('chamfer, mm', figures.compared('chamfer_mm'), '{:.2f}'),
        row('chamfer, % of the diameter', figures.compared('chamfer_of_diameter', 100), '{:.1f}'),
        row('volume, of the true one', figures.compared('volume_of_true'), '{:.2f}'),
        row('residual (no label needed)', report('discovery', 'residual'), '{:.2f}'),
        row('discovery, s', report('discovery', 'seconds'), '{:.0f}'),
        row('piles, s', report('piles', 'seconds'), '{:.0f}'),
        row('piles', report('piles', 'count'), '{:.0f}'),
        row('network, s', report('distillation', 'seconds'), '{:.0f}'),
        row('steps', report('distillation', 'steps'), '{:.0f}'),
        row('piles a step', figures.trained('batch'), '{:.0f}'),
        row(
            'strict mIoU on unseen piles',
            report('distillation', 'strict_miou_on_unseen_piles'),
            '{:.2f}',
        ),
        row(
            'count right in unseen piles',
            report('distillation', 'count_accuracy_on_unseen_piles'),
            '{:.2f}',
        ),
    ]


def spread(figures: Figures, seeds: Sequence[int]) -> list[list[str]]:
    """Of each part of which every seed was run."""
    rows = []
    for judged, name in (
        *((judged, 'paper_miou') for judged in ('test', 'test_random')),
        *((judged, 'strict_miou') for judged in ('test', 'test_random')),
        ('count', 'count_accuracy'),
    ):
        cells = []
        for part in figures.parts:
            found = [figures.summary(part, judged, 'own', seed).get(name) for seed in seeds]
            known = [float(value) for value in found if value is not None]
            whole = len(known) == len(seeds)
            cells.append(f'{mean(known):.3f} ± {stdev(known):.3f}' if whole else '')
        rows.append([f'{name}, {judged}', *cells, ''])
    return rows
