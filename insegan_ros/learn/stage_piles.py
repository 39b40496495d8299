"""Stage: labelled piles of the part's shape, in the bin and under the camera of the frames.

<out>/piles/       a dataset folder
      piles.png    real frames (upper row) over piles with noise: they ought to look alike
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from tqdm import tqdm

from insegan_ros.data.store import Dataset
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.piles import PileMaker, Solid, store_piles
from insegan_ros.distillation.surroundings import Surroundings, measure_surroundings
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.run_pictures import show_piles
from insegan_ros.learn.stages import Figures
from insegan_ros.synthetic.depth_noise import AnyCamera, DepthNoise

Parts = Sequence[tuple[Piles, NetworkConfig]]


def surroundings_of(job: Job) -> Surroundings:
    """The bin and the camera, as a job's frames show them."""
    rng = np.random.default_rng([job.seed, 1])
    return measure_surroundings(job.dataset, rng, finding=job.config.finding)


@dataclass(frozen=True)
class BinOfFrames:
    """Piles of known shapes in the bin and under the camera that the frames show."""

    job: Job
    solids: Sequence[Solid]  # one a kind of part
    shares: Sequence[float]  # of the kinds in a pile, on average

    lengths_px: ClassVar[None] = None  # images are resampled to the pixels of the frames

    @cached_property
    def around(self) -> Surroundings:
        """The bin and the camera, as the frames show them."""
        return surroundings_of(self.job)

    @property
    def pixel_m(self) -> float:
        """A pixel's side on the floor."""
        return float(self.around.camera_height / self.around.intrinsics.fx)

    @cached_property
    def errors(self) -> DepthNoise | AnyCamera | None:
        """Of the camera under which the piles are taught."""
        sides = [solid.mesh().bounding_box_oriented.primitive.extents for solid in self.solids]
        return self.job.config.errors(float(np.max(sides)))

    def make(self, seconds: float) -> Figures:
        """Up to the configured number, as many as the time allows."""
        job, around = self.job, self.around
        begun, made = time.monotonic(), 0
        maker = PileMaker.of(self.solids, around, job.config.piles, shares=self.shares)
        with tqdm(total=maker.config.count, desc='piles', unit='pile') as bar:
            piles = store_piles(maker, job.out / 'piles', job.seed, workers=job.workers)
            for made in piles:
                bar.update(made - bar.n)
                if time.monotonic() - begun > seconds and made >= job.config.least_piles:
                    piles.close()
                    break
        show_piles(job.dataset, job.indices, job.out, seed=job.seed, errors=self.errors)
        return {
            'count': made,
            'bin_width_mm': round(around.bin_width * 1e3, 1),
            'wall_height_mm': round(around.wall_height * 1e3, 1),
            'camera_height_mm': round(around.camera_height * 1e3, 1),
        }

    def taught(self, network: NetworkConfig) -> Parts:
        """Piles that the network learns from, and what it takes them for."""
        return [(self._piles(self._stored.indices[self._kept :]), network)]

    def held(self, network: NetworkConfig) -> Parts:
        """Piles kept from training, on which reading and scores are chosen."""
        return [(self._piles(self._stored.indices[: self._kept]), network)]

    def _piles(self, indices: Sequence[int]) -> Piles:
        return Piles.load(self._stored, indices, self.errors)

    @property
    def _stored(self) -> Dataset:
        return Dataset(self.job.out / 'piles')

    @property
    def _kept(self) -> int:
        held_out = self.job.config.network.held_out
        return max(2, min(held_out, len(self._stored.indices) // 5))
