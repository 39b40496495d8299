"""Which frames of a labelled dataset are for training and which for which test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insegan_ros.baselines.kmeans import kmeans
from insegan_ros.baselines.pixels import part_pixels
from insegan_ros.camera import Plane
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import Dataset, DatasetError, Sample
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.evaluation.benchmark import in_order
from insegan_ros.evaluation.metrics import paper_miou
from insegan_ros.parts_bin import Bin

TEST, TEST_RANDOM, VALIDATION = 100, 200, 100  # frames, where there are enough
FAILING_SHARE = 1 / 3
BLOCK = 25


@dataclass(frozen=True)
class Judged:
    """The frames that methods are judged on."""

    dataset: Dataset
    split: str
    indices: list[int]
    truth: Mapping[int, NDArray[np.integer]] | None  # (H, W) by frame; None: the dataset's own
    measured_only: bool = False  # pixels without depth are not judged: -1 in the truth

    def account(self, masks: Path | None, left_out: Sequence[LeftOut] = ()) -> dict[str, object]:
        """What was judged by what, for a report; `masks`: where the truth was read."""
        info, dataset = self.dataset.info, self.dataset
        account: dict[str, object] = {
            'dataset': f'{dataset.path} ({info.part}, {dataset.content_hash()})',
            'split': f'{self.split}, {len(self.indices)} frames',
        }
        if self.truth is not None:
            parts = sum(int(self.truth[index].max()) for index in self.indices)
            account['masks'] = f'{parts} drawn by hand, {masks}'
        if self.measured_only:
            account['judged'] = 'pixels with a depth'
        return account | {f'left out: {some.what}': some.count for some in left_out if some}


def to_judge(
    dataset: Dataset,
    split: str | None,
    truth: Mapping[int, NDArray[np.integer]] | None,
    *,
    limit: int | None,
    damaged: LeftOut,
    measured_only: bool = False,
) -> Judged:
    """Those frames of a split that are whole and, where `truth` is given, are in it.

    Args:
        split: None: test where there is one and no `truth`, else all.
        limit: of the frames.
        measured_only: judge no pixel without depth; nobody sees there where a part ends.

    Raises:
        DatasetError: there are none.
        ValueError: `measured_only` without `truth`, for a dataset's own labels know all pixels.
    """
    if measured_only and truth is None:
        raise ValueError('--measured-only is for masks drawn by hand: give --masks, too')
    chosen = split or ('test' if 'test' in dataset.splits() and truth is None else 'all')
    indices = [i for i in dataset.split(chosen) if truth is None or i in truth][:limit]
    if not indices:
        wanted = 'no frames' if truth is None else 'none of the frames with masks'
        raise DatasetError(f'{dataset.path}: split {chosen!r} has {wanted}')
    whole, known = [], None if truth is None else dict(truth)
    for sample in dataset.samples(indices, damaged):
        whole.append(sample.index)
        if known is not None and measured_only:
            unmeasured = ~np.isfinite(sample.frame.depth_m)
            known[sample.index] = np.where(unmeasured, -1, known[sample.index].astype(np.int32))
    if not whole:
        raise DatasetError(f'{dataset.path}: no frame of split {chosen!r} is whole')
    return Judged(dataset, chosen, whole, known, measured_only)


@dataclass(frozen=True)
class Block:
    """Frames of one dataset that are evaluated together."""

    dataset: Path
    indices: tuple[int, ...]
    instances: int | None


def kmeans_scores(block: Block) -> dict[int, float]:
    """Frame -> the paper's mIoU of K-means; frames that show no part are left out.

    K-means is given the pixels that truly show parts: a bin that is found wrongly must not pass
    for a scene on which K-means fails. So a score depends on its own frame alone.
    """
    dataset, scores = Dataset(block.dataset), {}
    for index in block.indices:
        sample = dataset[index]
        if sample.labels is None:
            raise DatasetError(
                f'{block.dataset}, frame {index} has no labels: without them nobody can say '
                'where K-means fails'
            )
        mask = (sample.labels > 0) & np.isfinite(sample.frame.depth_m)
        if not mask.any():
            continue
        visible = len(np.unique(sample.labels[sample.labels > 0]))
        count = block.instances or int(sample.record.get('instances', visible))
        pixels = part_pixels(
            sample.frame, Bin(floor_of(dataset, sample)), mask, window=np.s_[:, :]
        )
        found = kmeans(pixels, min(count, len(pixels.points)), np.random.default_rng(0))
        scores[index] = paper_miou(found, sample.labels)
    return scores


def floor_of(dataset: Dataset, sample: Sample) -> Plane:
    """The stored floor of the frame or of the dataset, else a plane across the view."""
    nx, ny, nz, offset = sample.record.get('floor') or dataset.info.floor or (0.0, 0.0, -1.0, 0.0)
    return Plane((nx, ny, nz), offset)


def select_splits(
    scores: Mapping[int, float], rng: np.random.Generator, unscored: Iterable[int] = ()
) -> tuple[dict[str, list[int]], str]:
    """Split names -> sorted frame indices, and the rule in words.

    Frames that stand for all (test_random, val) are drawn before the hard ones are picked; those
    without a score are for training.
    """
    frames = np.array(sorted(scores))
    share = len(frames) // 6
    sizes = {'test_random': min(TEST_RANDOM, share), 'val': min(VALIDATION, share)}
    shuffled = rng.permutation(frames)
    splits, start = {}, 0
    for name, size in sizes.items():
        splits[name] = sorted(shuffled[start : start + size].tolist())
        start += size
    rest = shuffled[start:]
    limit = float(np.quantile(list(scores.values()), FAILING_SHARE)) if len(frames) else 0.0
    failing = [int(index) for index in rest if scores[int(index)] <= limit]
    splits['test'] = sorted(failing[:TEST])
    splits['train'] = sorted({*rest.tolist(), *unscored} - set(splits['test']))
    rule = (
        f'test_random: {len(splits["test_random"])} frames drawn from all. val: '
        f'{len(splits["val"])} of the others, at random. test: {len(splits["test"])} of the '
        'others, at random among those on which K-means fails: its mIoU by the rule of the '
        'InSeGAN paper (k = the true number of parts, on x, y and height of their pixels) is '
        f'at most {limit:.3f},'
        " as it is on a third of this dataset's frames. train: what is left."
    )
    order = ('train', 'val', 'test', 'test_random')
    return {name: splits[name] for name in order}, rule


def make_splits(
    path: Path,
    seed: int = 0,
    workers: int = 1,
    *,
    progress: Callable[[int], object] = lambda _: None,
) -> str:
    """Write splits.yaml of a labelled dataset and return the rule; the same bytes every time.

    Raises:
        DatasetError: there is no dataset, or a frame without labels.
    """
    dataset = Dataset(path)
    indices = dataset.indices
    blocks = [
        Block(dataset.path, tuple(indices[k : k + BLOCK]), dataset.info.instances)
        for k in range(0, len(indices), BLOCK)
    ]
    scores: dict[int, float] = {}
    for block, found in zip(blocks, in_order(kmeans_scores, blocks, workers)):
        scores.update(found)
        progress(len(block.indices))
    empty = set(indices) - set(scores)
    splits, rule = select_splits(scores, np.random.default_rng(seed), empty)
    with DatasetWriter(dataset.path, dataset.info) as writer:
        writer.write_splits(splits, rule)
    return rule
