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
from insegan_ros.evaluation.figures import FrameFigures, Run, label_figures, visible_shares
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
            found, why = segmenter.segment(sample.frame), ''
        except ValueError as reason:  # no bin is seen, or nothing shows how long the part is
            found, why = nothing(sample.frame), str(reason)
        milliseconds = 1000 * (time.perf_counter() - start)
        renders = renders_itself(sample.frame, found)
        error = empty = float('nan')
        if task.method not in baselines.METHODS and not why:
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
            judged['visible'] = visible_shares(true, sample.record['visible'])
        figures.append(FrameFigures(index, milliseconds, why, renders, error, empty, **judged))
    return figures


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


def default_methods(part: str) -> list[str]:
    """All classical methods, and the models of this part that come with the package."""
    cards = {name: model_card.read_card(model_card.find(name)) for name in model_card.available()}
    return [
        *baselines.METHODS,
        *(name for name, card in cards.items() if card.get('part') == part),
    ]


def named_methods(text: str | None, part: str) -> list[str]:
    """Names and folders between commas; None: the default ones for this part.

    Raises:
        ValueError: no method is named.
    """
    if text is None:
        return default_methods(part)
    methods = [name.strip() for name in text.split(',') if name.strip()]
    if not methods:
        raise ValueError('--methods names no method')
    return methods


def seeds_of(method: str, seeds: int) -> range:
    """Models are deterministic: one run suffices."""
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
        instances: parts in every frame, given to the classical methods; None: they estimate it.
        parts_bin: where the bin is; None: found in the frames, as it would be in use.
        progress: called with the number of frames done since the last call.
        truth: (H, W) true labels by frame, instead of the dataset's own.
    """
    blocks = [tuple(indices[k : k + BLOCK]) for k in range(0, len(indices), BLOCK)]
    methods = list(dict.fromkeys(methods))  # one named twice is computed once
    pairs = [(method, seed) for method in methods for seed in seeds_of(method, seeds)]
    for method in methods:  # a wrong name is refused before anything is computed
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
