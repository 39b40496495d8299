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

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from insegan_ros import config
from insegan_ros.baselines.learned.methods import METHODS
from insegan_ros.bin import BinTracker
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import Frames, measure_crop
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.device import pick_device
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.learn.baseline_run import BaselineRun, Course
from insegan_ros.learn.insegan import labelled, load_crops, pick_precision, split
from insegan_ros.learn.insegan_run import Validation
from insegan_ros.learn.insegan_settings import DataConfig, claim
from insegan_ros.training.descent import DescentConfig
from insegan_ros.training.loop import Hooks, LoopConfig, run_loop

LOOKED_AT = 8  # frames that tell how high the camera is


@dataclass(frozen=True)
class BaselineConfig:
    """All settings of a run; `--config` and `--set` override them."""

    model: dict = field(default_factory=dict)  # sizes of the method's network
    step: DescentConfig = field(default_factory=DescentConfig)
    course: Course = field(default_factory=Course)
    loop: LoopConfig = field(default_factory=LoopConfig)
    data: DataConfig = field(default_factory=DataConfig)
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto'  # auto: bfloat16 where it is fast


def run(args: argparse.Namespace) -> int:
    """Uses args.dataset, out, method, config, set, max_minutes, seed and device.

    Raises:
        ValueError: settings, a dataset or a run's folder that do not fit; the message says which.
    """
    dataset, out = Dataset(args.dataset), Path(args.out)
    if len(dataset) == 0:
        raise DatasetError(f'{args.dataset} has no frames; collect or generate some')
    device = pick_device(args.device)
    settings = load_settings(args.method, args.config or [], args.set or [])
    training, held_out = split(dataset, settings.data, args.seed)
    size = int(settings.model.get('image_size', default_size(args.method)))
    crop = measure_crop(dataset, training, size, args.seed, 'gap')
    settings = fill_in(settings, args.method, dataset, crop, args.seed)
    claim(out, settings, dataset, args.seed)
    images = load_crops(dataset, training, crop, args.seed, out, 'train')
    unseen = load_crops(dataset, held_out, crop, args.seed, out, 'val')
    run = BaselineRun(
        out,
        args.method,
        settings.model,
        settings.step,
        settings.course,
        frames=Frames(images, settings.data.augment, device),
        validation=Validation(
            torch.from_numpy(unseen.astype(np.float32)), labelled(dataset, held_out)
        ),
        dataset=dataset,
        crop=crop,
        seed=args.seed,
        device=device,
        precision=pick_precision(settings.precision, device),
    )
    return carry_out(run, settings.loop, args.max_minutes)


def carry_out(run: BaselineRun, loop: LoopConfig, minutes: float | None) -> int:
    """The loop around the run, its bar, and what is told at the end."""
    run.resume()
    run.open(loop.iterations)
    hooks = Hooks(run.save, run.validate, run.draw, run.tell)
    limit = minutes * 60 if minutes else float('inf')
    try:
        ending = run_loop(run.step, run.done, loop, hooks, limit)
    except FloatingPointError as error:
        raise ValueError(
            f'{error}; training stopped. Lower step.learning_rate, or set precision=float32'
        ) from None
    finally:
        run.close()
    print(f'{ending}: {run.done} of {loop.iterations} iterations in {run.out}')
    if ending != 'finished':
        print('the same command goes on')
    return 130 if ending == 'interrupted' else 0


def load_settings(method: str, files: list[Path], overrides: list[str]) -> BaselineConfig:
    """Raises: ConfigError, for unknown keys or values, of the network's sizes too."""
    told = METHODS[method]
    base: Mapping[str, Any] = {'step': told.training, 'course': told.course}
    settings = config.load(BaselineConfig, files, overrides, base)
    config.from_mapping(told.sizes, settings.model, 'model.')
    return settings


def default_size(method: str) -> int:
    return int(METHODS[method].sizes().image_size)


def fill_in(
    settings: BaselineConfig, method: str, dataset: Dataset, crop: CropConfig, seed: int
) -> BaselineConfig:
    """The sizes in full, with what dataset and crop know.

    Raises:
        DatasetError: the number of parts varies or is another than that of the settings.
    """
    sizes: dict[str, Any] = dict(settings.model)
    count = dataset.info.instances
    if count is None and 'instances' not in sizes:
        raise DatasetError(
            f'{dataset.path}: the number of parts in a frame varies or is unknown, and {method} '
            'needs it; set it: --set model.instances=5'
        )
    sizes.setdefault('instances', count)
    if count not in (None, sizes['instances']) and not settings.data.allow_other_count:
        raise DatasetError(
            f'{dataset.path} has {count} parts in a frame and model.instances is '
            f'{sizes["instances"]}; leave it out, or set data.allow_other_count=true'
        )
    if method == 'wu':
        half = crop.side_m / 2
        sizes.setdefault('camera', round(camera_height(dataset, seed) / half, 4))
        sizes.setdefault('height', round(crop.height_m / half, 4))
    whole: Any = config.from_mapping(METHODS[method].sizes, sizes, 'model.')
    named = {f.name: getattr(whole, f.name) for f in fields(METHODS[method].sizes)}
    kept = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return BaselineConfig(**{**kept, 'model': named})


def camera_height(dataset: Dataset, seed: int) -> float:
    """Metres above the bin's floor: the median over some frames."""
    found = []
    tracker = BinTracker(seed=seed)
    for index in dataset.indices[:LOOKED_AT]:
        try:
            found.append(tracker(dataset[index].frame).floor.offset)
        except FloorNotFoundError:
            continue
    if not found:
        raise DatasetError(f'{dataset.path}: no bin is found in the first {LOOKED_AT} frames')
    return float(np.median(found))
