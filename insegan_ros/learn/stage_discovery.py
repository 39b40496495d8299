"""Stage: the part's shape, from the frames alone.

<out>/template/    the shape, its picture, what goes on after an interruption
"""

from __future__ import annotations

import numpy as np

from insegan_ros.discovery.discover import Search, UnexplainedError, discover
from insegan_ros.inference.part_length import FRAMES
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stages import Figures
from insegan_ros.learn.start import Start

UNEXPLAINED = 'unexplained'  # why there is no shape, in the stage's figures


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
        seed=job.seed,
        device=job.device,
        max_seconds=seconds,
        finder=None if start is None else start.finder(job.device),
        part_length_m=job.config.part_length_m,
    )
    try:
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
