"""Depth frames as a network sees them: crops of the bin, normalised, augmented by batch."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros.bin_finding import find_bin
from insegan_ros.bin_tracker import BinTracker
from insegan_ros.camera import height_map
from insegan_ros.crop import BinCrop, CropConfig, floor_side
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.parts_bin import DEFAULT, FindingConfig, foreground

MEASURED_FRAMES = 24  # looked at to choose the crop
MARGIN = 1.06  # of the bin's floor: parts that lean on a wall reach over it


@dataclass(frozen=True)
class AugmentConfig:
    """How real images are varied; a bin's contents look as likely after each of these."""

    quarter_turns: bool = True
    flips: bool = False  # mirrors the parts too
    rotation_degrees: float = 0.0  # at most, either way


def measure_crop(
    dataset: Dataset,
    indices: Sequence[int],
    size: int,
    *,
    seed: int,
    coding: Literal['linear', 'gap'] = 'linear',
    finding: FindingConfig = DEFAULT,
) -> CropConfig:
    """A square that holds the bin's floor, and the height that nearly nothing exceeds.

    Raises:
        DatasetError: in no frame are a bin's floor and a part found.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.asarray(indices))[:MEASURED_FRAMES]
    sides, tops = [], []
    for index in chosen:
        frame = dataset[int(index)].frame
        try:
            parts_bin = find_bin(frame, rng, config=finding)
        except FloorNotFoundError:
            continue
        heights = height_map(frame, parts_bin.floor)[foreground(frame, parts_bin)]
        if len(heights):
            sides.append(floor_side(frame, parts_bin))
            tops.append(float(np.percentile(heights, 99.9)))
    if not sides:
        raise DatasetError(
            f'{dataset.path}: no frame of {len(chosen)} shows parts in a bin; look at one with '
            '`insegan calibrate --picture`'
        )
    side, top = float(np.median(sides)) * MARGIN, float(np.percentile(tops, 90)) * 1.1
    return CropConfig(round(side, 4), round(top, 4), size, coding, finding)


def crop_frames(
    dataset: Dataset,
    indices: Sequence[int],
    crop: CropConfig,
    *,
    seed: int,
    progress: Callable[[int], object] = lambda _: None,
) -> NDArray[np.float16]:
    """(N, S, S) crops; a frame that shows no bin is left out.

    Raises:
        DatasetError: a frame is damaged, or none shows a bin.
    """
    tracker = BinTracker(seed=seed, config=crop.finding)
    images = []
    for index in indices:
        frame = dataset[index].frame
        with contextlib.suppress(FloorNotFoundError):
            images.append(BinCrop.of(frame, tracker(frame), crop).image.astype(np.float16))
        progress(1)
    if not images:
        raise DatasetError(f'{dataset.path}: none of {len(indices)} frames shows a bin')
    return np.stack(images)


def cached_crops(
    cache: Path, make: Callable[[], NDArray[np.float16]], key: str
) -> NDArray[np.float16]:
    """What `make` returned under the same key before, or now; a damaged cache is made anew."""
    try:
        with np.load(cache) as stored:
            if str(stored['key']) == key:
                return stored['images']
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        pass
    images = make()
    temporary = cache.with_name(f'.{cache.name}.tmp')
    with open(temporary, 'wb') as file:
        np.savez(file, images=images, key=np.asarray(key))
    temporary.replace(cache)
    return images


class Frames:
    """Crops in a device's memory; batches are drawn and augmented there."""

    def __init__(
        self, images: NDArray[np.float16], augment: AugmentConfig, device: torch.device | str
    ) -> None:
        self._images = torch.from_numpy(images).to(device)[:, None]  # (N, 1, S, S)
        self._augment = augment

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, size: int, rng: np.random.Generator) -> Tensor:
        """(B, 1, S, S) float32 in [-1, 1]; the same from the same state of `rng`."""
        chosen = torch.from_numpy(rng.integers(len(self), size=size))
        images = self._images[chosen.to(self._images.device)].float()
        return augmented(images, self._augment, rng)


def augmented(images: Tensor, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """(B, 1, S, S) -> the same shape, each image varied by itself."""
    count = len(images)
    turns = rng.integers(4, size=count) if config.quarter_turns else np.zeros(count)
    limit = math.radians(config.rotation_degrees)
    angles = turns * (math.pi / 2) + rng.uniform(-limit, limit, size=count)
    mirror = rng.choice([-1.0, 1.0], size=count) if config.flips else np.ones(count)
    c, s = np.cos(angles), np.sin(angles)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = c * mirror, -s
    theta[:, 1, 0], theta[:, 1, 1] = s * mirror, c
    exact = limit == 0  # quarter turns and flips move whole pixels
    grid = F.affine_grid(
        torch.from_numpy(theta).to(images.device), list(images.shape), align_corners=False
    )
    # + 1: what flows in from outside is the floor
    mode = 'nearest' if exact else 'bilinear'
    return F.grid_sample(images + 1, grid, mode=mode, align_corners=False) - 1
