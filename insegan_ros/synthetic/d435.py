"""The depth noise of an Intel RealSense D435: a stereo camera's, so it is made in disparity.

z = f B / disparity, so a disparity noise of s px is sigma_z = z^2 s / (f B).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.depth_camera import StereoNoise
from insegan_ros.types import FloatImage, Intrinsics


def add_noise(
    depth_m: FloatImage,
    intrinsics: Intrinsics,
    rng: np.random.Generator,
    *,
    noise: StereoNoise,
) -> FloatImage:
    """A true depth image as a stereo camera would measure it.

    Args:
        depth_m: (H, W) metres, NaN where nothing is.
        intrinsics: its camera.
        rng: all randomness.
        noise: how the camera errs.

    Returns:
        (H, W) float32 metres, NaN where unmeasured.
    """
    f_b = np.float32(intrinsics.fx * noise.baseline)
    shadow = occlusion_shadow(depth_m, f_b, noise.shadow_side)
    depth = _blur_edges(depth_m, rng, noise)
    with np.errstate(divide='ignore', invalid='ignore'):
        disparity = f_b / depth
        jitter = _smooth_noise(depth.shape, rng, noise.correlation)
        disparity += np.float32(noise.disparity_sigma) * jitter
        disparity = _rounded(disparity, noise.disparity_step)
        depth = _rounded(f_b / disparity, noise.depth_step)
    depth[shadow | _holes(depth.shape, rng, noise) | ~(disparity > 0)] = np.nan
    return depth.astype(np.float32)


def occlusion_shadow(depth_m: FloatImage, f_b: np.floating, side: int) -> NDArray[np.bool_]:
    """(H, W) pixels that the second imager cannot see: bands of f B (1/z_near - 1/z_far) px.

    A pixel at column u lies at u - side * disparity in the second image; there it is hidden if a
    nearer pixel, one with more disparity, falls at or beyond its place.
    """
    disparity = f_b / np.where(np.isfinite(depth_m), depth_m, np.float32(np.inf))
    if side > 0:
        disparity = disparity[:, ::-1]
    # shadows to the left of near objects: seen from the right end leftwards, u + d must fall
    u = np.arange(disparity.shape[1], dtype=np.float32)
    place = u - disparity  # column in the second image
    # hidden if some pixel further right has a place at or left of ours
    nearest_right = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(disparity.shape, bool)
    hidden[:, :-1] = nearest_right[:, 1:] < place[:, :-1] - 0.5
    return hidden[:, ::-1] if side > 0 else hidden


def _blur_edges(
    depth: FloatImage, rng: np.random.Generator, noise: StereoNoise
) -> NDArray[np.float32]:
    """Let depth edges waver by a random fraction of a pixel, and mix both sides at some pixels."""
    kernel = np.ones((3, 3), np.uint8)
    out = np.nan_to_num(depth, nan=0.0)
    near, far = cv2.erode(out, kernel), cv2.dilate(out, kernel)
    near, far = np.asarray(near, np.float32), np.asarray(far, np.float32)
    v, u = np.nonzero((far - near > noise.edge_jump) & (near > 0))
    step = np.rint(rng.normal(0.0, noise.edge_sigma, (2, len(v)))).astype(np.int64)
    height, width = depth.shape
    rows, columns = np.clip(v + step[0], 0, height - 1), np.clip(u + step[1], 0, width - 1)
    wavering = depth[rows, columns]
    mixed = near[v, u] + rng.random(len(v), dtype=np.float32) * (far[v, u] - near[v, u])
    out = depth.copy()
    out[v, u] = np.where(rng.random(len(v)) < noise.flying, mixed, wavering)
    return out


def _smooth_noise(
    shape: tuple[int, ...], rng: np.random.Generator, correlation: float
) -> NDArray[np.float32]:
    """(H, W) noise of unit variance, Gaussian-correlated over `correlation` px."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if correlation <= 0:
        return white
    size = 2 * int(np.ceil(3 * correlation)) + 1
    kernel = np.asarray(cv2.getGaussianKernel(size, correlation, cv2.CV_32F))
    kernel = kernel / np.linalg.norm(kernel)  # keeps the variance
    smooth = cv2.sepFilter2D(white, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth, np.float32)


def _rounded(values: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    return np.rint(values * np.float32(1 / step)) * np.float32(step)


def _holes(
    shape: tuple[int, ...], rng: np.random.Generator, noise: StereoNoise
) -> NDArray[np.bool_]:
    """(H, W) random elliptical holes."""
    height, width = shape
    canvas = np.zeros(shape, np.uint8)
    for _ in range(rng.poisson(noise.holes * height * width / 1e4)):
        centre = (rng.uniform(0, width), rng.uniform(0, height))
        axes = rng.uniform(*noise.hole_radius, 2)
        cv2.ellipse(canvas, (centre, tuple(2 * axes), rng.uniform(0, 180)), 1, -1)
    return canvas.astype(bool)
