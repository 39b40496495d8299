"""Methods x frames -> figures of merit, over several seeds and processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros import baselines
from insegan_ros.bin_tracker import BinTracker
from insegan_ros.camera import Plane, pixel_rays, segmentation_from_labels
from insegan_ros.data.store import Dataset, kinds_of
from insegan_ros.evaluation import metrics
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference import model_card
from insegan_ros.optional import needed_for
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Segmentation, Segmenter

with needed_for('comparing methods'):
    from threadpoolctl import threadpool_limits

BLOCK = 50  # frames that one segmenter sees in a row: figures do not depend on the processes


@dataclass(frozen=True)
class Task:
    """What one process does at a time."""

    dataset: Path
    method: str  # a classical method's name, or a model's name or folder
    seed: int
    indices: tuple[int, ...]
    instances: int | None  # None: each method finds out
    parts_bin: Bin | None
    device: str
    truth: Mapping[int, NDArray[np.integer]] | None = None  # None: what the dataset has


@dataclass(frozen=True)
class FrameFigures:
    """One method's result on one frame. NaN where the frame has no truth to judge by."""

    index: int
    milliseconds: float
    failed: bool  # no bin was found, so that nothing was segmented
    renders: bool = False  # its rendered depth is its own, not the measured one repeated
    rerendering_mm: float = float('nan')
    empty_bin_mm: float = float('nan')  # the re-rendering error of a method that finds nothing
    paper_miou: float = float('nan')
    strict_miou: float = float('nan')
    ari: float = float('nan')
    foreground_iou: float = float('nan')
    false_positives: float = float('nan')
    count_right: float = float('nan')
    ious: NDArray[np.float64] | None = None  # (P, T)
    scores: NDArray[np.float32] | None = None  # (P,)
    kinds: metrics.MatchedKinds | None = None  # None: the truth tells no kinds
    ignored: NDArray[np.bool_] | None = None  # (T,) hardly visible; None: not known


def make_segmenter(
    method: str,
    instances: int | None,
    parts_bin: Bin | None,
    *,
    seed: int = 0,
    device: str = 'cpu',
) -> Segmenter:
    """A classical method by name, or a model by name or folder.

    Raises:
        ValueError: there is neither; the message lists those there are.
    """
    if method in baselines.METHODS:
        return baselines.make(method, instances, parts_bin, seed=seed)
    try:
        model_card.find(method)
    except model_card.ModelError as error:
        raise ValueError(f'{error}; classical methods: {", ".join(baselines.METHODS)}') from None
    return model_card.load_segmenter(method, device, parts_bin, seed=seed)


def evaluate_block(task: Task) -> list[FrameFigures]:
    """Segment a block of frames in order and judge each."""
    dataset = Dataset(task.dataset)
    segmenter = make_segmenter(
        task.method, task.instances, task.parts_bin, seed=task.seed, device=task.device
    )
    tracker = BinTracker(task.parts_bin, task.seed)
    figures = []
    for index in task.indices:
        sample = dataset[index]
        start = time.perf_counter()
        try:
            found = segmenter.segment(sample.frame)
            failed = False
        except FloorNotFoundError:
            found, failed = nothing(sample.frame), True
        milliseconds = 1000 * (time.perf_counter() - start)
        renders = renders_itself(sample.frame, found)
        error = empty = float('nan')
        if task.method not in baselines.METHODS and not failed:
            parts_bin = tracker(sample.frame)
            error = rerendering_error_mm(sample.frame, found, parts_bin)
            empty = rerendering_error_mm(sample.frame, nothing(sample.frame), parts_bin)
        true = sample.labels if task.truth is None else task.truth[index]
        judged = {} if true is None else label_figures(found, true)
        if task.truth is None and true is not None and 'kinds' in sample.record:
            judged['kinds'] = metrics.matched_kinds(
                found.labels,
                true,
                predicted_kinds=found.class_ids,
                true_kinds=kinds_of(sample),
            )
        if true is not None and task.truth is None and 'visible' in sample.record:
            judged['ignored'] = hardly_visible(true, sample.record['visible'])
        figures.append(FrameFigures(index, milliseconds, failed, renders, error, empty, **judged))
    return figures


