"""`insegan train --method slot_attention | bo_qsa | iodine | wu`: the learned baselines.

The run's folder:

    <out>/config.yaml     all settings, resolved      run.yaml     seed, dataset, versions, machine
          train.npz, val.npz    what the network sees of the dataset
          checkpoint.pt   where the same command goes on
          tensorboard/    losses
          picture.png     held-out frames, and how they are segmented
          model/          the best so far by its own loss on held-out frames
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from insegan_ros.baselines.learned.registry import METHODS
from insegan_ros.bin_tracker import BinTracker
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import Frames, measure_crop
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.learn.baseline_run import BaselineRun
from insegan_ros.learn.insegan import (
    carry_on,
    describe,
    labelled,
    load_crops,
    pick_precision,
    split,
)
from insegan_ros.learn.run_folder import Job, claim
from insegan_ros.learn.training_run import Validation
from insegan_ros.parts_bin import FindingConfig

__all__ = ['describe', 'train']

LOOKED_AT = 8  # frames that show how high the camera is


def train(job: Job) -> int:
    """Train, or go on; 0, or 130 after an interrupt.

    Raises:
        ValueError: a dataset or a run's folder that does not fit; the message says why.
    """
    with claim(job):
        return train_claimed(job)


def train_claimed(job: Job) -> int:
    """In a folder that is this process's own."""
    settings, dataset, seed = job.config, job.dataset, job.seed
    training, held_out = split(dataset, settings.data, seed)
    size = int(settings.baseline.model['image_size'])
    crop = measure_crop(dataset, training, size, seed=seed, coding='gap', finding=settings.finding)
    images = load_crops(dataset, training, crop, seed=seed, cache=job.out, name='train')
    unseen = load_crops(dataset, held_out, crop, seed=seed, cache=job.out, name='val')
    run = BaselineRun(
        job,
        crop,
        sizes_of(job, crop),
        frames=Frames(images, settings.data.augment, job.device),
        validation=Validation(
            torch.from_numpy(unseen.astype(np.float32)), labelled(dataset, held_out)
        ),
        precision=pick_precision(settings.precision, job.device),
    )
    run.resume()
    run.open()
    return carry_on(job, run)


def sizes_of(job: Job, crop: CropConfig) -> dict[str, Any]:
    """The network's sizes; Wu's also know how high camera and parts are, in halves of the crop."""
    sizes: dict[str, Any] = dict(job.config.baseline.model)
    if METHODS[job.config.method].geometric:
        half = crop.side_m / 2
        sizes['camera'] = round(camera_height(job.dataset, job.seed, job.config.finding) / half, 4)
        sizes['height'] = round(crop.height_m / half, 4)
    return sizes


def camera_height(dataset: Dataset, seed: int, finding: FindingConfig) -> float:
    """Metres above the bin's floor: the median over some frames."""
    found = []
    tracker = BinTracker(seed=seed, config=finding)
    for index in dataset.indices[:LOOKED_AT]:
        try:
            found.append(tracker(dataset[index].frame).floor.offset)
        except FloorNotFoundError:
            continue
    if not found:
        raise DatasetError(f'{dataset.path}: no bin is found in the first {LOOKED_AT} frames')
    return float(np.median(found))
