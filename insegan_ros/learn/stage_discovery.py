"""Stage: the part's shape, from the frames alone.

<out>/template/    the shape, its picture, what goes on after an interruption; of several kinds
                   of part, kind_1/, kind_2/, ... in it
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insegan_ros.discovery.discover import Search, UnexplainedError, discover
from insegan_ros.discovery.kinds import discover_kinds, kind_folder
from insegan_ros.inference.part_length import FRAMES
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stages import Figures
from insegan_ros.learn.start import Start

UNEXPLAINED = 'unexplained'  # why there is no shape, in the stage's figures


def shape_folders(job: Job) -> list[Path]:
    """Of the shapes that were discovered, one a kind of part."""
    folder = job.out / 'template'
    if job.config.kinds == 1:
        return [folder]
    found = int(job.report.of('discovery')['kinds'])
    return [kind_folder(folder, kind) for kind in range(1, found + 1)]


def find_shape(job: Job, start: Start | None, seconds: float) -> Figures:
    """What discovery found; where no shape explains the frames, why, and the part's length.

    Args:
        start: a model that finds whole parts in the midst of a pile.

    Raises:
        UnexplainedError: no shape explains the frames, and there is no model to begin with.
    """
    search = Search(
        dataset=job.dataset,
        indices=job.indices[: job.config.frames],
        out=job.out / 'template',
        config=job.config.discovery,
        finding=job.config.finding,
        seed=job.seed,
        device=job.device,
        max_seconds=seconds,
        finder=None if start is None else start.finder(job.device),
        part_length_m=job.config.part_length_m,
    )
    try:
        if job.config.kinds > 1:
            kinds = discover_kinds(search, job.config.kinds)
            return {
                'kinds': len(kinds.templates),
                'shares': list(kinds.shares),
                'residuals': [template.account['residual'] for template in kinds.templates],
            }
        return discover(search).account
    except UnexplainedError as error:
        if start is None:
            raise
        length_m = job.config.part_length_m or _by_the_network(job, start) or error.part_length_m
        print(
            f'no shape explains the frames; the part is taken to be {length_m * 1e3:.0f} mm long'
        )
        return {UNEXPLAINED: str(error), 'part_length_m': round(length_m, 5)}


def _by_the_network(job: Job, start: Start) -> float | None:
    """Metres of the longest side: pieces between depth edges are often parts of parts."""
    some = np.linspace(0, len(job.indices) - 1, min(FRAMES, len(job.indices))).astype(int)
    return start.part_length((job.dataset[job.indices[k]].frame for k in some), job.device)
