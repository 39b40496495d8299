"""Stage: the part's shape, from the frames alone.

<out>/template/    the shape, its picture, what goes on after an interruption; of several kinds
                   of part, kind_1/, kind_2/, ... in it
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from insegan_ros.discovery.discover import WHOLE, discover
from insegan_ros.discovery.kinds import discover_kinds, kind_folder
from insegan_ros.discovery.lengths import TooFewPiecesError
from insegan_ros.discovery.search import Search, UnexplainedError
from insegan_ros.inference import part_length
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stages import Figures
from insegan_ros.learn.start import Start

UNEXPLAINED = 'unexplained'  # why there is no shape, in the stage's figures
STAND_IN = 'stand_in'  # the stage after a discovery without a shape


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
        TooFewPiecesError: the frames show hardly any part, not even to that model.
    """
    voted = cache(lambda: None if start is None else _by_the_network(job, start))
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
        voted=voted,
    )
    try:
        return _discovered(search, job.config.kinds)
    except (UnexplainedError, TooFewPiecesError) as error:
        refused = error
    if start is None:
        raise refused
    length_m = job.config.part_length_m or voted()
    untold = search.part_length_m is None and not (search.out / WHOLE).exists()
    if untold and length_m is not None:
        # too few pieces lie apart to show the length; with it, the network cuts parts out of piles
        told = f'the network takes the part to be {length_m * 1e3:.0f} mm long'
        print(f'{refused}; {told}: once more, with that')
        try:
            return _discovered(replace(search, part_length_m=length_m), job.config.kinds)
        except (UnexplainedError, TooFewPiecesError) as error:
            refused = error
    length_m = length_m or getattr(refused, 'part_length_m', None)
    if length_m is None:
        raise refused
    print(f'no shape explains the frames; the part is taken to be {length_m * 1e3:.0f} mm long')
    return {UNEXPLAINED: str(refused), 'part_length_m': round(length_m, 5)}


def stand_in(job: Job, start: Start | None) -> Figures:
    """Where there is no shape, the start itself is the model at first, given the part's length.

    Raises:
        UnexplainedError: the start knows one part alone.
    """
    assert start is not None  # else there was no discovery without a shape
    found = job.report.of('discovery')
    why, length_m = found[UNEXPLAINED], float(found['part_length_m'])
    if not start.keep_as(job.model, length_m, job.dataset):
        raise UnexplainedError(why, length_m)
    print(
        f'{why}. Until then {job.model} is {start.card["part"]}, for parts of '
        f'{length_m * 1e3:.0f} mm, the length that was found in the frames'
    )
    return {'part_length_mm': round(1e3 * length_m, 1)}


def _discovered(search: Search, kinds: int) -> Figures:
    """Figures of the shapes found. Raises as `discover` does."""
    if kinds == 1:
        return discover(search).account
    found = discover_kinds(search, kinds)
    return {
        'kinds': len(found.templates),
        'shares': list(found.shares),
        'residuals': [template.account['residual'] for template in found.templates],
    }


def _by_the_network(job: Job, start: Start) -> float | None:
    """Metres of the longest side: pieces between depth edges are often parts of parts."""
    some = np.linspace(
        0, len(job.indices) - 1, min(part_length.DEFAULT.frames, len(job.indices))
    ).astype(int)
    return start.part_length((job.dataset[job.indices[k]].frame for k in some), job.device)
