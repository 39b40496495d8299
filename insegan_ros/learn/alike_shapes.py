"""Where no shape explains the frames: random shapes that look like the part teach the network.

<out>/shapes/      piles of random shapes; those most alike have more
      alike.png    the part in the frames (first row), and shapes that look most like it
      model/       masks, but no poses: there is no shape
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from insegan_ros.camera import Plane
from insegan_ros.config import plain
from insegan_ros.data.store import Dataset
from insegan_ros.discovery.discover import WHOLE
from insegan_ros.discovery.picture import draw_pieces
from insegan_ros.discovery.pieces import MASK_EDGE, Piece, pieces_of
from insegan_ros.discovery.resume import load_pieces
from insegan_ros.discovery.search import UnexplainedError
from insegan_ros.distillation.alike import Order, carry_out, unlike, view_cues
from insegan_ros.distillation.examples import Piles, mixed_batch
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.random_views import THICKNESS
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.distillation.train import TrainConfig
from insegan_ros.inference import distilled_card, model_card
from insegan_ros.learn.reading import frames_of, learn_to_read
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.run_pictures import show_segmented
from insegan_ros.learn.stage_discovery import UNEXPLAINED
from insegan_ros.learn.stage_network import begun, is_read, learned_enough, teach, training_of
from insegan_ros.learn.stage_piles import surroundings_of
from insegan_ros.learn.stages import Figures, Stage
from insegan_ros.learn.start import Start, card_of
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame

WHOLE_VISIBLE = 0.9
HELD_OUT = 5  # one shape in so many is not taught: how well others are read is judged on it
LOOKED_AT = 4  # shapes at least, for each that is kept
PICTURE = 'alike.png'
SHOWN = 6  # shapes in it
STAND_IN = 'stand_in'  # the stage that keeps the model begun with, given the part's length


class AlikeShapes:
    """The stages that follow a discovery without a shape."""

    def __init__(self, job: Job, start: Start, length_m: float) -> None:
        self.job, self.start, self.length_m = job, start, length_m

    def stages(self) -> list[Stage]:
        """The stages, in their order."""
        report, shares = self.job.report, self.job.config.shares
        stand_in = Stage(
            name=STAND_IN,
            share=0.0,
            done=lambda _: STAND_IN in report,
            run=lambda _: self.stand_in(),
        )
        shapes = Stage(
            name='shapes',
            share=shares.piles,
            done=lambda _: bool(self._kept),
            run=self.find_shapes,
        )
        network = Stage(
            name='network',
            share=shares.network,
            takes_spare=True,
            done=lambda seconds: not self._kept or learned_enough(self.job, seconds),
            run=self.teach,
        )
        reading = Stage(
            name='reading',
            share=1 - shares.discovery - shares.piles - shares.network,
            done=lambda _: not self._kept or is_read(self.job),
            run=lambda _: self.write_model(),
        )
        return [stand_in, shapes, network, reading]

    @property
    def _kept(self) -> list[int]:
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

    def stand_in(self) -> Figures:
        """At first the start itself is the model, given the part's length.

        Raises:
            UnexplainedError: the start knows one part alone.
        """
        job, why = self.job, self.job.report.of('discovery')[UNEXPLAINED]
        if not self.start.keep_as(job.model, self.length_m, job.dataset):
            raise UnexplainedError(why, self.length_m)
        print(
            f'{why}. Until then {job.model} is {self.start.card["part"]}, for parts of '
            f'{self.length_m * 1e3:.0f} mm, the length that was found in the frames'
        )
        return {'part_length_mm': round(1e3 * self.length_m, 1)}

    def find_shapes(self, seconds: float) -> Figures:
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

    @cached_property
    def network(self) -> NetworkConfig:
        """What the network takes the part for."""
        pixel_m = self.around.camera_height / self.around.intrinsics.fx
        thickness_m = THICKNESS * self.length_m
        return NetworkConfig(self.length_m, thickness_m, float(pixel_m), self.start.widths)

    @cached_property
    def settings(self) -> TrainConfig:
        """How the network is trained here."""
        config = self.job.config
        slow = replace(config.network, learning_rate=config.alike.learning_rate)
        return slow.adapted(self.job.device)

    @cached_property
    def parts(self) -> list[tuple[Piles, NetworkConfig]]:
        """Piles of the shapes that look most alike."""
        stored = [Dataset(self.orders[k].path) for k in self._kept]
        errors = self.job.config.errors(self.length_m)
        return [(Piles.load(piles, piles.indices, errors), self.network) for piles in stored]

    @property
    def taught(self) -> list[tuple[Piles, NetworkConfig]]:
        """The other shapes judge how well what was not taught is read."""
        return [part for k, part in enumerate(self.parts) if k % HELD_OUT != 1]

    def teach(self, seconds: float) -> Figures:
        """The network's stage."""
        taught = self.taught

        def batches(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
            return mixed_batch(taught, self.settings.batch, rng)

        progress = begun(self.job, self.network, self.settings, start=self.start)
        return teach(self.job, progress, batches, settings=self.settings, seconds=seconds)

    def write_model(self) -> Figures:
        """Choose how votes are read, and write the model."""
        job = self.job
        progress = begun(job, self.network, self.settings, start=self.start)
        reading = job.config.reading
        frames = frames_of(
            progress.average, job.dataset, job.seed, config=reading, finding=job.config.finding
        )
        # what a part shows that they lack must not pass for parts
        held = self.parts[1::HELD_OUT]
        least = replace(reading, generosity=reading.generosity[:1])
        read = learn_to_read(progress.average, held, job.seed, frames=frames, config=least)
        figures = {
            'strict_miou_on_unseen_shapes': round(read.strict_miou, 4),
            'count_accuracy_on_unseen_shapes': round(read.count_accuracy, 4),
        }
        card = {
            **card_of(job.dataset, job.part),
            'labels_used': 'none: no shape explained the frames; random shapes that look like '
            'what they show taught the network',
            'training': {
                **training_of(job, self.start),
                'shapes': len(self.taught),
                'piles': sum(len(piles) for piles, _ in self.taught),
            },
            'figures': figures,
            'settings': plain(
                distilled_card.DistilledCard(
                    self.network, read.votes, existence=read.existence, finding=job.config.finding
                )
            ),
        }
        model_card.save_model(job.model, card, progress.average.state_dict())
        show_segmented(job.dataset, job.indices, job.out, seed=job.seed)
        return {'steps': progress.step, **figures}


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
