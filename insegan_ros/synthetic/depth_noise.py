"""How depth cameras err: one family of models for stereo, structured light and time of flight.

`d435.py` makes the noise of a sensor alone. What a user sees has passed a matcher's window and the
driver's filters as well: surfaces are wavy over tens of pixels, low steps become ramps, high ones
are fattened and surrounded by holes, steep sides are missing. Networks that shall work with any
camera are taught under cameras drawn from the whole family. `camera_presets.py` has some by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from insegan_ros.synthetic.d435 import occlusion_shadow
from insegan_ros.types import FloatImage, Intrinsics


@dataclass(frozen=True)
class DepthNoise:
    """One camera's errors. Pixels are those of its image."""

    sigma_m: float = 0.0055  # of depth, at one metre; a D435 measured on real bins' floors
    power: float = 2.0  # of the distance that it grows with: 2 stereo, about 1 time of flight
    grain: float = 0.3  # share of its variance that changes from pixel to pixel
    wave_px: float = 4.5  # over which the rest of it is correlated (Gaussian)
    baseline_m: float = 0.05  # 0: nothing is hidden from the second imager or the projector
    shadow_side: int = -1  # -1: that one sees less left of near objects; 1: right
    waver_px: float = 0.5  # how far edges stray
    fatten_px: int = 0  # by how much near surfaces grow in places, as windows make them
    ramp_px: float = 2.0  # what low steps are smoothed over
    step_m: float = 0.02  # higher steps stay sharp
    lost_step_m: float = 0.03  # steps higher than this have holes about them
    lost_px: int = 2  # of this half width
    flying: float = 0.1  # share of edge pixels between both sides' depths
    steepest: float = 6.0  # slope of a surface against the image plane beyond which it is missing
    holes: float = 0.004  # share of pixels in holes
    hole_px: float = 1.5  # what holes measure
    depth_step_m: float = 0.001
    filled_px: int = 0  # holes that the driver fills, with what is beside them


def measure(
    depth_m: FloatImage, intrinsics: Intrinsics, rng: np.random.Generator, *, noise: DepthNoise
) -> FloatImage:
    """A true depth image as such a camera would give it.

    Args:
        depth_m: (H, W) metres, NaN where nothing is.

    Returns:
        (H, W) float32 metres, NaN where unmeasured.
    """
    known = np.isfinite(depth_m)
    if not known.any():
        return depth_m.astype(np.float32)
    far = np.float32(np.nanmax(depth_m))
    depth = np.where(known, depth_m, far).astype(np.float32)
    missing = ~known
    if noise.baseline_m > 0:
        f_b = np.float32(intrinsics.fx * noise.baseline_m)
        missing = missing | occlusion_shadow(depth, f_b, noise.shadow_side)
    missing |= _steep(depth, intrinsics, rng, noise=noise)
    depth = _edges(depth, rng, noise)
    missing |= _lost(depth, rng, noise)
    sigma = np.float32(noise.sigma_m) * depth**noise.power
    depth = depth + sigma * _texture(depth.shape, rng, noise)
    if noise.holes > 0:
        missing |= _field(depth.shape, rng, noise.hole_px) > -ndtri(noise.holes)
    depth = np.rint(depth / noise.depth_step_m) * np.float32(noise.depth_step_m)
    depth = np.where(missing, np.float32(np.nan), depth)
    if noise.filled_px:
        depth = _filled(depth, noise.filled_px)
    return depth.astype(np.float32)


def drawn(rng: np.random.Generator, part_m: float, distance_m: float) -> DepthNoise:
    """A camera of the family, at random, for parts of this length at this distance.

    Cameras are set up so that parts can be seen: noise and steps are drawn in part lengths.
    """
    sigma = part_m * float(np.exp(rng.uniform(np.log(0.002), np.log(0.045))))
    stereo = rng.random() < 0.75
    power = 2.0 if stereo else 1.0
    step = part_m * rng.uniform(0.05, 0.4)
    return DepthNoise(
        sigma_m=sigma / distance_m**power,
        power=power,
        grain=float(rng.uniform(0.1, 0.9)),
        wave_px=float(rng.uniform(1.5, 7.0)),
        baseline_m=float(rng.uniform(0.03, 0.12)) * distance_m / 0.5 if stereo else 0.0,
        shadow_side=-1 if rng.random() < 0.5 else 1,
        waver_px=float(rng.uniform(0.0, 0.9)),
        fatten_px=int(rng.choice([0, 0, 1, 2])),
        ramp_px=float(rng.choice([0.0, rng.uniform(0.5, 3.5)])),
        step_m=step,
        lost_step_m=step * float(rng.uniform(0.8, 4.0)),
        lost_px=int(rng.choice([0, 1, 2, 3])),
        flying=float(rng.uniform(0.0, 0.5)),
        steepest=float(rng.uniform(2.0, 12.0)),
        holes=float(rng.choice([0.0, rng.uniform(0.0, 0.03)])),
        hole_px=float(rng.uniform(0.8, 2.5)),
        depth_step_m=min(0.001, part_m * float(rng.uniform(0.001, 0.03))),
        filled_px=int(rng.choice([0, 0, 0, 2, 5])),
    )


@dataclass(frozen=True)
class AnyCamera:
    """All cameras of the family, over parts of one length."""

    part_m: float

    def drawn(self, rng: np.random.Generator, distance_m: float) -> DepthNoise:
        """One of them, at random."""
        return drawn(rng, self.part_m, distance_m)


