"""The default method of `insegan train`: discover the part, pile it up in physics, distil.

Each stage is skipped when its result is in the run's folder, and resumed when it was interrupted:
the same command goes on. A finished run whose --max-minutes is raised teaches its network for
longer. Each stage leaves a picture and its figures, none of which needs a label.

    <out>/template/           the part's shape and its picture
          piles/              labelled piles of it      piles.png   (upper row: real frames)
          state.pt            the network in training
          model/              what `--model <out>/model` loads       segmented.png (real frames)
          report.yaml         figures and seconds of each stage
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.device import pick_device, processor
from insegan_ros.discovery.discover import UnexplainedError, discover
from insegan_ros.discovery.state import Settings
from insegan_ros.distillation.examples import Piles, make_batch
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.piles import PileConfig, PileMaker, Solid, store_piles
from insegan_ros.distillation.surroundings import Surroundings, measure_surroundings
from insegan_ros.distillation.train import (
    STARTED_RATE,
    TrainConfig,
    begin,
    load_checkpoint,
)
from insegan_ros.inference import distilled, distilled_card, model_card
from insegan_ros.learn.alike_shapes import stand_in
from insegan_ros.learn.pictures import show_piles, show_segmented
from insegan_ros.learn.reading import (
    SCORED_PILES,
    calibrate_scores,
    frames_of,
    learn_to_read,
    look,
)
from insegan_ros.learn.stages import ENOUGH, Report, batch_workers, train_with_bar
from insegan_ros.learn.start import card_of, origin, whole_part_finder
from insegan_ros.model.template import Template

# shares of --max-minutes; what is left is for choosing rules and calibrating scores
DISCOVERY, PILES, DISTILLATION = 0.35, 0.15, 0.45
LEAST_PILES = 50
DISCOVERY_FRAMES = 2400  # full bins show few parts whole: some 300 in a thousand frames


def run(args: argparse.Namespace) -> int:
    """Uses args.dataset, out, max_minutes, seed, device and workers.

    Raises:
        ValueError: a dataset without a usable frame, or too little time for a stage.
    """
    dataset, out = Dataset(args.dataset), Path(args.out)
    if len(dataset) == 0:
        raise DatasetError(f'{args.dataset} has no frames; collect or generate some')
    out.mkdir(parents=True, exist_ok=True)
    seed = int(getattr(args, 'seed', 0))
    workers = int(getattr(args, 'workers', 0) or os.cpu_count() or 1)
    device = pick_device(getattr(args, 'device', 'auto'))
    seconds = 60.0 * float(args.max_minutes or 30)
    report = Report(out / 'report.yaml')
    start = model_card.find_start(args.start)

    begun = time.monotonic()
    try:
        template = find_template(
            dataset, out, seconds * DISCOVERY, seed, report, start, args.part_length, device
        )
    except UnexplainedError as error:
        if start is None:
            raise
        if 'unexplained' not in report.content:
            report.add('unexplained', seconds=round(time.monotonic() - begun, 1))
        shares = seconds * PILES, time_for_network(seconds, report)
        stand_in(error, dataset, out, shares, seed, device, workers, report, start)
        show_segmented(dataset, train_indices(dataset), out, seed)
        print(f'the model is in {out / "model"}: masks, but no poses')
        return 0
    around = measure_surroundings(dataset, np.random.default_rng([seed, 1]))
    make_piles(template, around, out, seconds * PILES, seed, workers, report)
    show_piles(dataset, train_indices(dataset), out, seed)
    allowed = time_for_network(seconds, report)
    learned = report.content.get('distillation', {}).get('seconds', 0)
    if not (out / 'model' / model_card.CARD).exists() or learned < ENOUGH * allowed:
        distil(template, around, dataset, out, allowed, seed, device, workers, report, start)
    show_segmented(dataset, train_indices(dataset), out, seed)
    print(f'the model is in {out / "model"}; try: insegan segment --model {out / "model"} ...')
    return 0


def time_for_network(seconds: float, report: Report) -> float:
    """Its share of all the seconds, and what the stages before it left of theirs."""
    spare = 0.0
    for stage, share in (('discovery', DISCOVERY), ('unexplained', DISCOVERY), ('piles', PILES)):
        if stage in report.content:
            allowed = seconds * share
            spare += max(allowed - report.content[stage].get('seconds', allowed), 0)
    return seconds * DISTILLATION + spare


def find_template(
    dataset: Dataset,
    out: Path,
    seconds: float,
    seed: int,
    report: Report,
    start: Path | None = None,
    part_length_m: float | None = None,
    device: str = 'cpu',
) -> Template:
    """The part's shape, from the frames alone; those of a train split where there is one."""
    folder = out / 'template'
    if 'discovery' in report.content:
        return Template.load(folder)
    begun = time.monotonic()
    indices = train_indices(dataset)[:DISCOVERY_FRAMES]
    finder = None if start is None else whole_part_finder(start, device)
    template = discover(
        dataset, indices, folder, Settings(seed=seed), seconds, finder, part_length_m, device
    )
    report.add('discovery', seconds=round(time.monotonic() - begun, 1), **template.account)
    return template


