"""The default method: discover the part, pile it up in physics, teach a network from the piles.

    <out>/config.yaml, run.yaml   all settings, resolved; dataset, seed, versions, machine
          report.yaml             figures and seconds of each stage
          template/               the part's shape, and its picture
          piles/, piles.png       labelled piles of it; beside real frames
          state.pt                the network in training
          model/, segmented.png   what `--model <out>/model` loads; what it makes of real frames

Where no shape explains the frames, random shapes that look like what they show take the place of
the part's (`alike_shapes`): shapes/ and alike.png instead of piles/ and piles.png. The model then
gives masks, but no poses. No stage reads a label.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from insegan_ros.data.store import Dataset
from insegan_ros.distillation.examples import Piles, make_batch
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.surroundings import Surroundings, measure_surroundings
from insegan_ros.inference import distilled, distilled_card, model_card
from insegan_ros.learn.alike_shapes import AlikeShapes
from insegan_ros.learn.pictures import show_segmented
from insegan_ros.learn.reading import (
    SCORED_PILES,
    calibrate_scores,
    frames_of,
    learn_to_read,
    look,
)
from insegan_ros.learn.run_folder import Job, claim
from insegan_ros.learn.stage_discovery import UNEXPLAINED, find_shape
from insegan_ros.learn.stage_network import begun, is_read, learned_enough, teach, training_of
from insegan_ros.learn.stage_piles import make_piles
from insegan_ros.learn.stages import Figures, Stage, carry_out, plan
from insegan_ros.learn.start import Start, card_of
from insegan_ros.model.template import Template


def train(job: Job) -> int:
    """Carry out what is not done yet; 0.

    Raises:
        ValueError: a dataset without a usable frame, or a folder of another run.
    """
    distillation = Distillation(job)
    with claim(job):
        # the first stage tells what comes next
        carry_out(distillation.stages()[:1], job.config.seconds, job.report)
        carry_out(distillation.stages(), job.config.seconds, job.report)
    if distillation.unexplained:
        print(f'the model is in {job.model}: masks, but no poses')
    else:
        print(f'the model is in {job.model}; try: insegan segment --model {job.model} ...')
    return 0


def describe(job: Job) -> str:
    """The plan, with its times."""
    stages = Distillation(job).stages()
    return plan(stages, job.config.seconds, job.report)


class Distillation:
    """The stages of one run, and what they share."""

    def __init__(self, job: Job) -> None:
        """Raises: ModelError, where the model to begin with is absent or damaged."""
        self.job = job
        self.start = Start.find(job.config.start)

    def stages(self) -> list[Stage]:
        """In order; which ones follow discovery is known once it has ended."""
        report, shares = self.job.report, self.job.config.shares
        discovery = Stage(
            name='discovery',
            share=shares.discovery,
            done=lambda _: 'discovery' in report,
            run=lambda seconds: find_shape(self.job, self.start, seconds),
        )
        if self.unexplained:
            assert self.start is not None
            length_m = float(report.of('discovery')['part_length_m'])
            return [discovery, *AlikeShapes(self.job, self.start, length_m).stages()]
        piles = Stage(
            name='piles',
            share=shares.piles,
            done=lambda _: 'piles' in report,
            run=lambda seconds: make_piles(self.job, self.template, self.around, seconds=seconds),
        )
        network = Stage(
            name='network',
            share=shares.network,
            takes_spare=True,
            done=lambda seconds: learned_enough(self.job, seconds),
            run=self.teach,
        )
        reading = Stage(
            name='reading',
            share=1 - shares.discovery - shares.piles - shares.network,
            done=lambda _: is_read(self.job),
            run=lambda _: self.write_model(),
        )
        return [discovery, piles, network, reading]

    @property
    def unexplained(self) -> bool:
        """Whether discovery has ended without a shape."""
        return UNEXPLAINED in self.job.report.of('discovery')

    @cached_property
    def template(self) -> Template:
        """The shape that was discovered."""
        return Template.load(self.job.out / 'template')

    @cached_property
    def around(self) -> Surroundings:
        """The bin and the camera, as the frames show them."""
        return measure_surroundings(self.job.dataset, np.random.default_rng([self.job.seed, 1]))

    @cached_property
    def network(self) -> NetworkConfig:
        """What the network takes the part for."""
        sides = self.template.mesh().bounding_box_oriented.primitive.extents
        pixel_m = self.around.camera_height / self.around.intrinsics.fx
        config = NetworkConfig(float(max(sides)), float(min(sides)), float(pixel_m))
        return config if self.start is None else replace(config, widths=self.start.widths)

    @cached_property
    def _stored(self) -> Dataset:
        return Dataset(self.job.out / 'piles')

    def _split(self) -> tuple[list[int], list[int]]:
        """Piles kept from training, and those that the network learns from."""
        indices = self._stored.indices
        kept = max(2, min(self.job.config.network.held_out, len(indices) // 5))
        return indices[:kept], indices[kept:]

    def teach(self, seconds: float) -> Figures:
        """The network's stage."""
        settings = self.job.config.network.adapted(self.job.device, self.start is not None)
        piles = Piles.load(self._stored, self._split()[1])
        progress = begun(self.job, self.network, settings, self.start)

        def batches(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
            return make_batch(piles, self.network, settings.batch, rng=rng)

        return teach(self.job, progress, batches, settings, seconds)

    def write_model(self) -> Figures:
        """Choose how votes are read, learn what scores mean, and write the model."""
        job, settings = self.job, self.job.config.network
        progress = begun(job, self.network, settings, self.start)
        held = Piles.load(self._stored, self._split()[0])
        frames = frames_of(progress.average, job.dataset, job.seed)
        read = learn_to_read(progress.average, [(held, self.network)], job.seed, frames=frames)
        segmenter = distilled.DistilledSegmenter(
            progress.average,
            read.votes,
            template=self.template,
            seed=job.seed,
            existence=read.existence,
        )
        scored = range(len(held))[:SCORED_PILES]
        scoring = calibrate_scores(segmenter, look(segmenter, held, scored, job.seed))
        figures = {
            'strict_miou_on_unseen_piles': round(read.strict_miou, 4),
            'count_accuracy_on_unseen_piles': round(read.count_accuracy, 4),
        }
        sides = sorted(self.template.mesh().bounding_box_oriented.primitive.extents)[::-1]
        card = {
            **card_of(job.dataset),
            'labels_used': 'none: the shape was discovered in unlabelled depth, piles of it in '
            'physics taught the network',
            'training': {
                **training_of(job, self.start),
                'piles': len(self._stored),
                'part_size_mm': [round(float(side) * 1e3, 1) for side in sides],
            },
            'figures': figures,
            'settings': distilled_card.to_card(
                self.network, read.votes, self.template.voxel_m, scoring, existence=read.existence
            ),
        }
        logits = torch.from_numpy(self.template.logits)
        tensors = {**progress.average.state_dict(), distilled.TEMPLATE: logits}
        model_card.save_model(job.model, card, tensors)
        show_segmented(job.dataset, job.indices, job.out, seed=job.seed)
        return {'steps': progress.step, **figures}