def varied(noise: DepthNoise, rng: np.random.Generator) -> DepthNoise:
    """A camera of the same kind: no two are alike, and no preset is a user's camera exactly."""

    def about(value: float, factor: float) -> float:
        return value * float(np.exp(rng.uniform(-np.log(factor), np.log(factor))))

    return replace(
        noise,
        sigma_m=about(noise.sigma_m, 2.0),
        grain=float(np.clip(noise.grain + rng.uniform(-0.2, 0.2), 0.0, 1.0)),
        wave_px=about(noise.wave_px, 1.4),
        shadow_side=-1 if rng.random() < 0.5 else 1,
        waver_px=about(noise.waver_px, 1.6),
        ramp_px=noise.ramp_px * float(rng.uniform(0.3, 1.5)),
        flying=min(1.0, noise.flying * float(rng.uniform(0.0, 2.0))),
        steepest=about(noise.steepest, 1.5),
        holes=min(0.1, noise.holes * float(rng.uniform(0.0, 3.0))),
    )


def _texture(
    shape: tuple[int, ...], rng: np.random.Generator, noise: DepthNoise
) -> NDArray[np.float32]:
    """(H, W) of unit variance: grain and waves."""
    waves = _field(shape, rng, noise.wave_px)
    grain = rng.standard_normal(shape, dtype=np.float32)
    return np.float32(np.sqrt(1 - noise.grain)) * waves + np.float32(np.sqrt(noise.grain)) * grain


def _field(
    shape: tuple[int, ...], rng: np.random.Generator, correlation: float
) -> NDArray[np.float32]:
    """(H, W) noise of unit variance, correlated over so many pixels; coarse ones made coarsely."""
    coarse = max(int(correlation / 1.5), 1)
    small = (shape[0] // coarse + 3, shape[1] // coarse + 3)
    white = rng.standard_normal(small, dtype=np.float32)
    sigma = correlation / coarse
    smooth = np.asarray(cv2.GaussianBlur(white, (0, 0), sigma), np.float32)
    smooth *= np.float32(2 * np.sqrt(np.pi) * sigma)
    if coarse > 1:
        size = (small[1] * coarse, small[0] * coarse)
        large = cv2.resize(smooth, size, interpolation=cv2.INTER_CUBIC)
        smooth = np.asarray(large, np.float32)
    return np.asarray(smooth[: shape[0], : shape[1]], np.float32)


def _steep(
    depth: NDArray[np.float32],
    intrinsics: Intrinsics,
    rng: np.random.Generator,
    *,
    noise: DepthNoise,
) -> NDArray[np.bool_]:
    """(H, W) surfaces that are seen too obliquely to be measured."""
    dx = cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=0.125)
    dy = cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=0.125)
    slope = np.hypot(dx, dy) * np.float32(intrinsics.fx) / depth
    unsure = np.exp(np.float32(0.4) * _field(depth.shape, rng, 3.0))
    return (slope > noise.steepest * unsure) & (rng.random(depth.shape, np.float32) < 0.85)


def _edges(
    depth: NDArray[np.float32], rng: np.random.Generator, noise: DepthNoise
) -> NDArray[np.float32]:
    """Edges stray, near surfaces grow, low steps become ramps, some pixels lie between."""
    shape = depth.shape
    if noise.waver_px > 0:
        v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        x, y = (np.float32(noise.waver_px) * _field(shape, rng, 1.0) for _ in range(2))
        strayed = cv2.remap(
            depth, u + x, v + y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        depth = np.asarray(strayed, np.float32)
    if noise.fatten_px:
        kernel = np.ones((2 * noise.fatten_px + 1,) * 2, np.uint8)
        grown = _field(shape, rng, 4.0) > 0
        depth = np.where(grown, cv2.erode(depth, kernel), depth).astype(np.float32)
    if noise.ramp_px > 0:
        smooth = cv2.GaussianBlur(depth, (0, 0), noise.ramp_px)
        depth = np.where(_steps(depth, noise.ramp_px) < noise.step_m, smooth, depth)
    if noise.flying > 0:
        kernel = np.ones((3, 3), np.uint8)
        near, far = cv2.erode(depth, kernel), cv2.dilate(depth, kernel)
        edge = (far - near > 0.5 * noise.step_m) & (rng.random(shape) < noise.flying)
        depth = np.where(edge, near + rng.random(shape, np.float32) * (far - near), depth)
    return np.asarray(depth, np.float32)


def _steps(depth: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """(H, W) metres between the nearest and the furthest pixel about each."""
    kernel = np.ones((2 * max(round(reach), 1) + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(depth, kernel) - cv2.erode(depth, kernel), np.float32)


def _lost(
    depth: NDArray[np.float32], rng: np.random.Generator, noise: DepthNoise
) -> NDArray[np.bool_]:
    """(H, W) what a matcher cannot know about high steps."""
    if not noise.lost_px:
        return np.zeros(depth.shape, bool)
    lost = _steps(depth, 1.0) > noise.lost_step_m
    wide = cv2.dilate(lost.astype(np.uint8), np.ones((2 * noise.lost_px + 1,) * 2, np.uint8)) > 0
    return lost | (wide & (_field(depth.shape, rng, 2.0) > 0))


def _filled(depth: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Holes filled with the furthest measured pixel beside them, as drivers do."""
    known = np.nan_to_num(depth, nan=0.0)
    beside = cv2.dilate(known, np.ones((1, 2 * reach + 1), np.uint8))
    return np.where(np.isnan(depth) & (beside > 0), beside, depth)
