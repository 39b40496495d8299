"""A stored dataset of three small frames, for the tests of reading and of writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(12, 8, 10.0, 10.0, 6.0, 4.0)
INFO = DatasetInfo(part='nut', intrinsics=CAMERA, source='test', floor=(0.0, 0.0, -1.0, 0.5))


def depth_image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, (8, 12)).astype(np.uint16)


def store_nuts(folder: Path) -> Path:
    with DatasetWriter(folder, INFO) as writer:
        for seed in range(3):
            writer.append(
                depth_image(seed),
                labels=(depth_image(seed) % 4).astype(np.uint8),
                poses=np.tile(np.eye(4, dtype=np.float32), (3, 1, 1)),
                record={'stamp_ns': seed},
            )
    return folder


def problems(folder: Path) -> list[str]:
    return [problem for found in Dataset(folder).verify() for problem in found]
