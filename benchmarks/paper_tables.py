"""Tables and plots of benchmarks/paper.py, and their place in docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from paper_experiments import INSTA_10, TITLES
from ten_parts_tables import table

SECTION = "## The paper's tables and figures"
HEADINGS = {
    'table1': 'Table 1',
    'table2': 'Table 2: losses of the encoder',
    'table3': 'Table 3',
    'figure4a': 'Figure 4a: training frames',
    'figure4b': 'Figure 4b: instances assumed',
}
Row = Mapping[str, Any]


def rendered(experiment: str, rows: Sequence[Row], docs: Path) -> str:
    """The experiment's Markdown; a figure's plot goes beside the page.

    Raises:
        SystemExit: nothing has been judged.
    """
    if not rows:
        raise SystemExit(
            f'{experiment}: nothing is judged yet. InSeGAN is once its encoder has learned: give '
            'more --minutes (the same command goes on), or a shorter schedule by --set '
            'step.generator_steps=... loop.validate_every=...'
        )
    if experiment == 'table1':
        return f'{by_part(rows)}\n\n{training(rows)}'
    if experiment in ('table2', 'table3'):
        return _listed(rows)
    plot(experiment, rows, docs / f'paper_{experiment}.png')
    return f'![{experiment}](paper_{experiment}.png)\n\n{_listed(rows)}'


def by_part(rows: Sequence[Row]) -> str:
    """A method a line, a part a column: paper mIoU, in brackets the published one."""
    parts = [part for part in INSTA_10 if any(row['part'] == part for row in rows)]
    lines = []
    for method, title in TITLES.items():
        own = {row['part']: row for row in rows if row['method'] == method}
        if own:
            values = [own[part]['paper_miou'] for part in parts if part in own]
            strict = [own[part]['strict_miou'] for part in parts if part in own]
            cells = [_with_published(own[part]) if part in own else '' for part in parts]
            whole = len(values) == len(parts)
            means = [f'{mean(some):.3f}' if whole else '' for some in (values, strict)]
            lines.append([title, *cells, *means])
    return table(['paper mIoU (published)', *parts, 'mean', 'mean strict mIoU'], lines)


def _with_published(row: Row) -> str:
    published = row['published']
    return f'{row["paper_miou"]:.3f}' + (f' ({published:.3f})' if published is not None else '')


def training(rows: Sequence[Row]) -> str:
    """How long each learned method learned: the range over the parts."""
    lines = []
    for method, title in TITLES.items():
        own = [row for row in rows if row['method'] == method and row['images_seen']]
        if own:
            seen = [row['images_seen'] for row in own]
            minutes = [row['seconds'] / 60 for row in own if row['seconds']]
            where = ', '.join(sorted({str(row['processor']) for row in own}))
            lines.append([title, _range(seen, '{:,.0f}'), _range(minutes, '{:.1f}'), where])
    return table(['learned from', 'images seen', 'minutes', 'on'], lines) if lines else ''


def _range(values: Sequence[float], form: str) -> str:
    if not values:
        return ''
    ends = [form.format(value) for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else ' to '.join(ends)


def _listed(rows: Sequence[Row]) -> str:
    lines = [
        [
            TITLES[row['method']],
            row['part'],
            row['variant'].replace('_', ' '),
            '' if row['published'] is None else f'{row["published"]:.3f}',
            f'{row["paper_miou"]:.3f}',
            f'{row["strict_miou"]:.3f}',
            f'{row["images_seen"]:,}' if row['images_seen'] else '',
            f'{row["seconds"] / 60:.1f}' if row['seconds'] else '',
            row['processor'] or '',
        ]
        for row in rows
    ]
    head = ['', 'part', 'variant', 'published', 'paper mIoU', 'strict mIoU', 'images seen']
    return table([*head, 'minutes', 'on'], lines)


def plot(experiment: str, rows: Sequence[Row], file: Path) -> None:
    """Paper mIoU against a figure's x, a line a part."""
    import matplotlib as mpl

    mpl.use('Agg')
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.4))
    for part in dict.fromkeys(row['part'] for row in rows):
        own = [row for row in rows if row['part'] == part]
        axes.plot(
            [float(row['variant']) for row in own], [row['paper_miou'] for row in own],
            marker='o', label=part,
        )  # fmt: skip
    if experiment == 'figure4a':
        axes.set_xscale('log')
    axes.set_xlabel('training frames' if experiment == 'figure4a' else 'instances assumed')
    axes.set_ylabel('paper mIoU')
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=130)
    plt.close(figure)


def write_section(page: Path, experiment: str, text: str) -> None:
    """Put the text between the experiment's comment lines, which are added where absent."""
    begin, end = (f'<!-- paper.py {experiment} {what} -->' for what in ('begin', 'end'))
    content = page.read_text()
    if begin not in content:
        if SECTION not in content:
            content = f'{content.rstrip()}\n\n{SECTION}\n'
        title = HEADINGS[experiment]
        content = f'{content.rstrip()}\n\n### {title}\n\n{begin}\n{end}\n'
    before, _, rest = content.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f'{page}: the line {begin} has no {end} after it')
    page.write_text(f'{before}{begin}\n\n{text}\n\n{end}{after}')
