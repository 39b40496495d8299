"""Crops: pieces of frames on metric grids, as reconstruction compares them with views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.discovery.pieces import Piece

PIXEL = 0.6  # px around a point that surely are the part: no gaps between neighbours
FINER = 4  # cells along a crop's pixel while it is drawn


@dataclass(frozen=True)
class Crops:
    """N crops of P x P pixels, centred on what they show."""

    mask: NDArray[np.float32]  # (N, P, P) 1 where the part is
    sure: NDArray[np.float32]  # (N, P, P) 0 at its edge, where a camera is unsure
    height: NDArray[np.float32]  # (N, P, P) metres above the floor, 0 outside the mask
    alone: NDArray[np.bool_]  # (N,)
    width_m: float  # of a crop

    def __len__(self) -> int:
        return len(self.mask)

    def select(self, index: NDArray) -> Crops:
        """Those of an index array or a mask."""
        return replace(
            self,
            mask=self.mask[index],
            sure=self.sure[index],
            height=self.height[index],
            alone=self.alone[index],
        )


def rasterise(pieces: Sequence[Piece], width_m: float, pixels: int) -> Crops:
    """Pieces on a metric grid `width_m` wide, the middle of each one's extent at the centre.

    A point stands for its pixel. Further out, up to `edge_px`, the part may go on: pixels that
    show an edge mix two depths or are not measured, and are in no segment. To take them for
    background makes thin parts a tenth too thin.
    """
    fine = pixels * FINER
    scale = fine / width_m
    masks = np.zeros((len(pieces), pixels, pixels), np.float32)
    sures, heights = np.zeros_like(masks), np.zeros_like(masks)
    for mask, sure, height, piece in zip(masks, sures, heights, pieces, strict=True):
        flat = piece.points[:, :2]
        flat = flat - (flat.min(axis=0) + flat.max(axis=0)) / 2
        cells = np.floor(flat * scale + fine / 2).astype(int)
        seen = ((cells >= 0) & (cells < fine)).all(axis=1)
        at = cells[seen, 1], cells[seen, 0]
        hit, count, total = (np.zeros((fine, fine), np.float32) for _ in range(3))
        hit[at] = 1
        np.add.at(count, at, 1)
        np.add.at(total, at, piece.points[seen, 2])
        inner, outer = (
            _covered(hit, px * piece.pixel_m * scale, pixels) for px in (PIXEL, piece.edge_px)
        )
        # points near a cell give its height, the nearer the more
        reach = max(piece.pixel_m * scale, FINER / 2)
        weight = cv2.GaussianBlur(count, (0, 0), reach)
        blurred = cv2.GaussianBlur(total, (0, 0), reach)
        mean = _mean(blurred / np.maximum(weight, 1e-9), pixels)
        middle = (inner + outer) / 2
        mask[...] = middle > 0.5
        sure[...] = (inner > 0.5) == (outer > 0.5)
        height[...] = mask * mean
    alone = np.array([piece.alone for piece in pieces], bool)
    return Crops(masks, sures, heights, alone, width_m)


def _covered(hit: NDArray[np.float32], radius: float, pixels: int) -> NDArray:
    """(P, P) the share of each pixel that lies within a radius of a point, both in fine cells."""
    return _mean(cv2.dilate(hit, _disc(radius)), pixels)


def _mean(fine: NDArray, pixels: int) -> NDArray:
    return cv2.resize(fine, (pixels, pixels), interpolation=cv2.INTER_AREA)


def _disc(radius: float) -> NDArray[np.uint8]:
    reach = math.ceil(radius)
    line = np.arange(-reach, reach + 1)
    return (line[:, None] ** 2 + line[None] ** 2 <= radius**2).astype(np.uint8)
