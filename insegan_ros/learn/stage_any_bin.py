"""Stage: labelled pictures of a known shape in bins of any kind, under any depth camera.

It takes the place of `stage_piles` where no frames show the bin and the camera.

<out>/piles/0000.views.npz   pictures of one bin after the other
      piles.png              some of them, with noise
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from insegan_ros import drawing
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.piles import Solid
from insegan_ros.distillation.pretrain import (
    VIEWS,
    ShapesConfig,
    fill_bins,
    load_views,
    picture_looks,
    save_views,
)
from insegan_ros.distillation.random_views import LENGTH_M
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stage_piles import Parts
from insegan_ros.learn.stages import Figures
from insegan_ros.synthetic.convex import convex_pieces
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.workers import in_processes

HELD_OUT = 12  # one bin in so many is not taught
MOST_HELD_OUT = 240  # pictures
SHOWN = 8


@dataclass(frozen=True)
class AnyBin:
    """Bins of one shape whose bin and camera nobody knows."""

    job: Job
    solid: Solid

    @property
    def lengths_px(self) -> tuple[float, float]:
        """Lengths of the part in an image that the network is taught on."""
        return self.job.config.bins.view.told_px

    @property
    def pixel_m(self) -> float:
        """Of an image in which the part is as long as the network has seen it most."""
        return self._length_m / float(np.sqrt(np.prod(self.lengths_px)))

    @cached_property
    def _length_m(self) -> float:
        return float(max(self.solid.mesh().bounding_box_oriented.primitive.extents))

    def make(self, seconds: float) -> Figures:
        """Up to the configured number of bins, as many as the time allows."""
        folder, config = self.job.out / 'piles', self.job.config.bins
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        part = _decimetre(self.solid)
        tasks = ((config, part, folder, self.job.seed, k) for k in range(config.shapes))
        made = in_processes(_fill, tasks, self.job.workers)
        for _ in tqdm(made, desc='bins', total=config.shapes):
            enough = len(_files(folder)) * 3 >= self.job.config.least_piles
            if time.monotonic() - begun > seconds and enough:
                break
        pictures = [view for view, _ in self._load(_files(folder))]
        rng = np.random.default_rng([self.job.seed, 2])
        shown = [pictures[k].heights(0, rng) for k in range(min(SHOWN, len(pictures)))]
        top = float(np.nanpercentile(np.stack(shown), 99.5))
        drawing.save_rows(
            self.job.out / 'piles.png', [[drawing.heights_picture(h, top) for h in shown]]
        )
        return {'count': len(pictures), 'bins': len(_files(folder))}

    def taught(self, network: NetworkConfig) -> Parts:  # noqa: ARG002 each has its own
        """Pictures that the network learns from."""
        files = _files(self.job.out / 'piles')
        return self._load([file for k, file in enumerate(files) if k % HELD_OUT != 1])

    def held(self, network: NetworkConfig) -> Parts:  # noqa: ARG002 each has its own
        """Pictures of other bins, on which reading and scores are chosen."""
        most = min(self.job.config.network.held_out, MOST_HELD_OUT)
        return self._load(_files(self.job.out / 'piles')[1::HELD_OUT])[:most]

    def _load(self, files: list[Path]) -> Parts:
        view, length_m = self.job.config.bins.view, self._length_m
        return [pair for file in files for pair in load_views(file, view, length_m)]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob('[0-9]*' + VIEWS))


def _decimetre(solid: Solid) -> Part:
    """The part about its centre of mass, as long as pictures are made of."""
    mesh = solid.mesh()
    mesh.apply_translation(-mesh.center_mass)
    mesh.apply_scale(LENGTH_M / float(max(mesh.bounding_box_oriented.primitive.extents)))
    return Part('part', mesh, convex_pieces(mesh))


Task = tuple[ShapesConfig, Part, Path, int, int]


def _fill(task: Task) -> None:
    """Fill one bin, and store its pictures; a bin that does not come to rest has none."""
    config, part, folder, seed, index = task
    file = folder / f'{index:04d}{VIEWS}'
    if not file.exists() and (looks := fill_bins(config, part, (seed, index))):
        rng = np.random.default_rng([seed, index])
        save_views(file, picture_looks(config, part.mesh, looks, rng=rng))
