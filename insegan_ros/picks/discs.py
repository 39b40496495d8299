"""Planes fitted to the surface under a round cup, at some pixels of one instance.

A plane in space is linear in the image when depth is inverted: 1/z = a u + b v + c. So a weighted
least-squares fit over a disc of pixels needs nothing but sums over that disc, and a summed-area
table (Crow 1984) gives the sum over a rectangle from four of its entries, however large it is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from insegan_ros.types import FloatImage, Intrinsics

LARGE_PX = 5.0  # radius; a larger disc is taken for the square of the same area
Pixels = NDArray[np.integer]  # (M,) row or column of each place in the window


@dataclass(frozen=True)
class DiscFits:
    """What lies under discs of R radii around M pixels."""

    own: NDArray[np.float64]  # (R, M) share of the disc's pixels that show the instance itself
    foreign: NDArray[np.float64]  # (R, M) share that shows anything else
    roughness_m: NDArray[np.float64]  # (R, M) standard deviation from the fitted plane, metres
    normals: NDArray[np.float64]  # (R, M, 3) unit, towards the camera
    depth_m: NDArray[np.float64]  # (R, M) of the fitted plane at the pixel, metres

    def __getitem__(self, which: int | NDArray[np.bool_]) -> DiscFits:
        """Those of one radius, or then those of some pixels."""
        return DiscFits(*(getattr(self, field.name)[which] for field in fields(self)))


class DiscFitter:
    """Fits planes to one instance's pixels under discs of any radius, at the same cost."""

    def __init__(
        self, depth_m: FloatImage, own: NDArray[np.bool_], intrinsics: Intrinsics
    ) -> None:
        """Prepare the sums.

        Args:
            depth_m: (h, w) metres, NaN where unmeasured.
            own: (h, w) the instance's pixels.
            intrinsics: the window's camera.
        """
        self._camera = intrinsics
        known = np.isfinite(depth_m)
        seen = own & known
        # pixels are counted from the window's middle: sums of squares stay small
        self._middle = depth_m.shape[0] / 2, depth_m.shape[1] / 2
        v = (np.arange(depth_m.shape[0]) - self._middle[0])[:, None]
        u = (np.arange(depth_m.shape[1]) - self._middle[1])[None]
        w = seen.astype(np.float64)
        inverse = np.where(seen, 1 / np.where(seen, depth_m, 1), 0).astype(np.float64)
        wu, wv = w * u, w * v
        terms = [w, wu, wv, wu * u, wu * v, wv * v, inverse, inverse * u, inverse * v]
        terms += [inverse**2, (known & ~own).astype(np.float64)]
        table = np.zeros((depth_m.shape[0] + 1, depth_m.shape[1] + 1, len(terms)))
        table[1:, 1:] = np.stack(terms, axis=-1).cumsum(axis=0).cumsum(axis=1)
        self._table = table

    def shares(
        self, rows: Pixels, columns: Pixels, radius_px: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) shares of the disc that show the instance itself, and anything else."""
        table = np.ascontiguousarray(self._table[..., [0, -1]])
        own, foreign = _means(table, rows, columns, radii_px=(radius_px,))[0].T
        return own, foreign

    def fit(self, rows: Pixels, columns: Pixels, *radii_px: float) -> DiscFits:
        """Planes through the instance's pixels within each of R radii of each of M pixels.

        Less than 1.5 px is taken for 1.5 px, which holds nine pixels. Outside of the window is
        nothing.
        """
        v, u = rows - self._middle[0], columns - self._middle[1]
        means = _means(self._table, rows, columns, radii_px=radii_px)
        own, foreign = means[..., 0], means[..., -1]
        means = np.moveaxis(means[..., 1:-1] / np.maximum(own, 1e-9)[..., None], -1, 0)
        mu, mv, muu, muv, mvv, md, mdu, mdv, mdd = means
        cuu, cuv, cvv = muu - mu**2, muv - mu * mv, mvv - mv**2
        cdu, cdv, cdd = mdu - md * mu, mdv - md * mv, mdd - md**2
        determinant = np.maximum(cuu * cvv - cuv**2, 1e-6)
        a = (cdu * cvv - cdv * cuv) / determinant
        b = (cdv * cuu - cdu * cuv) / determinant
        at_pixel = np.maximum(md + a * (u - mu) + b * (v - mv), 1e-6)
        residual = np.maximum(cdd - a * cdu - b * cdv, 0)
        depth = 1 / at_pixel
        # 1 = a (fx X + cx Z) + b (fy Y + cy Z) + c Z with c = at_pixel - a column - b row
        k = self._camera
        along = a * (k.cx - columns) + b * (k.cy - rows) + at_pixel
        normals = -np.stack([a * k.fx, b * k.fy, along], axis=-1)
        return DiscFits(
            own=own,
            foreign=foreign,
            roughness_m=np.sqrt(residual) * depth**2,
            normals=normals / np.linalg.norm(normals, axis=-1, keepdims=True),
            depth_m=depth,
        )


def _means(
    table: NDArray[np.float64], rows: Pixels, columns: Pixels, *, radii_px: tuple[float, ...]
) -> NDArray[np.float64]:
    """(R, M, C) means over the discs around each pixel, from a (h + 1, w + 1, C) table."""
    height, width = table.shape[0] - 1, table.shape[1] - 1
    up, down, aside, area = _rectangles(radii_px)
    # into the table's range; np.clip takes longer
    top = np.minimum(np.maximum(rows + up, 0), height)
    bottom = np.minimum(np.maximum(rows + down, 0), height)
    left, right = np.maximum(columns - aside, 0), np.minimum(columns + aside + 1, width)
    sums = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return np.asarray(sums.sum(axis=0) / area)


@lru_cache(maxsize=256)
def _rectangles(radii_px: tuple[float, ...]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Discs as stacks of rectangles, all of equally many; the last ones may be empty.

    Returns (T, R, 1) first row, row after the last and columns to either side, from the middle,
    and (R, 1, 1) pixels of each disc.
    """
    stacks = [_stack(max(radius, 1.5)) for radius in radii_px]
    most = max(map(len, stacks))
    padded = np.array([stack + [(0, 0, 0)] * (most - len(stack)) for stack in stacks])
    up, down, aside = padded.transpose(2, 1, 0)[..., None]
    area = ((down - up) * (2 * aside + 1)).sum(axis=0)[..., None]
    return up, down, aside, area


def _stack(radius_px: float) -> list[tuple[int, int, int]]:
    """A disc's rectangles: first row, row after the last, columns to either side."""
    if radius_px > LARGE_PX:
        half = round((np.sqrt(np.pi) * radius_px - 1) / 2)
        return [(-half, half + 1, half)]
    found: list[tuple[int, int, int]] = []
    for y in range(-int(radius_px), int(radius_px) + 1):
        aside = int(np.sqrt(radius_px**2 - y**2))
        if found and found[-1][2] == aside:
            found[-1] = (found[-1][0], y + 1, aside)
        else:
            found.append((y, y + 1, aside))
    return found
