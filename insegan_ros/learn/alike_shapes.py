"""Where no shape explains the frames: random shapes that look like the part teach the network.

<out>/shapes/      piles of random shapes; those most alike have more
      alike.png    the part in the frames (first row), and shapes that look most like it
      model/       masks, but no poses: there is no shape
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.camera import Plane
from insegan_ros.data.store import Dataset
from insegan_ros.discovery.discover import WHOLE
from insegan_ros.discovery.picture import draw_pieces
from insegan_ros.discovery.pieces import MASK_EDGE, Piece, pieces_of
from insegan_ros.discovery.resume import load_pieces
from insegan_ros.distillation.alike import Order, carry_out, unlike, view_cues
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stage_piles import Parts, surroundings_of
from insegan_ros.learn.stages import Figures
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame

WHOLE_VISIBLE = 0.9
HELD_OUT = 5  # one shape in so many is not taught: how well others are read is judged on it
LOOKED_AT = 4  # shapes at least, for each that is kept
PICTURE = 'alike.png'
SHOWN = 6  # shapes in it


@dataclass(frozen=True)
class AlikeShapes:
    """Piles of other shapes, where discovery found none."""

    job: Job
    length_m: float

    lengths_px: ClassVar[None] = None  # images are resampled to the pixels of the frames

    @property
    def kept(self) -> list[int]:
        """The shapes most alike; none before they are found, or where too few parts are seen."""
        return list(self.job.report.of('shapes').get('kept', []))

    @cached_property
    def around(self) -> Surroundings:
        """The bin and the camera, as the frames show them."""
        return surroundings_of(self.job)

    @cached_property
    def orders(self) -> list[Order]:
        """Some piles of every shape that is looked at."""
        job, config = self.job, self.job.config.alike
        return [
            Order(
                around=self.around,
                length_m=self.length_m,
                config=config,
                seed=job.seed,
                shape=k,
                path=job.out / 'shapes' / f'{k:04d}',
                count=config.looks,
            )
            for k in range(config.shapes)
        ]

    @property
    def pixel_m(self) -> float:
        """A pixel's side on the floor."""
        return float(self.around.camera_height / self.around.intrinsics.fx)

    def make(self, seconds: float) -> Figures:
        """Piles of the random shapes whose views are most like the crops in the frames."""
        job, config = self.job, self.job.config.alike
        looks = carry_out(self.orders, job.workers, seconds / 2, least=LOOKED_AT * config.kept)
        bar = tqdm(looks, desc='shapes', total=len(self.orders), unit='shape')
        made = self.orders[: sum(1 for _ in bar)]
        figures = self.choose(made)
        best = figures['kept']
        if not best:
            print('too few parts are seen whole to say what shapes they are like')
            return figures
        longer = [replace(self.orders[k], count=config.piles) for k in best]
        more = carry_out(longer, job.workers, seconds / 2, least=len(best) // 4)
        for _ in tqdm(more, desc='piles of shapes', total=len(best), unit='shape'):
            pass
        return figures

    def choose(self, made: Sequence[Order]) -> dict[str, Any]:
        """Those most alike, `kept`; none where too few parts are seen whole."""
        job, length_m = self.job, self.length_m
        file = job.out / 'template' / WHOLE
        pieces = [p for p in load_pieces(file) if p.edge_px == MASK_EDGE] if file.exists() else []
        rng = np.random.default_rng([job.seed, 4])
        seen = _cues(pieces, length_m)
        longest_m = job.config.discovery.longest * length_m
        shown = [_whole_pieces(order.path, longest_m) for order in made]
        distance = [unlike(seen, _cues(some, length_m), rng) for some in shown]
        order = [int(k) for k in np.argsort(distance)[: job.config.alike.kept]]
        best = [k for k in order if np.isfinite(distance[k])]
        if len(best) < 2:
            return {'kept': []}
        draw_pieces(job.out / PICTURE, [pieces, *(shown[k] for k in best[:SHOWN])], length_m)
        nearest, median = round(float(distance[best[0]]), 3), round(float(np.median(distance)), 3)
        return {'kept': best, 'nearest': nearest, 'median': median}

    @property
    def _teaching(self) -> list[int]:
        return [k for n, k in enumerate(self.kept) if n % HELD_OUT != 1]

    def counts(self) -> dict[str, int]:
        """Of what taught the network, for the model's card."""
        piles = sum(len(Dataset(self.orders[k].path)) for k in self._teaching)
        return {'shapes': len(self._teaching), 'piles': piles}

    def taught(self, network: NetworkConfig) -> Parts:
        """Piles of the shapes that look most alike."""
        return self._parts(self._teaching, network)

    def held(self, network: NetworkConfig) -> Parts:
        """The other shapes judge how well what was not taught is read."""
        return self._parts(self.kept[1::HELD_OUT], network)

    def _parts(self, shapes: Sequence[int], network: NetworkConfig) -> Parts:
        stored = [Dataset(self.orders[k].path) for k in shapes]
        errors = self.job.config.errors(self.length_m)
        return [(Piles.load(piles, piles.indices, errors), network) for piles in stored]


def _cues(pieces: Sequence[Piece], length_m: float) -> NDArray[np.floating]:
    rows = [view_cues(piece.points, piece.pixel_m, length_m) for piece in pieces]
    return np.array(rows) if rows else np.zeros((0, 1))


def _whole_pieces(folder: Path, longest_m: float) -> list[Piece]:
    """Of a shape's first piles: parts that are seen whole, as a network would cut them out."""
    stored = Dataset(folder)
    if not len(stored):
        return []
    piles = Piles.load(stored, stored.indices)
    pieces: list[Piece] = []
    for k in range(len(piles)):
        height = float(piles.camera_height[k])
        noise = np.random.default_rng([5, k])
        frame = DepthFrame(height - piles.heights(k, noise), piles.intrinsics)
        whole = np.concatenate([[0], np.arange(1, len(piles.visible[k]) + 1)])
        whole[1:][piles.visible[k] < WHOLE_VISIBLE] = 0
        floor = Bin(Plane((0.0, 0.0, -1.0), height))
        pieces += pieces_of(frame, floor, whole[piles.labels[k]], longest_m=longest_m)
    return pieces
