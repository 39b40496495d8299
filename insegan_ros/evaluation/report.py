"""The benchmark's figures as a Markdown table, JSON and a plot."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from insegan_ros.evaluation.figures import Run

# key of Run.summary() -> heading, digits after the point
COLUMNS = {
    'paper_miou': ('paper mIoU', 3),
    'strict_miou': ('strict mIoU', 3),
    'ari_foreground': ('ARI-FG', 3),
    'average_precision': ('AP@[.5:.95]', 3),
    'class_accuracy': ('class right', 3),
    **{f'strict_miou_{kind}': (f'strict mIoU, kind {kind}', 3) for kind in (1, 2, 3)},
    'bop_ap': ('BOP mask AP', 3),
    'recall_of_visible': ('recall .75, half visible', 3),
    'count_accuracy': ('count right', 2),
    'false_positives': ('false pos./image', 2),
    'foreground_iou': ('foreground IoU', 3),
    'rerendering_mm': ('re-rendering, mm', 2),
    'milliseconds': ('ms/image', 1),
}


Summary = dict[str, dict[str, tuple[float, float]]]


def summarise(runs: Sequence[Run]) -> Summary:
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


def short_names(methods: Iterable[str]) -> dict[str, str]:
    """Method -> what it is called in tables: of a path the last two parts, more if two agree."""
    parts = {method: Path(method).parts for method in methods}
    names = {method: '/'.join(path[-2:]) for method, path in parts.items()}
    for length in range(3, max(map(len, parts.values()), default=0) + 1):
        taken = Counter(names.values())
        names |= {m: '/'.join(parts[m][-length:]) for m in names if taken[names[m]] > 1}
    return names


def markdown(runs: Sequence[Run]) -> str:
    """A row a method: mean over the seeds and, where they differ, +- the deviation.

    Columns in which no method has a figure are left out; below the table is said why.
    """
    summary = summarise(runs)
    names = short_names(summary)
    columns = {
        key: column
        for key, column in COLUMNS.items()
        if any(math.isfinite(figures[key][0]) for figures in summary.values() if key in figures)
    }
    rows = [['method', *(heading for heading, _ in columns.values())]]
    for method, figures in summary.items():
        cells = [cell(*figures[key], digits) for key, (_, digits) in columns.items()]
        rows.append([names[method], *cells])
    lines = aligned(rows)
    if 'strict_miou' not in columns:
        lines.append('\nNo frame has labels: nothing can be compared with the truth.')
    silent = [names[m] for m, f in summary.items() if not math.isfinite(f['rerendering_mm'][0])]
    if silent:
        lines.append(
            f'\nWithout a rendering of their own, so no re-rendering error: {", ".join(silent)}.'
        )
    empty = [f['empty_bin_mm'][0] for f in summary.values() if math.isfinite(f['empty_bin_mm'][0])]
    if empty:
        lines.append(f'\nThe re-rendering error of an empty bin is {np.mean(empty):.2f} mm.')
    for method, figures in summary.items():
        if count := figures['failed_frames'][0]:
            whys = (f.failed for run in runs if run.method == method for f in run.frames)
            lines.append(
                f'\n{names[method]}: nothing could be segmented in {count:.0f} frames, which '
                f'count as empty results; the first: {next(filter(None, whys))}.'
            )
    return '\n'.join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, its first row the heading, that can be read as plain text too."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        '| ' + ' | '.join(text.ljust(width) for text, width in zip(row, widths)) + ' |'
        for row in rows
    ]
    rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
    return [lines[0], rule, *lines[1:]]


def cell(mean: float, deviation: float, digits: int) -> str:
    """Mean and deviation as a cell of a table; a dash where there is no mean."""
    if not math.isfinite(mean):
        return '-'
    spread = f' ± {deviation:.{digits}f}' if round(deviation, digits) > 0 else ''
    return f'{mean:.{digits}f}{spread}'


def write_report(folder: Path, runs: Sequence[Run], settings: Mapping[str, Any]) -> str:
    """Write results.md, results.json and results.png into `folder`; returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    table = markdown(runs)
    labelled = sum(f.ious is not None for f in runs[0].frames)
    settings = {**settings, 'labels': f'in {labelled} of {len(runs[0].frames)} frames'}
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
        del values['ious'], values['scores'], values['kinds'], values['visible']
        failed = values.pop('failed')
        numbers = {key: _number(value) for key, value in values.items()}
        frames.append({**numbers, 'failed': failed})
    summary = {key: _number(value) for key, value in run.summary().items()}
    return {'method': run.method, 'seed': run.seed, 'summary': summary, 'frames': frames}


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return round(value, 5) if math.isfinite(value) else None


def plot(path: Path, runs: Sequence[Run]) -> None:
    """Bars by method: both mIoUs, the re-rendering error, the time; and single frames' mIoUs.

    What no method has a figure of is left out.
    """
    from matplotlib.figure import Figure

    summary = summarise(runs)
    known = {
        key
        for key in COLUMNS
        if any(math.isfinite(f[key][0]) for f in summary.values() if key in f)
    }
    panels = [
        draw
        for key, draw in (
            ('strict_miou', partial(_bars, keys=('paper_miou', 'strict_miou'))),
            ('strict_miou', _boxes),
            ('rerendering_mm', partial(_bars, keys=('rerendering_mm',))),
            ('milliseconds', partial(_bars, keys=('milliseconds',))),
        )
        if key in known
    ]
    figure = Figure(
        figsize=(1 + 3.5 * len(panels), 1.2 + 0.45 * len(summary)), layout='constrained'
    )
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for draw, axis in zip(panels, axes):
        draw(axis, summary, runs)
    axes[0].set(yticks=range(len(summary)), yticklabels=list(short_names(summary).values()))
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=110)


def _bars(axis: Any, summary: Summary, _: Sequence[Run], *, keys: Sequence[str]) -> None:
    """A bar a method and figure; its whisker is the deviation over the seeds."""
    height = 0.76 / len(keys)
    for k, key in enumerate(keys):
        means, deviations = np.array([figures[key] for figures in summary.values()]).T
        offset = (k - (len(keys) - 1) / 2) * height
        axis.barh(
            np.arange(len(summary)) + offset,
            np.nan_to_num(means),
            height,
            xerr=np.nan_to_num(deviations),
            label=COLUMNS[key][0],
        )
    if len(keys) > 1:
        axis.set(xlim=(0, 1), xlabel='mean over frames')
        axis.legend()
    else:
        axis.set(xlabel=COLUMNS[keys[0]][0])


def _boxes(axis: Any, summary: Summary, runs: Sequence[Run]) -> None:
    """How the strict mIoU is spread over the frames."""
    spread = [[f.strict_miou for r in runs if r.method == m for f in r.frames] for m in summary]
    known = [[value for value in values if np.isfinite(value)] for values in spread]
    new = 'orientation' in inspect.signature(axis.boxplot).parameters  # since Matplotlib 3.10
    lying: dict[str, Any] = {'orientation': 'horizontal'} if new else {'vert': False}
    axis.boxplot(known, positions=range(len(known)), manage_ticks=False, **lying)
    axis.set(xlim=(0, 1), xlabel='strict mIoU of single frames')
