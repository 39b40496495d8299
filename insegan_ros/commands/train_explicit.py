"""The default method of `insegan train`: discover the part, pile it up in physics, distil.

Each stage is skipped when its result is in the run's folder, and resumed when it was interrupted:
the same command goes on. Each leaves a picture and its figures, none of which needs a label.

    <out>/template/           the part's shape and its picture
          piles/              labelled piles of it      piles.png   (upper row: real frames)
          state.pt            the network in training
          model/              what `--model <out>/model` loads       segmented.png (real frames)
          report.yaml         figures and seconds of each stage
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from tqdm import tqdm

from insegan_ros import __version__, drawing
from insegan_ros.bin import FloorNotFoundError, find_bin
from insegan_ros.camera import TopDownView, height_map
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.discovery.discover import discover
from insegan_ros.discovery.reconstruct import Settings
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.distillation.piles import (
    PileConfig,
    PileMaker,
    Solid,
    Surroundings,
    measure_surroundings,
    store_piles,
)
from insegan_ros.distillation.train import (
    Piles,
    TrainConfig,
    begin,
    train_network,
    validate,
)
from insegan_ros.inference import distilled, model_card
from insegan_ros.model.explicit import Template
from insegan_ros.types import DepthFrame

# shares of --max-minutes
DISCOVERY, PILES, DISTILLATION = 0.35, 0.2, 0.45
LEAST_PILES = 50
DISCOVERY_FRAMES = 1200  # enough for the shape
SHOWN = 6  # frames in a picture


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
    device = model_card.pick_device(getattr(args, 'device', 'auto'))
    seconds = 60.0 * float(args.max_minutes or 30)
    report = Report(out / 'report.yaml')

    template = find_template(dataset, out, seconds * DISCOVERY, seed, report)
    around = measure_surroundings(dataset, np.random.default_rng([seed, 1]))
    make_piles(template, around, out, seconds * PILES, seed, workers, report)
    show_piles(dataset, out, seed)
    if not (out / 'model' / model_card.CARD).exists():
        distil(template, around, dataset, out, seconds * DISTILLATION, seed, device, report)
    show_segmented(dataset, out, seed)
    print(f'the model is in {out / "model"}; try: insegan segment --model {out / "model"} ...')
    return 0


class Report:
    """Figures of the stages, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content: dict[str, Any] = {}
        if path.exists():
            self.content = yaml.safe_load(path.read_text()) or {}

    def add(self, stage: str, **figures: Any) -> None:
        self.content[stage] = figures
        self._path.write_text(yaml.safe_dump(self.content, sort_keys=False))
        print(f'{stage}: ' + ', '.join(f'{k} {v}' for k, v in figures.items()), flush=True)


def find_template(
    dataset: Dataset, out: Path, seconds: float, seed: int, report: Report
) -> Template:
    """The part's shape, from the frames alone; those of a train split where there is one."""
    folder = out / 'template'
    if 'discovery' in report.content:
        return Template.load(folder)
    begun = time.monotonic()
    indices = train_indices(dataset)[:DISCOVERY_FRAMES]
    template = discover(dataset, indices, folder, Settings(seed=seed), seconds)
    report.add('discovery', seconds=round(time.monotonic() - begun), **template.account)
    return template


def train_indices(dataset: Dataset) -> list[int]:
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
        seconds=round(time.monotonic() - begun),
        bin_width_mm=round(around.bin_width * 1e3, 1),
        wall_height_mm=round(around.wall_height * 1e3, 1),
        camera_height_mm=round(around.camera_height * 1e3, 1),
    )
    done.touch()


