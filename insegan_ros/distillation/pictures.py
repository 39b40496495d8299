"""What a stage of training did, as a picture that a person can judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SCALE = 2  # picture px an image px


def heights_picture(heights: NDArray[np.float32], top_m: float) -> NDArray[np.uint8]:
    """(H, W) metres -> (H, W, 3) BGR, black where unmeasured, bright where `top_m` high."""
    scaled = np.clip(np.nan_to_num(heights) / top_m, 0, 1)
    picture = cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    picture[~np.isfinite(heights)] = 0
    return np.asarray(picture, np.uint8)


def labels_picture(
    heights: NDArray[np.float32], labels: NDArray[np.integer], top_m: float
) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: each instance in its own hue, shaded by its height."""
    hues = (np.arange(256) * 47 % 180).astype(np.uint8)
    shade = np.clip(np.nan_to_num(heights) / top_m, 0, 1)
    shade = (110 + 145 * shade).astype(np.uint8)
    full = np.full(labels.shape, 200, np.uint8)
    colours = cv2.cvtColor(np.stack([hues[labels % 256], full, shade], -1), cv2.COLOR_HSV2BGR)
    grey = np.repeat((shade // 4)[..., None], 3, axis=2)
    return np.where((labels > 0)[..., None], colours, grey).astype(np.uint8)


def save_rows(path: Path, rows: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
    """Equal pictures in rows, enlarged."""
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    size = (sheet.shape[1] * SCALE, sheet.shape[0] * SCALE)
    enlarged = cv2.resize(sheet, size, interpolation=cv2.INTER_NEAREST)
    done, encoded = cv2.imencode('.png', enlarged)
    if not done:
        raise ValueError(f'a {sheet.shape} picture cannot be written')
    path.write_bytes(encoded.tobytes())
