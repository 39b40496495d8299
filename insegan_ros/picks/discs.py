"""Planes fitted to the surface under a round cup, at every pixel of an instance at once.

A plane in space is linear in the image when depth is inverted: 1/z = a u + b v + c. So a weighted
least-squares fit over a disc of pixels needs nothing but sums over that disc, which convolutions
give for all pixels at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.types import FloatImage, Intrinsics

LARGE_PX = 5.0  # radius


@dataclass(frozen=True)
class DiscFits:
    """What lies under a disc around each pixel of a window."""

    own: NDArray[np.float32]  # (h, w) share of the disc's pixels that show the instance itself
    foreign: NDArray[np.float32]  # (h, w) share that shows anything else
    roughness_m: NDArray[np.float32]  # (h, w) standard deviation from the fitted plane, metres
    normals: NDArray[np.float32]  # (h, w, 3) unit, towards the camera
    depth_m: NDArray[np.float32]  # (h, w) of the fitted plane at the pixel, metres


def fit_discs(
    depth_m: FloatImage, own: NDArray[np.bool_], intrinsics: Intrinsics, *, radius_px: float
) -> DiscFits:
    """Fit a plane to the instance's pixels within `radius_px` of every pixel.

    Args:
        depth_m: (h, w) metres, NaN where unmeasured.
        own: (h, w) the instance's pixels.
        intrinsics: the window's camera.
        radius_px: of the disc; less than 1.5 px is taken for 1.5 px, which holds nine pixels.
    """
    seen = own & np.isfinite(depth_m)
    foreign = ~own & np.isfinite(depth_m)
    area = _Area(max(radius_px, 1.5))
    # pixels are counted from the window's middle: sums of squares stay small
    v, u = np.mgrid[: depth_m.shape[0], : depth_m.shape[1]].astype(np.float64)
    u, v = u - depth_m.shape[1] / 2, v - depth_m.shape[0] / 2
    inverse = np.where(seen, 1 / np.where(seen, depth_m, 1), 0).astype(np.float64)
    w = seen.astype(np.float64)
    terms = [w, w * u, w * v, w * u * u, w * u * v, w * v * v, inverse, inverse * u, inverse * v]
    sums = area.sums(np.stack([*terms, inverse**2, foreign.astype(np.float64)], axis=-1))
    n, su, sv, suu, suv, svv, sd, sdu, sdv, sdd, others = np.moveaxis(sums, -1, 0)
    count = np.maximum(n, 1)
    mu, mv, md = su / count, sv / count, sd / count
    cuu, cuv, cvv = suu / count - mu**2, suv / count - mu * mv, svv / count - mv**2
    cdu, cdv, cdd = sdu / count - md * mu, sdv / count - md * mv, sdd / count - md**2
    determinant = np.maximum(cuu * cvv - cuv**2, 1e-6)
    a = (cdu * cvv - cdv * cuv) / determinant
    b = (cdv * cuu - cdu * cuv) / determinant
    at_pixel = np.maximum(md + a * (u - mu) + b * (v - mv), 1e-6)
    residual = np.maximum(cdd - a * cdu - b * cdv, 0)
    depth = 1 / at_pixel
    return DiscFits(
        own=(n / area.pixels).astype(np.float32),
        foreign=(others / area.pixels).astype(np.float32),
        roughness_m=(np.sqrt(residual) * depth**2).astype(np.float32),
        normals=_normals(a, b, at_pixel, k=intrinsics),
        depth_m=depth.astype(np.float32),
    )


def _normals(a: NDArray, b: NDArray, at_pixel: NDArray, *, k: Intrinsics) -> NDArray[np.float32]:
    """(h, w, 3) unit normals of the planes 1/z = at_pixel + a du + b dv."""
    v, u = np.mgrid[: k.height, : k.width]
    # 1 = a (fx X + cx Z) + b (fy Y + cy Z) + c Z with c = at_pixel - a u - b v
    along = a * (k.cx - u) + b * (k.cy - v) + at_pixel
    normals = -np.stack([a * k.fx, b * k.fy, along], axis=-1)
    return (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).astype(np.float32)


class _Area:
    """A disc of pixels; a large one is taken for the square of the same area, which is quicker."""

    def __init__(self, radius_px: float) -> None:
        reach = int(np.ceil(radius_px))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        self._disc = (x**2 + y**2 <= radius_px**2).astype(np.float64)
        self._side = 2 * round((np.sqrt(np.pi) * radius_px - 1) / 2) + 1
        self._square = radius_px > LARGE_PX
        self.pixels = float(self._side**2 if self._square else self._disc.sum())

    def sums(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """(h, w, C) -> (h, w, C) sums around each pixel; outside of the window is nothing."""
        edge = cv2.BORDER_CONSTANT
        planes = [np.ascontiguousarray(images[..., c]) for c in range(images.shape[-1])]
        if self._square:
            size = (self._side, self._side)
            found = [cv2.boxFilter(p, -1, size, normalize=False, borderType=edge) for p in planes]
        else:
            found = [cv2.filter2D(p, -1, self._disc, borderType=edge) for p in planes]
        return np.stack(found, axis=-1)
