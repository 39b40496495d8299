"""What of a frame lies in the bin: the window that is looked at, and what is found in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insegan_ros.types import Intrinsics

MARGIN = 8  # px around the bin


def ids_inside(
    labels: NDArray[np.int32], part: NDArray[np.bool_], measured: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Ids of instances that stand in the bin; walls unlike those trained on look like parts."""
    counted = np.where(measured, labels, 0)
    most = int(labels.max(initial=0)) + 1
    seen = np.bincount(counted.ravel(), minlength=most)
    inside = np.bincount(counted[part], minlength=most)
    ids = np.flatnonzero(inside > 0.5 * seen)
    return ids[ids > 0]


def lifted(
    centres: NDArray[np.floating], intrinsics: Intrinsics, camera_height: float
) -> NDArray[np.float64]:
    """(N, 3) image x, y in px and height in m -> the frame of a camera that looks down."""
    x, y, height = np.asarray(centres, np.float64).reshape(-1, 3).T
    z = camera_height - height
    k = intrinsics
    return np.stack([(x - k.cx) / k.fx * z, (y - k.cy) / k.fy * z, z], axis=1)


def raised_window(
    heights: NDArray[np.float32], region: tuple[int, int, int, int] | None, above: float
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what stands above the floor in the bin, and a margin."""
    x, y, w, h = region or (0, 0, heights.shape[1], heights.shape[0])
    raised = heights[y : y + h, x : x + w] > above  # False where NaN
    columns = np.flatnonzero(raised.sum(axis=0) >= 3)
    rows = np.flatnonzero(raised.sum(axis=1) >= 3)
    if not len(columns) or not len(rows):
        return x, y, x, y
    return (
        max(x + int(columns[0]) - MARGIN, 0),
        max(y + int(rows[0]) - MARGIN, 0),
        min(x + int(columns[-1]) + 1 + MARGIN, heights.shape[1]),
        min(y + int(rows[-1]) + 1 + MARGIN, heights.shape[0]),
    )
