"""Stage: labelled piles of the part's shape, in the bin and under the camera of the frames.

<out>/piles/       a dataset folder
      piles.png    real frames (upper row) over piles with noise: they ought to look alike
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tqdm import tqdm

from insegan_ros.distillation.piles import PileMaker, Solid, store_piles
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.learn.pictures import show_piles
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stages import Figures


def make_piles(
    job: Job,
    templates: Sequence[Solid],
    around: Surroundings,
    *,
    shares: Sequence[float] = (1.0,),
    seconds: float,
) -> Figures:
    """Up to the configured number, as many as the time allows.

    Args:
        templates: one a kind of part.
        shares: of the kinds in a pile, on average.
    """
    begun, made = time.monotonic(), 0
    maker = PileMaker.of(templates, around, job.config.piles, shares)
    with tqdm(total=maker.config.count, desc='piles', unit='pile') as bar:
        piles = store_piles(maker, job.out / 'piles', job.seed, workers=job.workers)
        for made in piles:
            bar.update(made - bar.n)
            if time.monotonic() - begun > seconds and made >= job.config.least_piles:
                piles.close()
                break
    show_piles(job.dataset, job.indices, job.out, seed=job.seed)
    return {
        'count': made,
        'bin_width_mm': round(around.bin_width * 1e3, 1),
        'wall_height_mm': round(around.wall_height * 1e3, 1),
        'camera_height_mm': round(around.camera_height * 1e3, 1),
    }