def label_figures(found: Segmentation, true: NDArray[np.integer]) -> dict:
    """The fields of FrameFigures that need the (H, W) true labels."""
    labels = found.labels
    return {
        'paper_miou': metrics.paper_miou(labels, true),
        'strict_miou': metrics.strict_miou(labels, true),
        'ari': metrics.ari_foreground(labels, true),
        'foreground_iou': metrics.foreground_iou(labels, true),
        'false_positives': metrics.false_positives(labels, true),
        'count_right': float(metrics.count_is_right(labels, true)),
        'ious': metrics.iou_matrix(labels, true),
        'scores': found.scores[np.unique(labels[labels > 0]) - 1],  # one for each row of ious
    }


def hardly_visible(true: NDArray[np.integer], visible: Sequence[float]) -> NDArray[np.bool_]:
    """(T,) which of the instances in (H, W) labels the mask AP of BOP ignores.

    Args:
        visible: of instance k + 1, what share of its outline is seen.
    """
    ids = np.unique(true[true > 0]).astype(int)
    return np.array([visible[k - 1] < metrics.IGNORED_VISIBLE for k in ids], bool)


def nothing(frame: DepthFrame) -> Segmentation:
    """The result of a frame in which nothing is found."""
    return segmentation_from_labels(frame, np.zeros(frame.depth_m.shape, np.uint16))


def renders_itself(frame: DepthFrame, found: Segmentation) -> bool:
    """Whether the rendered depth differs from the measured one, which some methods repeat.

    Repeated depth would explain a frame perfectly, whatever the segmentation.
    """
    rendered = np.isfinite(found.rendered_depth)
    return not np.array_equal(found.rendered_depth[rendered], frame.depth_m[rendered])


def rerendering_error_mm(frame: DepthFrame, found: Segmentation, parts_bin: Bin) -> float:
    """Mean |rendered - measured| depth in mm where a part is seen or rendered: needs no labels.

    Where nothing is rendered the floor is. NaN where no part is seen or rendered.
    """
    scene = np.where(
        np.isfinite(found.rendered_depth),
        found.rendered_depth,
        floor_depth(frame, parts_bin.floor),
    )
    concerned = foreground(frame, parts_bin) | np.isfinite(found.rendered_depth)
    concerned &= np.isfinite(frame.depth_m)
    if not concerned.any():
        return float('nan')
    return float(1000 * np.abs(scene - frame.depth_m)[concerned].mean())


def floor_depth(frame: DepthFrame, floor: Plane) -> NDArray[np.float32]:
    """(H, W) metres: what the camera would measure of the bare floor."""
    rays = pixel_rays(frame.intrinsics)
    return (-floor.offset / (rays @ np.asarray(floor.normal, np.float32))).astype(np.float32)


