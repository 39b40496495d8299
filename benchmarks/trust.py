"""How often a frame is told doubtful, and how good it then is.

Limits are chosen on pictures of random shapes that taught `any` nothing: the first percentile of
those whose strict mIoU is at least .6. Then it is counted how often frames are doubtful: of
datasets, whose labels (where they have some) tell how good the doubtful ones are, and of scenes
that the methods do not assume: objects of several sizes, and a camera that sees no floor.

    python benchmarks/trust.py --shapes shapes                          # makes 30 shapes first
    python benchmarks/trust.py --model nut --dataset ~/bins/nut --limit 15
    python benchmarks/trust.py --model any:0.05 --other-scenes 6
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import Plane
from insegan_ros.data.store import Dataset
from insegan_ros.depth_camera import D435, D435_NOISE
from insegan_ros.distillation.pretrain import ShapesConfig, load_shapes, store_shapes
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.inference import model_card
from insegan_ros.parts_bin import Bin
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.trust import Signs, doubts_of, judged, signs_of
from insegan_ros.types import DepthFrame, Intrinsics

GOOD = 0.6  # strict mIoU
NAMES = [field.name for field in fields(Signs)]


def of_shapes(folder: Path) -> Iterator[tuple[Signs, float]]:
    """Signs and strict mIoU of pictures of random shapes, told their lengths."""
    config = ShapesConfig(shapes=30)
    if not folder.exists():
        list(store_shapes(config, folder, 9, workers=2))
    pictures = [view for views in load_shapes(folder, config) for view in views]
    for k, (view, network) in enumerate(pictures[::3]):
        height = float(view.camera_height[0])
        depth = height - view.heights(0, np.random.default_rng([3, k]))
        frame = DepthFrame(depth.astype(np.float32), view.intrinsics)
        parts_bin = Bin(Plane((0.0, 0.0, -1.0), height))
        name = f'any:{network.part_length_m}'
        segmenter = model_card.load_segmenter(name, parts_bin=parts_bin)
        found, true = segmenter.segment(frame), view.labels[0]
        signs = signs_of(found, frame, parts_bin, part_length_m=network.part_length_m)
        explained = float((found.labels[true > 0] > 0).mean())  # walls are no parts
        row = dict(zip(NAMES, astuple(signs), strict=True)) | {'explained': explained}
        yield Signs(**row), strict_miou(found.labels, true)


def choose(folder: Path) -> None:
    """Print percentiles of the signs of good pictures, and how many bad ones are doubtful."""
    rows = list(of_shapes(folder))
    strict = np.array([miou for _, miou in rows])
    good = np.array([astuple(signs) for signs, miou in rows if miou >= GOOD], float)
    for name, values in zip(NAMES, good.T, strict=True):
        values = values[np.isfinite(values)]
        if len(values):
            print(f'{name:13} of good ones, 1, 50, 99 %:', np.percentile(values, [1, 50, 99]))
    doubtful = np.array([bool(doubts_of(signs)) for signs, _ in rows])
    for name, some in (('good', strict >= GOOD), ('bad', strict < 0.4)):
        print(f'{name}: {some.sum()} pictures, {doubtful[some].mean():.0%} doubtful')


def of_dataset(model: str, folder: Path, limit: int) -> None:
    """Print how many frames are doubtful, and the strict mIoU of those and of the others."""
    dataset, segmenter = Dataset(folder), model_card.load_segmenter(model)
    strict: dict[str, list[float]] = {'trusted': [], 'doubtful': []}
    for index in dataset.indices[:limit]:
        sample = dataset[index]
        found = judged(segmenter.segment(sample.frame), sample.frame, segmenter)
        miou = np.nan if sample.labels is None else strict_miou(found.labels, sample.labels)
        strict[found.verdict].append(miou)
    told = ', '.join(f'{len(v)} {k} (strict {np.mean(v):.2f})' for k, v in strict.items() if v)
    print(f'{folder.name} by {model}: {told}')


def of_other_scenes(model: str, count: int) -> None:
    """Print how many scenes that are none of the methods' kind are doubtful, and why."""
    segmenter = model_card.load_segmenter(model)
    for name, scene in (('several sizes', several_sizes), ('no floor', no_floor)):
        doubtful, why = 0, set()
        for seed in range(count):
            rng = np.random.default_rng(seed)
            frame = scene(rng)
            try:
                found = judged(segmenter.segment(frame), frame, segmenter)
            except ValueError as error:  # refused in words
                found, reasons = None, (str(error)[:50],)
            else:
                reasons = found.doubts or ()
            doubtful += bool(reasons)
            why |= {' '.join(reason.split()[1:6]) for reason in reasons}
        print(f'{name} by {model}: {doubtful} of {count} doubtful: {sorted(why)}')


def seen(
    heights: NDArray[np.floating], rng: np.random.Generator, camera: Intrinsics
) -> DepthFrame:
    """A D435 0.6 m above a table with these heights."""
    depth = add_noise((0.6 - heights).astype(np.float32), camera, rng, noise=D435_NOISE)
    return DepthFrame(np.asarray(depth, np.float32), camera)


def several_sizes(rng: np.random.Generator) -> DepthFrame:
    """Boxes and balls of 20 to 250 mm on a table."""
    rows, columns = np.mgrid[: D435.height, : D435.width]
    heights = np.zeros(rows.shape)
    for _ in range(rng.integers(8, 20)):
        size = np.exp(rng.uniform(np.log(0.02), np.log(0.25)))
        half = size * rng.uniform(0.3, 1, 3) / 2
        turn, px = rng.uniform(0, np.pi), D435.fx / 0.6
        x, y = columns - rng.uniform(150, 700), rows - rng.uniform(100, 380)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        u, v = u / px / half[0], v / px / half[1]
        if rng.random() < 0.5:
            body = np.where((abs(u) < 1) & (abs(v) < 1), 2 * half[2], 0)
        else:
            body = half[2] * (1 + np.sqrt(np.clip(1 - u**2 - v**2, 0, None))) * (u**2 + v**2 < 1)
        heights = np.maximum(heights, np.minimum(body, 0.2))
    return seen(heights, rng, D435)


def no_floor(rng: np.random.Generator) -> DepthFrame:
    """Balls of 50 mm, heaped so that nothing else is seen."""
    rows, columns = np.mgrid[: D435.height, : D435.width]
    heights = np.zeros(rows.shape)
    for _ in range(300):
        u, v = columns - rng.uniform(0, D435.width), rows - rng.uniform(0, D435.height)
        r = np.hypot(u, v) * 0.6 / D435.fx / 0.025
        top = rng.uniform(0.02, 0.12)
        heights = np.maximum(
            heights, np.where(r < 1, top + 0.025 * np.sqrt(1 - np.minimum(r, 1) ** 2), 0)
        )
    return seen(heights, rng, D435)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--shapes', type=Path, help='folder of random shapes, made if absent')
    parser.add_argument('--model', default='any')
    parser.add_argument('--dataset', type=Path, action='append', default=[])
    parser.add_argument('--limit', type=int, default=30, help='frames of a dataset (30)')
    parser.add_argument('--other-scenes', type=int, default=0, help='of each kind (0)')
    args = parser.parse_args()
    if not (args.shapes or args.dataset or args.other_scenes):
        parser.error('--shapes, --dataset or --other-scenes is needed')
    if args.shapes:
        choose(args.shapes)
    for folder in args.dataset:
        of_dataset(args.model, folder, args.limit)
    if args.other_scenes:
        of_other_scenes(args.model, args.other_scenes)


if __name__ == '__main__':
    main()
