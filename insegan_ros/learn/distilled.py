"""The default method: discover the part, pile it up in physics, teach a network from the piles.

    <out>/config.yaml, run.yaml   all settings, resolved; dataset, seed, versions, machine
          report.yaml             figures and seconds of each stage
          template/               the part's shape, and its picture; of several kinds of part
                                  kind_1/, kind_2/, ... in it
          piles/, piles.png       labelled piles of it; beside real frames
          state.pt                the network in training
          model/, segmented.png   what `--model <out>/model` loads; what it makes of real frames
          learned/                the learned model, where the one begun with is better

Where no shape explains the frames, random shapes that look like what they show take the place of
the part's (`alike_shapes`): shapes/ and alike.png instead of piles/ and piles.png. The model then
gives masks, but no poses. A CAD model (`--mesh`) takes the place of discovery; without frames the
piles then lie in bins of any kind, under any camera. No stage reads a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from insegan_ros.config import plain
from insegan_ros.distillation.examples import mixed_batch
from insegan_ros.distillation.network import NetworkConfig, VoteNetwork
from insegan_ros.distillation.piles import Solid
from insegan_ros.distillation.random_views import THICKNESS
from insegan_ros.inference import distilled, distilled_card, model_card
from insegan_ros.inference.distilled_card import Scoring
from insegan_ros.learn import stage_discovery
from insegan_ros.learn.alike_shapes import AlikeShapes
from insegan_ros.learn.reading import (
    VoteReading,
    calibrate_scores,
    cases_of,
    frames_of,
    learn_to_read,
)
from insegan_ros.learn.run_folder import Job, claim
from insegan_ros.learn.run_pictures import show_segmented
from insegan_ros.learn.stage_any_bin import AnyBin
from insegan_ros.learn.stage_comparison import comparison_stages, ending
from insegan_ros.learn.stage_discovery import STAND_IN, UNEXPLAINED
from insegan_ros.learn.stage_mesh import CadSolid, take_mesh, write_part
from insegan_ros.learn.stage_network import begun, is_read, learned_enough, teach, training_of
from insegan_ros.learn.stage_piles import BinOfFrames, Parts
from insegan_ros.learn.stages import Figures, Stage, plan, run_stages
from insegan_ros.learn.start import Start, card_of
from insegan_ros.model.template import Template


def train(job: Job) -> int:
    """Carry out what is not done yet; 0.

    Raises:
        ValueError: a dataset without a usable frame, or a folder of another run.
    """
    distillation = Distillation(job)
    with claim(job):
        # the first stage decides what comes next
        run_stages(distillation.stages()[:1], job.config.seconds, job.report)
        run_stages(distillation.stages(), job.config.seconds, job.report)
    if said := ending(job):
        print(said)
    if distillation.unexplained:
        print(f'the model is in {job.model}: masks, but no poses')
    else:
        print(f'the model is in {job.model}; try: insegan segment --model {job.model} ...')
    return 0


def describe(job: Job) -> str:
    """The plan, with its times."""
    return plan(Distillation(job).stages(), job.config.seconds, job.report)


class Distillation:
    """The stages of one run, and what they share."""

    def __init__(self, job: Job) -> None:
        """Raises: ModelError, where the model to begin with is absent or damaged."""
        self.job = job
        self.start = Start.find(job.config.start)

    def stages(self) -> list[Stage]:
        """In order; which ones follow discovery is known once it has ended."""
        report, shares = self.job.report, self.job.config.shares
        shape = Stage(
            name=self.first,
            share=shares.discovery,
            done=lambda _: self.first in report,
            run=self.find_shape,
        )
        until_then = Stage(
            name=STAND_IN,
            share=0.0,
            done=lambda _: STAND_IN in report,
            run=lambda _: stage_discovery.stand_in(self.job, self.start),
        )
        piles = Stage(
            name=self.piles,
            share=shares.piles,
            done=lambda _: not self.untaught if self.unexplained else 'piles' in report,
            run=lambda seconds: self.bins.make(seconds),
        )
        network = Stage(
            name='network',
            share=shares.network,
            takes_spare=True,
            done=lambda seconds: self.untaught or learned_enough(self.job, seconds),
            run=self.teach,
        )
        reading = Stage(
            name='reading',
            share=1 - shares.discovery - shares.piles - shares.network,
            done=lambda _: self.untaught or is_read(self.job),
            run=lambda _: self.write_model(),
        )
        first = [shape, until_then] if self.unexplained else [shape]
        return [*first, piles, network, reading, *comparison_stages(self.job, self.start)]

    @property
    def first(self) -> str:
        """The stage that ends in the part's shape."""
        return 'discovery' if self.job.config.mesh is None else 'mesh'

    def find_shape(self, seconds: float) -> Figures:
        """From the CAD model where there is one, else from the frames."""
        if self.job.config.mesh is not None:
            return take_mesh(self.job)
        return stage_discovery.find_shape(self.job, self.start, seconds)

    @property
    def unexplained(self) -> bool:
        """Whether discovery has ended without a shape."""
        return UNEXPLAINED in self.job.report.of('discovery')

    @property
    def length_m(self) -> float:
        """Of a part without a shape, as the frames show it."""
        return float(self.job.report.of('discovery')['part_length_m'])

    @property
    def piles(self) -> str:
        """The stage that makes what the network learns from."""
        return 'shapes' if self.unexplained else 'piles'

    @property
    def untaught(self) -> bool:
        """Whether nothing is like the part, so that the stand-in stays."""
        return self.unexplained and not self.job.report.of('shapes').get('kept')

    @cached_property
    def templates(self) -> list[Template]:
        """The shapes that were discovered, one a kind of part."""
        folders = [] if self.unexplained else stage_discovery.shape_folders(self.job)
        return [Template.load(folder) for folder in folders]

    @property
    def shares(self) -> list[float]:
        """Of the kinds in a pile, as the frames show them."""
        return self.job.report.of('discovery').get('shares', [1.0])

    @cached_property
    def sides(self) -> list[list[float]]:
        """Of each kind's box, the longest first, metres."""
        if self.unexplained:
            return [[self.length_m, THICKNESS * self.length_m]]
        boxes = [s.mesh().bounding_box_oriented.primitive.extents for s in self.solids]
        return [sorted(map(float, box), reverse=True) for box in boxes]

    @cached_property
    def solids(self) -> Sequence[Solid]:
        """What piles are made of: the CAD model, or the shapes that were discovered."""
        return self.templates if self.first == 'discovery' else [CadSolid.load(self.job.out)]

    @cached_property
    def bins(self) -> BinOfFrames | AnyBin | AlikeShapes:
        """Where the piles lie."""
        if self.unexplained:
            return AlikeShapes(self.job, self.length_m)
        if self.job.frames is None:
            return AnyBin(self.job, self.solids[0])
        return BinOfFrames(self.job, self.solids, self.shares)

    @cached_property
    def network(self) -> NetworkConfig:
        """What the network takes the parts for."""
        longest, thinnest = max(s[0] for s in self.sides), min(s[-1] for s in self.sides)
        config = NetworkConfig(longest, thinnest, self.bins.pixel_m, kinds=len(self.sides))
        return config if self.start is None else replace(config, widths=self.start.widths)

    def teach(self, seconds: float) -> Figures:
        """The network's stage."""
        job, begun_with = self.job, self.start is not None
        settings = job.config.network.adapted(job.device, begun_with)
        if self.unexplained:
            settings = replace(settings, learning_rate=job.config.alike.learning_rate)
        parts = self.bins.taught(self.network)
        progress = begun(job, self.network, settings, start=self.start)

        def batches(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
            return mixed_batch(parts, settings.batch, rng)

        return teach(job, progress, batches, settings=settings, seconds=seconds)

    def _taught(self) -> dict[str, Any]:
        """What the card says of where the shapes come from, and of the training."""
        job, training = self.job, training_of(self.job, self.start)
        if isinstance(self.bins, AlikeShapes):
            said = 'no shape explained the frames; random shapes that look like the part taught'
            training |= self.bins.counts()
        else:
            cad, one = job.config.mesh is not None, len(self.sides) == 1
            shape = 'is that of a CAD model' if cad else 'was discovered in unlabelled depth'
            said = f'the shape {shape}, piles of it in physics taught'
            sizes = [[round(side * 1e3, 1) for side in sides] for sides in self.sides]
            training |= {
                'piles': job.report.of('piles')['count'],
                'part_size_mm': sizes[0] if one else sizes,
                **({} if one else {'shares_of_kinds': self.shares}),
            }
        return {'labels_used': f'none: {said} the network', 'training': training}

    def write_model(self) -> Figures:
        """Choose how votes are read, learn what scores mean, and write the model."""
        job, settings = self.job, self.job.config.network
        progress = begun(job, self.network, settings, start=self.start)
        held = self.bins.held(self.network)
        frames, reading, finding = None, job.config.reading, job.config.finding
        if job.frames is not None:
            frames = frames_of(
                progress.average, job.frames, job.seed, config=reading, finding=finding
            )
        if self.unexplained:  # what a part shows that the shapes lack must not pass for parts
            reading = replace(reading, generosity=reading.generosity[:1])
        read = learn_to_read(progress.average, held, job.seed, frames=frames, config=reading)
        scoring = None if self.unexplained else self._scoring(progress.average, read, held)
        figures = {
            f'strict_miou_on_unseen_{self.piles}': round(read.strict_miou, 4),
            f'count_accuracy_on_unseen_{self.piles}': round(read.count_accuracy, 4),
        }
        voxels = tuple(template.voxel_m for template in self.templates)
        card = {
            **card_of(job.frames, job.part),
            **self._taught(),
            'figures': figures,
            'settings': plain(
                distilled_card.DistilledCard(
                    self.network,
                    read.votes,
                    voxels[0] if voxels else None,
                    other_voxels_m=voxels[1:],
                    scoring=scoring,
                    lengths_px=self.bins.lengths_px,
                    existence=read.existence,
                    finding=finding,
                )
            ),
        }
        cad = None if self.unexplained else self.solids[0]
        if isinstance(cad, CadSolid):
            told = job.report.of('mesh')
            card['mesh'] = {'file': Path(job.mesh).name, **told}
        shapes = {
            distilled_card.template_name(kind): torch.from_numpy(template.logits)
            for kind, template in enumerate(self.templates, 1)
        }
        tensors = {**progress.average.state_dict(), **shapes}
        model_card.save_model(job.model, card, tensors)
        if isinstance(cad, CadSolid):
            write_part(job, cad)
        if job.frames is not None:
            show_segmented(job.frames, job.indices, job.out, seed=job.seed)
        return {'steps': progress.step, **figures}

    def _scoring(self, network: VoteNetwork, read: VoteReading, held: Parts) -> Scoring | None:
        """What scores mean, from piles that did not teach the network."""
        reading, finding = self.job.config.reading, self.job.config.finding
        segmenter = distilled.DistilledSegmenter(
            network,
            read.votes,
            templates=self.templates,
            seed=self.job.seed,
            lengths_px=self.bins.lengths_px,
            existence=read.existence,
            finding=finding,
        )
        cases = cases_of(segmenter, held, self.job.seed, config=reading, finding=finding)
        return calibrate_scores(segmenter, cases, reading.right_iou)