@dataclass(frozen=True)
class Run:
    """One method with one seed on all frames."""

    method: str
    seed: int
    frames: tuple[FrameFigures, ...]

    def bop_ap(self) -> float:
        """COCO's AP of masks as BOP takes it; NaN where visible fractions are not known."""
        frames = [f for f in self.frames if f.ious is not None and f.ignored is not None]
        if not frames or len(frames) < sum(f.ious is not None for f in self.frames):
            return float('nan')
        return metrics.average_precision(
            [f.ious for f in frames if f.ious is not None],
            [f.scores for f in frames if f.scores is not None],
            ignored=[f.ignored for f in frames if f.ignored is not None],
        )

    def summary(self) -> dict[str, float]:
        """Means over the frames, NaNs left out; the median of the times."""

        def mean(values: list[float]) -> float:
            known = [v for v in values if np.isfinite(v)]
            return float(np.mean(known)) if known else float('nan')

        judged = [(f.ious, f.scores) for f in self.frames if f.ious is not None]
        kinds = [f.kinds for f in self.frames if f.kinds is not None]
        renders = any(f.renders for f in self.frames)  # not in all: nothing may be found in some
        return {
            'paper_miou': mean([f.paper_miou for f in self.frames]),
            'strict_miou': mean([f.strict_miou for f in self.frames]),
            'ari_foreground': mean([f.ari for f in self.frames]),
            'average_precision': metrics.average_precision(
                [ious for ious, _ in judged if ious is not None],
                [scores for _, scores in judged if scores is not None],
            )
            if judged
            else float('nan'),
            'class_accuracy': metrics.class_accuracy(kinds),
            **{f'strict_miou_{kind}': miou for kind, miou in metrics.kind_miou(kinds).items()},
            'bop_ap': self.bop_ap(),
            'count_accuracy': mean([f.count_right for f in self.frames]),
            'false_positives': mean([f.false_positives for f in self.frames]),
            'foreground_iou': mean([f.foreground_iou for f in self.frames]),
            'rerendering_mm': mean([f.rerendering_mm for f in self.frames if renders]),
            'empty_bin_mm': mean([f.empty_bin_mm for f in self.frames if renders]),
            'milliseconds': float(np.median([f.milliseconds for f in self.frames])),
            'failed_frames': float(sum(f.failed for f in self.frames)),
        }


def default_methods(part: str) -> list[str]:
    """All classical methods, and the models of this part that come with the package."""
    cards = {name: model_card.read_card(model_card.find(name)) for name in model_card.available()}
    return [
        *baselines.METHODS,
        *(name for name, card in cards.items() if card.get('part') == part),
    ]


def seeds_of(method: str, seeds: int) -> range:
    """Models are deterministic: one run tells all."""
    return range(seeds if method in baselines.METHODS else 1)


def benchmark(
    dataset: Dataset,
    methods: Sequence[str],
    indices: Sequence[int],
    *,
    seeds: int = 3,
    instances: int | None = None,
    parts_bin: Bin | None = None,
    device: str = 'cpu',
    workers: int = 1,
    progress: Callable[[int], object] = lambda _: None,
    truth: Mapping[int, NDArray[np.integer]] | None = None,
) -> list[Run]:
    """Judge every method on the frames; the same figures whatever the number of `workers`.

    Args:
        instances: parts in every frame, told to the classical methods; None: they estimate it.
        parts_bin: where the bin is; None: found in the frames, as it would be in use.
        progress: called with the number of frames done since the last call.
        truth: (H, W) true labels by frame, instead of the dataset's own.
    """
    blocks = [tuple(indices[k : k + BLOCK]) for k in range(0, len(indices), BLOCK)]
    methods = list(dict.fromkeys(methods))  # one named twice is computed once
    pairs = [(method, seed) for method in methods for seed in seeds_of(method, seeds)]
    for method in methods:  # a wrong name is told before anything is computed
        make_segmenter(method, instances, parts_bin, seed=0, device=device)
    tasks = [
        Task(
            dataset.path,
            method,
            seed,
            block,
            instances,
            parts_bin,
            device,
            None if truth is None else {index: truth[index] for index in block},
        )
        for method, seed in pairs
        for block in blocks
    ]
    done: dict[tuple[str, int], list[FrameFigures]] = {pair: [] for pair in pairs}
    for task, figures in zip(tasks, in_order(evaluate_block, tasks, workers)):
        done[task.method, task.seed] += figures
        progress(len(figures))
    return [Run(method, seed, tuple(frames)) for (method, seed), frames in done.items()]


def in_order(work: Callable, tasks: Sequence, workers: int) -> Iterator:
    """work(task) for every task, in their order, by this process or by several."""
    if workers <= 1 or len(tasks) <= 2:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            yield from pool.map(partial(_on_one_thread, work), tasks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _on_one_thread(work: Callable, task: Any) -> Any:
    """Several processes with several threads each wait for each other: fifty times as slow."""
    with threadpool_limits(1):
        return work(task)
