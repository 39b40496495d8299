"""A drawn dataset: three boxes on a floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(120, 100, 200.0, 200.0, 60.0, 50.0)


def make_dataset(path: Path, frames: int = 30, labelled: bool = True) -> Dataset:
    """Frames of three boxes on a floor, at places that differ."""
    info = DatasetInfo('box', CAMERA, 'drawn', instances=3)
    rng = np.random.default_rng(0)
    with DatasetWriter(path, info) as writer:
        for _ in range(frames):
            depth = np.full((100, 120), 500, np.uint16)
            labels = np.zeros((100, 120), np.uint8)
            for k in range(3):
                y, x = rng.integers(5, 75), 5 + 38 * k + rng.integers(0, 10)
                depth[y : y + 16, x : x + 20] -= np.uint16(rng.integers(20, 40))
                labels[y : y + 16, x : x + 20] = k + 1
            writer.append(depth, labels if labelled else None)
    return Dataset(path)
