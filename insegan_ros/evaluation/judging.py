"""Methods compared by their masks: a table, a plot, and a picture of some frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from insegan_ros.evaluation.benchmark import benchmark, make_segmenter, seeds_of
from insegan_ros.evaluation.pictures import show_compared
from insegan_ros.evaluation.report import short_names, write_report
from insegan_ros.evaluation.selection import Judged
from insegan_ros.parts_bin import Bin


def judge_masks(
    judged: Judged,
    methods: Sequence[str],
    out: Path,
    *,
    told: tuple[int | None, Bin | None],
    account: Mapping[str, object],
    seeds: int,
    device: str,
    workers: int,
) -> str:
    """Write results.md, results.json, results.png and scenes.png; the table.

    Args:
        told: the number of parts in a frame, for classical methods, and where the bin is; None:
            each is found.
        account: what is judged, for the report.
        seeds: runs of a random method.
    """
    dataset, indices, truth = judged.dataset, judged.indices, judged.truth
    instances, parts_bin = told
    total = sum(len(seeds_of(method, seeds)) for method in methods) * len(indices)
    with tqdm(total=total, unit='frame') as bar:
        runs = benchmark(
            dataset,
            methods,
            indices,
            seeds=seeds,
            instances=instances,
            parts_bin=parts_bin,
            device=device,
            workers=workers,
            progress=bar.update,
            truth=truth,
        )
    settings = {
        **account,
        'seeds': seeds,
        'instances': instances or 'estimated',
        'methods': ', '.join(methods),
    }
    table = write_report(out, runs, settings)
    show_compared(
        out / 'scenes.png',
        dataset,
        runs,
        make=lambda method: make_segmenter(method, instances, parts_bin, device=device),
        names=short_names(methods),
        truth=truth,
    )
    return table
