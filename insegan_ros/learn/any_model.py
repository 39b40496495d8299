"""The model `any`: a network that learns from random shapes what piles of any part are like."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from insegan_ros import __version__
from insegan_ros.config import plain
from insegan_ros.depth_camera import D435
from insegan_ros.device import pick_device, processor
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.network import NetworkConfig, VoteNetwork, widened
from insegan_ros.distillation.picture_batches import Kind, PictureBatches
from insegan_ros.distillation.pretrain import (
    COMPACT,
    STRAIGHT,
    VIEWS,
    ShapesConfig,
    load_shapes,
    store_shapes,
)
from insegan_ros.distillation.random_views import THICKNESS
from insegan_ros.distillation.train import TrainConfig, begin
from insegan_ros.inference import distilled_card, model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.inference.distilled_card import Scoring
from insegan_ros.learn.reading import Case, ReadingConfig, calibrate_scores, learn_to_read, look
from insegan_ros.learn.stage_network import train_with_bar
from insegan_ros.learn.start import Start

HELD_OUT = 20  # one shape in so many is not trained on, but no more than
MOST_HELD_OUT = 30
ENOUGH = 64  # shapes with which learning begins, while more are made
PART_LENGTH_M, PART_DISTANCE_M = 0.056, 0.55  # that the card assumes where no length is given
WIDTHS = (32, 64, 128, 256)
GPU_BATCH = 192  # pictures made on the GPU; fewer leave it idle
BEGUN_RATE = 6e-4  # learning rate of weights that have seen shapes before
# of a batch: parts of any kind under any camera, and what most users' bins are like
KINDS = (Kind(VIEWS, 0.45), Kind(STRAIGHT, 0.2, d435=True), Kind(COMPACT, 0.35, d435=True))
Pictures = Sequence[tuple[Piles, NetworkConfig]]
# parts may be thin as wire
READING = ReadingConfig(generosity=tuple(product((0.7, 0.5, 0.35, 0.2), (2.0, 1.0))))


def pretrain(
    out: Path,
    *,
    shapes: int,
    minutes: float,
    seed: int,
    device: str,
    workers: int,
    start: str | None = None,
) -> dict[str, float]:
    """Write <out>/model, and return its figures on shapes that it was not taught.

    Args:
        shapes: how many random shapes are made; their bins and pictures go to <out>/shapes.
        minutes: of training, while which shapes are made.
        device: auto, cpu or cuda[:index].
        workers: processes that make shapes.
        start: name or folder of a model whose weights the network begins with; None or 'none':
            random ones.
    """
    device = pick_device(device)
    config, train = ShapesConfig(shapes=shapes), replace(TrainConfig(), gpu_batch=GPU_BATCH)
    folder = out / 'shapes'
    held = max(1, min(shapes // HELD_OUT, MOST_HELD_OUT))
    pixel = PART_DISTANCE_M / D435.fx
    assumed = NetworkConfig(PART_LENGTH_M, THICKNESS * PART_LENGTH_M, pixel, WIDTHS)
    weights = None
    if start is not None and (known := Start.find(start)) is not None:
        train = replace(train, learning_rate=BEGUN_RATE)
        weights = widened(known.weights, assumed, seed)
    train = train.adapted(device)
    progress = begin(assumed, train, seed, device=device, start=weights)
    with _made_meanwhile(config, folder, seed, workers=workers, enough=min(held + ENOUGH, shapes)):
        first = min(held, shapes - 1)
        taught = PictureBatches(folder, KINDS, first=first, batch=train.batch, device=device)
        state = out / 'state.pt'
        train_with_bar(progress, taught, train, seconds=60 * minutes, seed=seed, state=state)
    taught.look()
    unseen = _unseen(folder, config, KINDS[0], held=held)
    others = [
        picture for kind in KINDS[1:] for picture in _unseen(folder, config, kind, held=held)
    ]
    settings, figures = read_by(
        progress.average, unseen, seed, others=others, lengths_px=config.view.told_px
    )
    training: dict[str, Any] = {'steps': progress.step, 'batch': train.batch, 'minutes': minutes}
    training |= {'seed': seed, 'processor': processor(device)}
    card = _card(taught) | {'training': training, 'figures': figures, 'settings': settings}
    model_card.save_model(out / 'model', card, progress.average.state_dict())
    return figures


def read_by(
    network: VoteNetwork,
    unseen: Pictures,
    seed: int,
    *,
    others: Pictures,
    lengths_px: tuple[float, float],
) -> tuple[dict[str, Any], dict[str, float]]:
    """A card's settings and figures, from pictures of shapes that taught the network nothing.

    Args:
        unseen: by any camera, with lengths that may be wrong: the reading is chosen on them.
        others: with right lengths, for the scores too: a reading chosen on them takes too much
            for parts where the length is wrong.
        lengths_px: what the part's length is said to be in the pictures that taught it.
    """
    read = learn_to_read(network, unseen, seed, config=READING)
    segmenter = DistilledSegmenter(
        network, read.votes, lengths_px=lengths_px, existence=read.existence
    )
    card = distilled_card.DistilledCard(
        network.config,
        read.votes,
        # the other half of `unseen` chose the reading
        scoring=scores_of(segmenter, [*unseen[1::2], *others[1::2]], seed),
        lengths_px=lengths_px,
        existence=read.existence,
    )
    # no bin has taught it: it finds bins as the package does that loads it
    settings = {name: value for name, value in plain(card).items() if name != 'finding'}
    return settings, {
        'strict_miou_on_unseen_shapes': round(read.strict_miou, 4),
        'count_accuracy_on_unseen_shapes': round(read.count_accuracy, 4),
        'false_instances_a_picture': round(read.false_instances, 4),
    }


def scores_of(segmenter: DistilledSegmenter, pictures: Pictures, seed: int) -> Scoring | None:
    """What scores of a model of any part mean, from pictures of shapes that taught it nothing."""
    cases: list[Case] = []
    for picture, told in pictures:
        segmenter.set_part_length(told.part_length_m)
        cases += look(segmenter, picture, range(len(picture)), seed=seed + len(cases))
    return calibrate_scores(segmenter, cases)


def _unseen(
    folder: Path, config: ShapesConfig, kind: Kind, *, held: int
) -> list[tuple[Piles, NetworkConfig]]:
    """Every other picture of the shapes that are held out."""
    shapes = load_shapes(folder, config, last=held, ending=kind.ending)
    pictures: list[tuple[Piles, NetworkConfig]] = [p for some in shapes for p in some]
    return pictures[::2]


def _card(taught: PictureBatches) -> dict[str, Any]:
    """What it says but of the training."""
    return {
        'method': 'distilled',
        'part': 'any',
        'made_by': f'insegan_ros {__version__}, insegan pretrain',
        'labels_used': 'none: piles of random shapes in physics taught the network',
        'dataset': {
            'random_shapes': taught.shapes(VIEWS) + taught.shapes(COMPACT),
            'piles': taught.pictures,
            'frames_of_parts': 0,
        },
    }


@contextmanager
def _made_meanwhile(
    config: ShapesConfig, folder: Path, seed: int, *, workers: int, enough: int
) -> Iterator[None]:
    """Shapes are made by other processes, at a lower priority, from when there are enough on."""
    maker = multiprocessing.get_context('spawn').Process(
        target=_make, args=(config, folder, seed), kwargs={'workers': workers}
    )
    maker.start()
    try:
        while maker.is_alive() and len(list(folder.glob('[0-9]*' + COMPACT))) < enough:
            time.sleep(0.2)
        yield
    finally:
        maker.terminate()  # its workers end with it
        maker.join()


def _make(config: ShapesConfig, folder: Path, seed: int, *, workers: int) -> None:
    os.nice(10)
    for _ in store_shapes(config, folder, seed, workers=workers):
        pass
