"""`insegan train --method insegan3d | insegan2d`: the published model (InSeGAN, ICCV 2021).

The run's folder:

    <out>/config.yaml     all settings, resolved      run.yaml     seed, dataset, versions, machine
          train.npz, val.npz    what the networks see of the dataset
          checkpoint.pt   where the same command goes on
          tensorboard/    losses, figures, pictures
          picture.png     rows: real held-out frames; re-rendered; segmented; their instances one
                          by one; generated
          model/          the best so far by the re-rendering error on held-out frames
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import (
    Frames,
    cached_crops,
    crop_frames,
    measure_crop,
)
from insegan_ros.data.store import Dataset, DatasetError, Sample
from insegan_ros.device import pick_device
from insegan_ros.learn.insegan_run import Run, Validation
from insegan_ros.learn.insegan_settings import (
    DataConfig,
    TrainingConfig,
    claim,
    resolve,
)
from insegan_ros.model.insegan import InSeGAN
from insegan_ros.training import distributed
from insegan_ros.training.loop import Hooks, run_loop
from insegan_ros.training.step import Trainer

LABELLED_FRAMES = 30  # validation frames whose labels, if any, are reported beside


def run(args: argparse.Namespace) -> int:
    """Uses args.dataset, out, method, config, set, max_minutes, seed and device.

    Raises:
        ValueError: settings, a dataset or a run's folder that do not fit; the message says which.
    """
    dataset = Dataset(args.dataset)
    if len(dataset) == 0:
        raise DatasetError(f'{args.dataset} has no frames; collect or generate some')
    settings = resolve(args, dataset)
    device = pick_device(args.device)
    group, device = distributed.join(device)
    try:
        torch.backends.cudnn.benchmark = True
        return train(dataset, Path(args.out), settings, args, device, group)
    finally:
        distributed.leave(group)


def train(
    dataset: Dataset,
    out: Path,
    settings: TrainingConfig,
    args: argparse.Namespace,
    device: str,
    group: distributed.Group,
) -> int:
    """Train until the configured iterations or minutes are over; the exit code."""
    if group.leads:
        claim(out, settings, dataset, args.seed)
    training, held_out = split(dataset, settings.data, args.seed)
    crop = measure_crop(dataset, training, settings.model.image_size, args.seed)
    cache = out if group.leads else None
    images = load_crops(dataset, training, crop, args.seed, cache, 'train')
    unseen = load_crops(dataset, held_out, crop, args.seed, cache, 'val')
    frames = Frames(images, settings.data.augment, device)
    validation = Validation(
        torch.from_numpy(unseen.astype(np.float32)), labelled(dataset, held_out)
    )
    precision = pick_precision(settings.precision, device)
    torch.manual_seed(args.seed)
    trainer = Trainer(InSeGAN(settings.model).to(device), settings.step, precision, group)
    run = Run(out, settings, dataset, crop, trainer, validation, args.seed, frames, device)
    if (out / 'checkpoint.pt').exists():
        run.resume()
    limit = args.max_minutes * 60 if args.max_minutes else float('inf')
    hooks = Hooks(run.save, run.validate, run.draw, run.tell)
    done = trainer.steps
    if group.leads:
        print(
            f'{len(frames)} frames to learn from, {len(held_out)} held out; {device}, '
            f'{str(precision).removeprefix("torch.")}; {done} of {settings.loop.iterations} '
            'iterations done',
            flush=True,
        )
        run.open_bar()
    try:
        ending = run_loop(run.step, done, settings.loop, hooks, limit, group)
    except FloatingPointError as error:
        raise ValueError(
            f'{error}; training stopped, the last good state is {out / "checkpoint.pt"}. '
            'Lower step.learning_rate, or set precision=float32, and run the same command'
        ) from None
    finally:
        run.close()
    if group.leads:
        print(f'{ending}: {trainer.steps} of {settings.loop.iterations} iterations in {out}')
        if ending != 'finished':
            print('the same command goes on')
    return 130 if ending == 'interrupted' else 0


def split(dataset: Dataset, data: DataConfig, seed: int) -> tuple[list[int], list[int]]:
    """Frames to learn from and frames held out; the dataset's own splits where it has them."""
    names = dataset.splits()
    if 'train' in names and 'val' in names:
        training, held_out = dataset.split('train'), dataset.split('val')
    else:
        order = np.random.default_rng(seed).permutation(dataset.indices).tolist()
        count = min(data.validation, max(1, len(order) // 10))
        held_out, training = sorted(order[:count]), sorted(order[count:])
    if not training or not held_out:
        raise DatasetError(f'{dataset.path}: {len(dataset)} frames are too few to learn from')
    return training[: data.limit], held_out


def load_crops(
    dataset: Dataset,
    indices: list[int],
    crop: CropConfig,
    seed: int,
    cache: Path | None,
    name: str,
) -> NDArray[np.float16]:
    """What the networks see of these frames; kept in a file of the folder `cache`."""

    def make() -> NDArray[np.float16]:
        with tqdm(total=len(indices), desc=name, unit='frame', disable=cache is None) as bar:
            return crop_frames(dataset, indices, crop, seed, bar.update)

    if cache is None:
        return make()
    key = f'{dataset.content_hash()} {crop} {seed} {len(indices)}'
    return cached_crops(cache / f'{name}.npz', make, key)


def labelled(dataset: Dataset, held_out: list[int]) -> list[Sample]:
    """Those of the first held-out frames that have labels; they are only evaluated with."""
    samples = [dataset[index] for index in held_out[:LABELLED_FRAMES]]
    return [sample for sample in samples if sample.labels is not None]


def pick_precision(name: str, device: str) -> torch.dtype:
    """bfloat16 is fast on GPUs, and on processors that have it in hardware."""
    if name == 'auto':
        fast = device.startswith('cuda') or torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return {'float32': torch.float32, 'bfloat16': torch.bfloat16}[name]