def train_indices(dataset: Dataset) -> list[int]:
    """Frames of the train split, or all where there is none."""
    return dataset.split('train' if 'train' in dataset.splits() else 'all')


def make_piles(
    template: Solid,
    around: Surroundings,
    out: Path,
    seconds: float,
    seed: int,
    workers: int,
    report: Report,
) -> None:
    """Up to the configured number, as many as the time allows."""
    done = out / 'piles.done'
    if done.exists():
        return
    begun = time.monotonic()
    maker = PileMaker.of(template, around, PileConfig())
    made = 0
    with tqdm(total=maker.config.count, desc='piles', unit='pile') as bar:
        piles = store_piles(maker, out / 'piles', seed, workers)
        for made in piles:
            bar.update(made - bar.n)
            if time.monotonic() - begun > seconds and made >= LEAST_PILES:
                piles.close()
                break
    report.add(
        'piles',
        count=made,
        seconds=round(time.monotonic() - begun, 1),
        bin_width_mm=round(around.bin_width * 1e3, 1),
        wall_height_mm=round(around.wall_height * 1e3, 1),
        camera_height_mm=round(around.camera_height * 1e3, 1),
    )
    done.touch()


def distil(
    template: Template,
    around: Surroundings,
    dataset: Dataset,
    out: Path,
    seconds: float,
    seed: int,
    device: str,
    workers: int,
    report: Report,
    start: Path | None = None,
) -> None:
    """Train the network, choose how its votes are clustered, and write the model."""
    box = template.mesh().bounding_box_oriented.primitive.extents
    pixel_m = around.camera_height / around.intrinsics.fx
    network_config = NetworkConfig(float(max(box)), float(min(box)), float(pixel_m))
    weights = None
    if start is not None:
        network_config = replace(
            network_config, widths=distilled_card.widths_of(model_card.read_card(start))
        )
        weights = model_card.load_weights(start)
        weights.pop(distilled.TEMPLATE, None)
    settings = TrainConfig() if start is None else TrainConfig(learning_rate=STARTED_RATE)
    settings = settings.on(device)
    stored = Dataset(out / 'piles')
    held_out = max(2, min(settings.held_out, len(stored) // 5))
    held, piles = (
        Piles.load(stored, part) for part in (stored.indices[:held_out], stored.indices[held_out:])
    )
    try:
        progress = begin(network_config, settings, seed, device, weights)
    except RuntimeError as error:
        raise ValueError(f'{start} is of another network: {error}') from None
    train_with_bar(
        progress,
        lambda rng: make_batch(piles, network_config, settings.batch, rng),
        settings,
        seconds,
        seed,
        out / 'state.pt',
        batch_workers(device, workers),
    )
    spent = load_checkpoint(progress, out / 'state.pt')
    frames = frames_of(progress.average, dataset, seed)
    read = learn_to_read(progress.average, [(held, network_config)], seed, frames)
    segmenter = distilled.DistilledSegmenter(
        copy.deepcopy(progress.average),
        read.votes,
        template=template,
        seed=seed,
        existence=read.existence,
    )
    scored = range(len(held))[:SCORED_PILES]
    scoring = calibrate_scores(segmenter, look(segmenter, held, scored, seed))
    figures = {
        'strict_miou_on_unseen_piles': round(read.strict_miou, 4),
        'count_accuracy_on_unseen_piles': round(read.count_accuracy, 4),
    }
    card = {
        **card_of(dataset),
        'labels_used': 'none: the shape was discovered in unlabelled depth, piles of it in '
        'physics taught the network',
        'training': {
            'steps': progress.step,
            'batch': settings.batch,
            'piles': len(stored),
            'seconds': round(spent),
            'seed': seed,
            'began_with': 'random weights' if start is None else origin(start),
            'processor': processor(device),
            'part_size_mm': [round(float(v) * 1e3, 1) for v in sorted(box, reverse=True)],
        },
        'figures': figures,
        'settings': distilled_card.to_card(
            network_config, read.votes, template.voxel_m, scoring, existence=read.existence
        ),
    }
    tensors = {
        **progress.average.state_dict(),
        distilled.TEMPLATE: torch.from_numpy(template.logits),
    }
    model_card.save_model(out / 'model', card, tensors)
    report.add('distillation', steps=progress.step, seconds=round(spent, 1), **figures)
