"""How often a frame is called doubtful, and how good it then is.

Limits are chosen on pictures of random shapes that taught `any` nothing: the first percentile of
those whose strict mIoU is at least .6. Then it is counted how often frames are doubtful: of
datasets, whose labels (where they have some) show how good the doubtful ones are; of one part's
frames by another part's model, and by `any` with a wrong length; and of scenes that the methods do
not assume: objects of several sizes, large boxes, a hidden floor, too much tilt.

    python benchmarks/trust.py --shapes shapes                          # makes 30 shapes first
    python benchmarks/trust.py --model nut --dataset ~/bins/nut --limit 15
    python benchmarks/trust.py --model any:0.05 --other-scenes 6
    python benchmarks/trust.py --wrong sets --limit 3    # sets/nut, sets/bolt, ...: datasets
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import astuple, fields, replace
from pathlib import Path

import numpy as np
from odd_scenes import hidden_floor, large_boxes, several_sizes, tilted

from insegan_ros.camera import Plane
from insegan_ros.data.store import Dataset
from insegan_ros.distillation.pretrain import ShapesConfig, load_shapes, store_shapes
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.inference import model_card
from insegan_ros.parts_bin import Bin
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.trust import LIMITS, Signs, doubts_of, judged, signs_of
from insegan_ros.types import DepthFrame, Segmenter

GOOD = 0.6  # strict mIoU
SCORES = (LIMITS.score, 0.45, 0.35)  # least ones that are compared
NAMES = [field.name for field in fields(Signs)]


def of_shapes(folder: Path) -> Iterator[tuple[Signs, float]]:
    """Signs and strict mIoU of pictures of random shapes, given their lengths."""
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
    score = np.array([signs.score for signs, _ in rows])
    for least in SCORES:
        limits = replace(LIMITS, score=least)
        doubtful = np.array([bool(doubts_of(signs, limits)) for signs, _ in rows])
        for name, some in (('good', strict >= GOOD), ('bad', strict < 0.4)):
            print(
                f'{name}: {some.sum()} pictures, {(score[some] < least).mean():.0%} with a mean '
                f'score below {least}; {doubtful[some].mean():.0%} doubtful by any sign'
            )


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


def told(segmenter: Segmenter, frame: DepthFrame) -> tuple[str, ...]:
    """Why the frame is doubtful, or was refused; empty: it is trusted."""
    try:
        return judged(segmenter.segment(frame), frame, segmenter).doubts or ()
    except ValueError as error:  # refused in words
        return (f'refused: {error}',)


def of_other_scenes(model: str, count: int) -> None:
    """Print how many scenes that are none of the methods' kind are doubtful, and why."""
    for scene in (several_sizes, large_boxes, hidden_floor, tilted):
        doubtful, refused, why = 0, 0, set()
        for seed in range(count):
            doubts = told(model_card.load_segmenter(model), scene(seed))
            refused += any(doubt.startswith('refused') for doubt in doubts)
            doubtful += bool(doubts)
            why |= {' '.join(doubt.split()[1:6]) for doubt in doubts}
        print(
            f'{scene.__name__} by {model}: {doubtful} of {count} doubtful, {refused} of them '
            f'refused: {sorted(why)}',
            flush=True,
        )


def of_wrong_models(folder: Path, count: int) -> None:
    """Print, for each part's frames and each part's model, how many are doubtful; a table.

    Args:
        folder: of one dataset for each part, <folder>/<part>.
    """
    parts = [name for name in model_card.available() if (folder / name).exists()]
    print('| frames of | ' + ' | '.join(parts) + ' |')
    own, wrong = [], []
    for part in parts:
        dataset, cells = Dataset(folder / part), []
        frames = [dataset[index].frame for index in dataset.indices[:count]]
        for model in parts:
            segmenter = model_card.load_segmenter(model)
            doubtful = [bool(told(segmenter, frame)) for frame in frames]
            (own if model == part else wrong).extend(doubtful)
            cells.append(str(sum(doubtful)))
        print(f'| {part} | ' + ' | '.join(cells) + ' |', flush=True)
    print(f'own model: {sum(own)} of {len(own)} doubtful, others: {sum(wrong)} of {len(wrong)}')


def of_wrong_lengths(folder: Path, count: int) -> None:
    """Print how many of the parts' frames are doubtful by `any`, given right and wrong lengths."""
    for factor in (1.0, 0.5, 2.0):
        doubtful = []
        for part in PARTS:
            if not (folder / part).exists():
                continue
            dataset = Dataset(folder / part)
            length_m = factor * make_part(part).length
            segmenter = model_card.load_segmenter(f'any:{length_m:.4f}')
            frames = [dataset[index].frame for index in dataset.indices[:count]]
            doubtful += [bool(told(segmenter, frame)) for frame in frames]
        print(f'any given {factor:g} of the length: {sum(doubtful)} of {len(doubtful)} doubtful')


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
    parser.add_argument('--wrong', type=Path, help='folder of a dataset for each part')
    args = parser.parse_args()
    if not (args.shapes or args.dataset or args.other_scenes or args.wrong):
        parser.error('--shapes, --dataset, --other-scenes or --wrong is needed')
    if args.shapes:
        choose(args.shapes)
    for folder in args.dataset:
        of_dataset(args.model, folder, args.limit)
    if args.other_scenes:
        of_other_scenes(args.model, args.other_scenes)
    if args.wrong:
        of_wrong_lengths(args.wrong, args.limit)
        of_wrong_models(args.wrong, args.limit)


if __name__ == '__main__':
    main()
