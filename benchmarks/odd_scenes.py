"""Scenes that the methods do not assume: several sizes, boxes, a hidden floor, too much tilt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insegan_ros.depth_camera import D435, D435_NOISE
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.types import DepthFrame, Intrinsics


def several_sizes(seed: int) -> DepthFrame:
    """Boxes and balls of 20 to 250 mm on a table."""
    rng = np.random.default_rng(seed)
    heights = np.zeros((D435.height, D435.width))
    for _ in range(rng.integers(8, 20)):
        size = np.exp(rng.uniform(np.log(0.02), np.log(0.25)))
        half = size * rng.uniform(0.3, 1, 3) / 2
        u, v = _along(rng, *half[:2])
        if rng.random() < 0.5:
            body = np.where((abs(u) < 1) & (abs(v) < 1), 2 * half[2], 0)
        else:
            body = half[2] * (1 + np.sqrt(np.clip(1 - u**2 - v**2, 0, None))) * (u**2 + v**2 < 1)
        heights = np.maximum(heights, np.minimum(body, 0.2))
    return seen(heights, rng, D435)


def large_boxes(seed: int) -> DepthFrame:
    """A floor with boxes of 150 x 100 x 50 mm, some in two layers."""
    rng = np.random.default_rng(seed)
    heights = np.zeros((D435.height, D435.width))
    for _ in range(14):
        u, v = _along(rng, 0.075, 0.05)
        layers = 0.05 * rng.integers(1, 3)
        heights = np.maximum(heights, np.where((abs(u) < 1) & (abs(v) < 1), layers, 0))
    return seen(heights, rng, D435)


def _along(rng: np.random.Generator, a: float, b: float) -> tuple[NDArray, NDArray]:
    """Two coordinates of all pixels along a body's sides somewhere, -1 to 1 within a, b metres."""
    rows, columns = np.mgrid[: D435.height, : D435.width]
    turn, px = rng.uniform(0, np.pi), D435.fx / 0.6
    x, y = columns - rng.uniform(150, 700), rows - rng.uniform(100, 380)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return u / px / a, v / px / b


def seen(
    heights: NDArray[np.floating], rng: np.random.Generator, camera: Intrinsics
) -> DepthFrame:
    """A D435 0.6 m above a table with these heights."""
    depth = add_noise((0.6 - heights).astype(np.float32), camera, rng, noise=D435_NOISE)
    return DepthFrame(np.asarray(depth, np.float32), camera)


def hidden_floor(seed: int, part: str = 'stopper') -> DepthFrame:
    """A bin filled to the brim, and nothing beside it in the image."""
    config = SceneConfig(part=part, instances=(22, 22), bin_width=2.3, size=112)
    return make_scene(config, (seed, 1)).frame


def tilted(seed: int, part: str = 'stopper', degrees: float = 40.0) -> DepthFrame:
    """A bin seen from farther aside than is supported."""
    config = SceneConfig(part=part, camera='d435', tilt_degrees=degrees)
    return make_scene(config, (seed, 2)).frame
