"""The benchmark's figures as a Markdown table, JSON and a plot."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from insegan_ros.evaluation.benchmark import Run

# key of Run.summary() -> heading, digits after the point
COLUMNS = {
    'paper_miou': ('paper mIoU', 3),
    'strict_miou': ('strict mIoU', 3),
    'ari_foreground': ('ARI-FG', 3),
    'average_precision': ('AP@[.5:.95]', 3),
    'count_accuracy': ('count right', 2),
    'false_positives': ('false pos./image', 2),
    'foreground_iou': ('foreground IoU', 3),
    'rerendering_mm': ('re-rendering, mm', 2),
    'milliseconds': ('ms/image', 1),
}


def summarise(runs: Sequence[Run]) -> dict[str, dict[str, tuple[float, float]]]:
    """Method -> figure -> (mean, standard deviation) over the seeds; the deviation of one is 0."""
    by_method: dict[str, list[dict[str, float]]] = {}
    for run in runs:
        by_method.setdefault(run.method, []).append(run.summary())
    return {
        method: {
            key: (
                float(np.mean([s[key] for s in summaries])),
                float(np.std([s[key] for s in summaries], ddof=1)) if len(summaries) > 1 else 0.0,
            )
            for key in summaries[0]
        }
        for method, summaries in by_method.items()
    }


def markdown(runs: Sequence[Run]) -> str:
    """A row a method: mean over the seeds and, where they differ, +- the deviation."""
    lines = [
        '| method | ' + ' | '.join(heading for heading, _ in COLUMNS.values()) + ' |',
        '|---' * (len(COLUMNS) + 1) + '|',
    ]
    for method, figures in summarise(runs).items():
        cells = [cell(*figures[key], digits) for key, (_, digits) in COLUMNS.items()]
        lines.append(f'| {method} | ' + ' | '.join(cells) + ' |')
    failed = {m: f['failed_frames'][0] for m, f in summarise(runs).items()}
    lines += [
        f'\n{method}: no bin found in {count:.0f} frames; these count as empty results.'
        for method, count in failed.items()
        if count
    ]
    return '\n'.join(lines)


def cell(mean: float, deviation: float, digits: int) -> str:
    if not math.isfinite(mean):
        return '-'
    spread = f' ± {deviation:.{digits}f}' if round(deviation, digits) > 0 else ''
    return f'{mean:.{digits}f}{spread}'


def write_report(folder: Path, runs: Sequence[Run], settings: Mapping[str, Any]) -> str:
    """Write results.md, results.json and results.png into `folder`; returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    table = markdown(runs)
    lines = [f'- {key}: {value}' for key, value in settings.items()]
    (folder / 'results.md').write_text('\n'.join(lines) + f'\n\n{table}\n')
    content = {'settings': dict(settings), 'runs': [_plain(run) for run in runs]}
    (folder / 'results.json').write_text(json.dumps(content, indent=1) + '\n')
    plot(folder / 'results.png', runs)
    return table


def _plain(run: Run) -> dict[str, Any]:
    frames = []
    for figures in run.frames:
        values = dataclasses.asdict(figures)
        del values['ious'], values['scores']
        frames.append({key: _number(value) for key, value in values.items()})
    summary = {key: _number(value) for key, value in run.summary().items()}
    return {'method': run.method, 'seed': run.seed, 'summary': summary, 'frames': frames}


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return round(value, 5) if math.isfinite(value) else None


def plot(path: Path, runs: Sequence[Run]) -> None:
    """Left the two mIoUs by method, right how the strict one is spread over the frames."""
    from matplotlib.figure import Figure

    summary = summarise(runs)
    names = [Path(method).name for method in summary]
    positions = np.arange(len(names))
    figure = Figure(figsize=(10, 1.2 + 0.45 * len(names)), layout='constrained')
    bars, boxes = figure.subplots(1, 2, sharey=True)
    for offset, key in ((-0.2, 'paper_miou'), (0.2, 'strict_miou')):
        means, deviations = np.array([f[key] for f in summary.values()]).T
        bars.barh(positions + offset, means, 0.38, xerr=deviations, label=COLUMNS[key][0])
    bars.set(xlim=(0, 1), xlabel='mean over frames', yticks=positions, yticklabels=names)
    bars.invert_yaxis()
    bars.legend()
    spread = [[f.strict_miou for r in runs if r.method == m for f in r.frames] for m in summary]
    known = [[value for value in values if np.isfinite(value)] for values in spread]
    if all(known):
        boxes.boxplot(known, positions=positions, orientation='horizontal', manage_ticks=False)
    boxes.set(xlim=(0, 1), xlabel='strict mIoU of single frames')
    figure.savefig(path, dpi=110)