def distil(
    template: Solid,
    around: Surroundings,
    dataset: Dataset,
    out: Path,
    seconds: float,
    seed: int,
    device: str,
    report: Report,
) -> None:
    """Train the network, choose how its votes are clustered, and write the model."""
    box = template.mesh().bounding_box_oriented.primitive.extents
    pixel_m = around.camera_height / around.intrinsics.fx
    network_config = NetworkConfig(float(max(box)), float(min(box)), float(pixel_m))
    settings = TrainConfig()
    stored = Dataset(out / 'piles')
    held_out = max(2, min(settings.held_out, len(stored) // 5))
    held, piles = (
        Piles.load(stored, part) for part in (stored.indices[:held_out], stored.indices[held_out:])
    )
    progress = begin(network_config, settings, seed, device)
    begun = time.monotonic()
    bar = tqdm(total=100, desc='distil', unit='%')

    def said(step: int, share: float, losses: dict[str, float]) -> None:
        bar.update(int(share * 100) - bar.n)
        bar.set_postfix(step=step, **{k: f'{v:.3f}' for k, v in losses.items()})

    train_network(progress, lambda: piles, settings, seconds, seed, said, out / 'state.pt')
    bar.close()
    spent = time.monotonic() - begun
    judged = validate(progress.average, held, seed)
    figures = {
        'strict_miou_on_unseen_piles': round(judged.strict_miou, 4),
        'count_accuracy_on_unseen_piles': round(judged.count_accuracy, 4),
    }
    card = {
        'method': 'explicit',
        'part': dataset.info.part,
        'made_by': f'insegan_ros {__version__}',
        'labels_used': 'none: the shape was discovered in unlabelled depth, piles of it in '
        'physics taught the network',
        'dataset': {'frames': len(dataset), 'sha256': dataset_hash(dataset)},
        'training': {
            'steps': progress.step,
            'batch': settings.batch,
            'piles': len(stored),
            'seconds': round(spent),
            'seed': seed,
            'processor': f'{platform.machine()}, {torch.get_num_threads()} threads'
            if device == 'cpu'
            else torch.cuda.get_device_name(),
            'part_size_mm': [round(float(v) * 1e3, 1) for v in sorted(box, reverse=True)],
        },
        'figures': figures,
        'settings': distilled.to_card(network_config, judged.settings),
    }
    weights = progress.average.state_dict()
    half = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    model_card.save_model(out / 'model', card, half)
    report.add('distillation', steps=progress.step, seconds=round(spent), **figures)


def dataset_hash(dataset: Dataset) -> str:
    """Of the frames' own hashes: the same frames give the same."""
    joined = ' '.join(str(dataset.records[i].get('sha256', i)) for i in dataset.indices)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _seen(frame: DepthFrame, rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) heights around the bin."""
    bin = find_bin(frame, rng)
    view = TopDownView.of(frame.intrinsics, bin.floor, bin.region)
    heights = bin.floor.offset - view.rectify(frame).depth_m
    return _square(heights, side)


def _square(image: np.ndarray, side: int) -> np.ndarray:
    h, w = image.shape
    image = image[max(0, (h - side) // 2) :, max(0, (w - side) // 2) :][:side, :side]
    low = [(side - n) // 2 for n in image.shape]
    pad = [(a, side - n - a) for a, n in zip(low, image.shape)]
    return np.pad(image, pad, constant_values=np.nan)


def show_piles(dataset: Dataset, out: Path, seed: int) -> None:
    """Real frames over piles with noise: they ought to look alike."""
    stored = Dataset(out / 'piles')
    rng = np.random.default_rng([seed, 2])
    piles = Piles.load(stored, stored.indices[:SHOWN])
    made = [piles.heights(k, rng) for k in range(len(piles))]
    side = made[0].shape[0]
    real = []
    for index in rng.permutation(train_indices(dataset))[: 3 * SHOWN]:
        try:
            real.append(_seen(dataset[int(index)].frame, rng, side))
        except FloorNotFoundError:
            continue
        if len(real) == len(made):
            break
    top = float(np.nanpercentile(np.stack(made), 99.5))
    rows = [[drawing.heights_picture(h, top) for h in row] for row in (real, made)]
    if len(real) < len(made):
        rows = rows[1:]
    drawing.save_rows(out / 'piles.png', rows)


def show_segmented(dataset: Dataset, out: Path, seed: int) -> None:
    """What the model makes of real frames."""
    segmenter = model_card.load_segmenter(str(out / 'model'))
    rng = np.random.default_rng([seed, 3])
    row_a, row_b = [], []
    for index in rng.permutation(train_indices(dataset))[:SHOWN]:
        frame = dataset[int(index)].frame
        try:
            found = segmenter.segment(frame)
            bin = find_bin(frame, rng)
        except FloorNotFoundError:
            continue
        heights = height_map(frame, bin.floor)
        x, y, w, h = bin.region or (0, 0, *reversed(heights.shape))
        window = np.s_[y : y + h, x : x + w]
        side = max(w, h, 96)
        shown = _square(heights[window], side)
        labels = np.nan_to_num(_square(found.labels[window].astype(np.float32), side)).astype(int)
        top = float(np.nanpercentile(shown, 99.5))
        row_a.append(_sized(drawing.heights_picture(shown, top)))
        row_b.append(_sized(drawing.labels_picture(shown, labels, top)))
    if row_a:
        drawing.save_rows(out / 'segmented.png', [row_a, row_b])


def _sized(picture: np.ndarray, side: int = 128) -> np.ndarray:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))
