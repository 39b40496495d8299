"""The picture of an evaluation: some frames, from the last method's worst to its best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros import drawing
from insegan_ros.data.store import Dataset
from insegan_ros.evaluation.benchmark import nothing
from insegan_ros.evaluation.figures import Run
from insegan_ros.types import DepthFrame, Segmenter

SHOWN = 6  # frames
SIDE = 192  # px of a frame in the picture
MARGIN = 24  # px around what is labelled


def chosen_frames(run: Run, count: int = SHOWN) -> list[int]:
    """From the worst to the best by strict mIoU; where there is no truth, as they come."""
    scores = np.nan_to_num([figures.strict_miou for figures in run.frames])
    order = np.argsort(scores, kind='stable')
    places = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [run.frames[int(order[place])].index for place in places]


def show_compared(
    path: Path,
    dataset: Dataset,
    runs: Sequence[Run],
    *,
    make: Callable[[str], Segmenter],
    names: Mapping[str, str],
    truth: Mapping[int, NDArray[np.integer]] | None = None,
) -> None:
    """A row of depth images, one for every method, one of the truth; a column a frame.

    Args:
        runs: the last one's figures choose the frames.
        make: a segmenter by its method, as it was judged.
        names: what the methods are called.
    """
    frames = {index: dataset[index] for index in chosen_frames(runs[-1])}
    blank = [np.zeros(s.frame.depth_m.shape, int) for s in frames.values()]
    rows = {'depth': blank}
    for method in dict.fromkeys(run.method for run in runs):
        segmenter = make(method)
        rows[names[method]] = [labels_of(segmenter, s.frame) for s in frames.values()]
    known = [s.labels if truth is None else truth[index] for index, s in frames.items()]
    if all(labels is not None for labels in known):
        rows['truth'] = [np.maximum(np.asarray(labels, int), 0) for labels in known]
    windows = windows_around(list(zip(*rows.values())))
    pictures = [
        [
            drawing.fit(drawing.picture(s.frame, each)[window], (SIDE, SIDE))
            for s, each, window in zip(frames.values(), labels, windows)
        ]
        for labels in rows.values()
    ]
    for row, name in zip(pictures, rows):
        for thickness, shade in ((3, 0), (1, 255)):
            cv2.putText(row[0], name, (4, 14), 0, 0.42, (shade,) * 3, thickness, cv2.LINE_AA)
    drawing.save_rows(path, pictures, scale=1)


def windows_around(labelled: Sequence[Sequence[NDArray[np.integer]]]) -> list[tuple[slice, slice]]:
    """Of equal size, around all that is labelled in each frame.

    Args:
        labelled: for each frame the (H, W) labels of every row.
    """
    covered = [(np.stack(each) > 0).any(axis=0) for each in labelled]
    boxes = [cv2.boundingRect(np.array(mask, np.uint8)) for mask in covered]
    height, width = labelled[0][0].shape
    side = min(max(max(w, h) for _, _, w, h in boxes) + MARGIN, height, width)
    side = side if side > MARGIN else min(height, width)  # nothing is labelled
    windows = []
    for x, y, w, h in boxes:
        left = int(np.clip(x + w // 2 - side // 2, 0, width - side))
        top = int(np.clip(y + h // 2 - side // 2, 0, height - side))
        windows.append((slice(top, top + side), slice(left, left + side)))
    return windows


def labels_of(segmenter: Segmenter, frame: DepthFrame) -> NDArray[np.integer]:
    """Labels of a frame; all background where the method gives up."""
    try:
        return segmenter.segment(frame).labels
    except ValueError:
        return nothing(frame).labels
