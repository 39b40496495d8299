"""Where no shape explains the frames: random shapes that look like the part teach the network.

<out>/shapes/      piles of random shapes; those most alike have more
      alike.png    the part in the frames (first row), and shapes that look most like it
      model/       masks, but no poses: there is no shape
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.bin import Bin
from insegan_ros.camera import Plane
from insegan_ros.data.store import Dataset
from insegan_ros.device import processor
from insegan_ros.discovery.crops import MASK_EDGE, Piece, pieces_of
from insegan_ros.discovery.discover import LONGEST, WHOLE, UnexplainedError
from insegan_ros.discovery.picture import draw_pieces
from insegan_ros.discovery.resume import load_pieces
from insegan_ros.distillation.alike import AlikeConfig, Order, carry_out, unlike, view_cues
from insegan_ros.distillation.examples import Piles, mixed_batch
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.surroundings import Surroundings, measure_surroundings
from insegan_ros.distillation.train import (
    TrainConfig,
    begin,
    load_checkpoint,
)
from insegan_ros.distillation.views import THICKNESS
from insegan_ros.inference import distilled_card, model_card
from insegan_ros.learn.reading import GENEROSITY, frames_of, learn_to_read
from insegan_ros.learn.stages import ENOUGH, Report, batch_workers, train_with_bar
from insegan_ros.learn.start import card_of, keep_start, origin
from insegan_ros.types import DepthFrame

WHOLE_VISIBLE = 0.9
HELD_OUT = 5  # one shape in so many is not taught: how well others are told is judged on it
RATE = 2e-4  # learning rate: a higher one forgets what the start knows of shapes not among these
LOOKED_AT = 4  # shapes at least, for each that is kept
PICTURE = 'alike.png'
SHOWN = 6  # shapes in it


def stand_in(
    error: UnexplainedError,
    dataset: Dataset,
    out: Path,
    seconds: tuple[float, float],
    seed: int,
    device: str,
    workers: int,
    report: Report,
    start: Path,
) -> None:
    """The best model there is without a shape: at first the start itself, told the part's length.

    Args:
        seconds: for the piles of shapes, and for the network.

    Raises:
        UnexplainedError: the start knows one part alone.
    """
    length_m = error.part_length_m
    if not (out / 'model' / model_card.CARD).exists():
        if not keep_start(start, length_m, dataset, out):
            raise error
        print(
            f'{error}. Until then {out / "model"} is {model_card.read_card(start)["part"]}, told '
            f'that the part is {length_m * 1e3:.0f} mm long, as the frames tell'
        )
    around = measure_surroundings(dataset, np.random.default_rng([seed, 1]))
    folders = shapes_alike(around, length_m, out, seconds[0], seed, workers, report)
    if not folders:
        print('too few parts are seen whole to tell what shapes they are like')
        return
    if report.content.get('distillation', {}).get('seconds', 0) < ENOUGH * seconds[1]:
        learn_from_shapes(
            folders,
            around,
            length_m,
            dataset,
            out,
            seconds[1],
            seed,
            device,
            workers,
            report,
            start,
        )


def shapes_alike(
    around: Surroundings,
    length_m: float,
    out: Path,
    seconds: float,
    seed: int,
    workers: int,
    report: Report,
    config: AlikeConfig | None = None,
) -> list[Path]:
    """Folders of piles of the random shapes whose views are most like the crops in the frames.

    None where too few parts are seen whole to tell.
    """
    config = config or AlikeConfig()
    orders = [
        Order(around, length_m, config, seed, k, out / 'shapes' / f'{k:04d}', config.looks)
        for k in range(config.shapes)
    ]
    if 'alike' not in report.content:
        done = carry_out(orders, workers, seconds / 2, least=LOOKED_AT * config.kept)
        made = sum(1 for _ in tqdm(done, desc='shapes', total=len(orders), unit='shape'))
        orders = orders[:made]
        file = out / 'template' / WHOLE
        pieces = [p for p in load_pieces(file) if p.edge_px == MASK_EDGE] if file.exists() else []
        rng = np.random.default_rng([seed, 4])
        seen = _cues(pieces, length_m)
        shown = [_whole_pieces(order.path, length_m) for order in orders]
        distance = [unlike(seen, _cues(some, length_m), rng) for some in shown]
        order = [int(k) for k in np.argsort(distance)[: config.kept]]
        best = [k for k in order if np.isfinite(distance[k])]
        if len(best) < 2:
            return []
        draw_pieces(out / PICTURE, [pieces, *(shown[k] for k in best[:SHOWN])], length_m)
        report.add(
            'alike',
            shapes=best,
            nearest=round(float(distance[best[0]]), 3),
            median=round(float(np.median(distance)), 3),
        )
    best = report.content['alike']['shapes']
    longer = [replace(orders[k], count=config.piles) for k in best]
    done = carry_out(longer, workers, seconds / 2, least=len(best) // 4)
    for _ in tqdm(done, desc='piles of shapes', total=len(best), unit='shape'):
        pass
    return [orders[k].path for k in best]


def _cues(pieces: Sequence[Piece], length_m: float) -> NDArray:
    rows = [view_cues(piece.points, piece.pixel_m, length_m) for piece in pieces]
    return np.array(rows) if rows else np.zeros((0, 1))


def _whole_pieces(folder: Path, length_m: float) -> list[Piece]:
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
        pieces += pieces_of(frame, floor, whole[piles.labels[k]], LONGEST * length_m)
    return pieces


def learn_from_shapes(
    folders: Sequence[Path],
    around: Surroundings,
    length_m: float,
    dataset: Dataset,
    out: Path,
    seconds: float,
    seed: int,
    device: str,
    workers: int,
    report: Report,
    start: Path,
) -> None:
    """Teach the start's network from their piles, and write the model."""
    pixel_m = around.camera_height / around.intrinsics.fx
    widths = distilled_card.widths_of(model_card.read_card(start))
    network = NetworkConfig(length_m, THICKNESS * length_m, float(pixel_m), widths)
    settings = TrainConfig(learning_rate=RATE).on(device)
    stored = [Dataset(folder) for folder in folders]
    parts = [(Piles.load(piles, piles.indices), network) for piles in stored]
    held = parts[1::HELD_OUT]
    taught = [part for k, part in enumerate(parts) if k % HELD_OUT != 1]
    weights = model_card.load_weights(start)
    progress = begin(network, settings, seed, device, weights)
    state = out / 'state.pt'
    train_with_bar(
        progress,
        lambda rng: mixed_batch(taught, settings.batch, rng),
        settings,
        seconds,
        seed,
        state,
        batch_workers(device, workers),
    )
    spent = load_checkpoint(progress, state)
    frames = frames_of(progress.average, dataset, seed)
    # what a part shows that they lack must not pass for parts
    read = learn_to_read(progress.average, held, seed, frames, GENEROSITY[:1])
    figures = {
        'strict_miou_on_unseen_shapes': round(read.strict_miou, 4),
        'count_accuracy_on_unseen_shapes': round(read.count_accuracy, 4),
    }
    card = {
        **card_of(dataset),
        'labels_used': 'none: no shape explained the frames; random shapes that look like what '
        'they show taught the network',
        'training': {
            'steps': progress.step,
            'batch': settings.batch,
            'shapes': len(taught),
            'piles': sum(len(piles) for piles, _ in taught),
            'seconds': round(spent),
            'seed': seed,
            'began_with': origin(start),
            'processor': processor(device),
        },
        'figures': figures,
        'settings': distilled_card.to_card(network, read.votes, existence=read.existence),
    }
    model_card.save_model(out / 'model', card, progress.average.state_dict())
    report.add('distillation', steps=progress.step, seconds=round(spent, 1), **figures)
