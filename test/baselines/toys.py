"""Images small enough to learn from within seconds, with their true labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def discs(count: int, size: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two discs of different heights that never touch: (B, 1, S, S) coded crops, (B, S, S)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    radius = size / 6
    images = np.full((count, size, size), -1.0, np.float32)
    labels = np.zeros((count, size, size), np.int64)
    for image, label in zip(images, labels):
        while True:
            centres = rng.uniform(radius, size - 1 - radius, (2, 2))
            if np.linalg.norm(centres[0] - centres[1]) > 2.4 * radius:
                break
        for k, (u, v) in enumerate(centres, 1):
            inside = (x - u) ** 2 + (y - v) ** 2 < radius**2
            image[inside], label[inside] = rng.uniform(0.1, 0.9), k
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels)


def sticks(count: int, size: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The same flat stick twice, turned and moved, one on each side: coded crops and labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    images = np.full((count, size, size), -1.0, np.float32)
    labels = np.zeros((count, size, size), np.int64)
    for image, label in zip(images, labels):
        for k, middle in enumerate((-size / 4, size / 4), 1):
            u, v = middle + rng.uniform(-1, 1), rng.uniform(-size / 4, size / 4)
            c, s = np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)
            along, across = c * (x - u) + s * (y - v), -s * (x - u) + c * (y - v)
            inside = (abs(along) < size / 5) & (abs(across) < size / 16) & (label == 0)
            image[inside], label[inside] = 0.4, k
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels)
