"""The demo's picture: what the camera saw, what was made of it, each instance alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.drawing import BACKGROUND, colour_depth, fit, overlay, palette

TILE = (400, 400)  # width, height of a panel, px
GAP = 6
TEXT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Snapshot:
    """One frame and its results."""

    depth: NDArray[np.uint16]  # (H, W) millimetres, 0 unmeasured
    labels: NDArray[np.uint16]  # (H, W)
    instances: NDArray[np.float32]  # (N, H, W) metres, NaN elsewhere
    truth: NDArray[np.uint16] | None  # (H, W)


def draw_rows(snapshots: list[Snapshot], path: Path) -> None:
    """Write a PNG, a row a snapshot: depth, labels, every instance's own depth, and the truth."""
    titles = ['depth', 'segmented', 'each instance rendered alone']
    if all(s.truth is not None for s in snapshots):
        titles.append('truth')
    rows = [header(titles)]
    rows += [np.hstack(with_gaps(row(s, 'truth' in titles))) for s in snapshots]
    cv2.imwrite(str(path), np.vstack(with_gaps(rows, axis=0)))


def row(snapshot: Snapshot, with_truth: bool) -> list[NDArray[np.uint8]]:
    """The tiles of one scene: depth, labels, rendered depth, and the truth where it is shown."""
    window = region_of_interest(snapshot)
    labels = snapshot.labels[window]
    depth = snapshot.depth[window].astype(np.float32) / np.float32(1000)
    depth[depth == 0] = np.nan
    near, far = depth_range(depth, labels)
    grey = colour_depth(depth, near, far, colours=cv2.COLORMAP_BONE)
    alone = []
    for rendered in snapshot.instances:
        colours = colour_depth(rendered[window], near, far)
        shape = np.isfinite(rendered[window])[..., None]
        alone.append(np.where(shape, colours, (0.4 * grey).astype(np.uint8)))
    panels = [
        fit(colour_depth(depth, near, far), TILE),
        fit(overlay(grey, labels), TILE),
        mosaic(alone, palette(len(alone))),
    ]
    if with_truth and snapshot.truth is not None:
        panels.append(fit(overlay(grey, snapshot.truth[window]), TILE))
    return panels


def depth_range(depth_m: NDArray[np.float32], labels: NDArray[np.uint16]) -> tuple[float, float]:
    """The instances fill the colours: higher walls share the nearest one's."""
    known = np.isfinite(depth_m)
    if not known.any():
        return 0.0, 1.0
    parts = depth_m[known & (labels > 0)]
    near = np.percentile(parts if parts.size else depth_m[known], 1)
    return float(near), float(np.percentile(depth_m[known], 99))


def region_of_interest(snapshot: Snapshot) -> tuple[slice, slice]:
    """A window around what was found, or where there is truth or depth, with some margin."""
    where = snapshot.labels > 0
    if snapshot.truth is not None:
        where = where | (snapshot.truth > 0)
    if not where.any():
        where = snapshot.depth > 0
    v, u = np.nonzero(where) if where.any() else ([0, where.shape[0] - 1], [0, where.shape[1] - 1])
    side = int(1.3 * max(np.ptp(v), np.ptp(u))) + 8
    side = min(side, *where.shape)
    top = int(np.clip((np.min(v) + np.max(v) - side) // 2, 0, where.shape[0] - side))
    left = int(np.clip((np.min(u) + np.max(u) - side) // 2, 0, where.shape[1] - side))
    return slice(top, top + side), slice(left, left + side)


def mosaic(images: list[NDArray[np.uint8]], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images in a grid of a panel's size, framed in their instance's colour."""
    panel = np.full((TILE[1], TILE[0], 3), BACKGROUND, np.uint8)
    side = max(1, int(np.ceil(np.sqrt(len(images)))))
    rows = max(1, -(-len(images) // side))
    width = height = TILE[0] // side
    top = (TILE[1] - rows * height) // 2
    for k, image in enumerate(images):
        y, x = top + k // side * height, k % side * width
        panel[y : y + height, x : x + width] = fit(image, (width, height))
        corner = (x + width - 2, y + height - 2)
        cv2.rectangle(panel, (x + 1, y + 1), corner, colours[k].tolist(), 2)
        cv2.putText(panel, str(k + 1), (x + 7, y + 20), TEXT, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return panel


def header(titles: list[str]) -> NDArray[np.uint8]:
    """A strip with the titles of the columns."""
    width = len(titles) * (TILE[0] + GAP) - GAP
    image = np.full((34, width, 3), 255, np.uint8)
    for k, title in enumerate(titles):
        place = (k * (TILE[0] + GAP) + 4, 24)
        cv2.putText(image, title, place, TEXT, 0.65, (40, 40, 40), 1, cv2.LINE_AA)
    return image


def with_gaps(images: list[NDArray[np.uint8]], axis: int = 1) -> list[NDArray[np.uint8]]:
    """White bars between images that will be stacked along `axis`."""
    out = []
    for image in images:
        shape = list(image.shape)
        shape[axis] = GAP
        out += [image, np.full(shape, 255, np.uint8)]
    return out[:-1]
