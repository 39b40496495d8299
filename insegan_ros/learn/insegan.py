"""`insegan train --method insegan3d | insegan2d`: the published model (InSeGAN, ICCV 2021).

The run's folder:

    <out>/config.yaml     all settings, resolved      run.yaml     seed, dataset, versions, machine
          train.npz, val.npz    what the networks see of the dataset
          checkpoint.pt   where the same command goes on
          tensorboard/    losses, figures, pictures
          picture.png     rows: real held-out frames; re-rendered; segmented; their instances one
                          by one; generated; the generated ones' instances
          model/          the best so far by the re-rendering error on held-out frames
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import Frames, cached_crops, crop_frames, measure_crop
from insegan_ros.data.store import Dataset, DatasetError, Sample
from insegan_ros.learn.config import DataConfig
from insegan_ros.learn.insegan_run import InSeGANRun
from insegan_ros.learn.insegan_start import InSeGANStart
from insegan_ros.learn.run_folder import Job, claim
from insegan_ros.learn.training_run import TrainingRun, Validation
from insegan_ros.model.insegan import InSeGAN
from insegan_ros.training import distributed
from insegan_ros.training.distributed import ALONE
from insegan_ros.training.loop import Hooks, run_loop
from insegan_ros.training.step import Trainer

LABELLED_FRAMES = 30  # validation frames whose labels, if any, are reported beside


def train(job: Job) -> int:
    """Train, or go on; 0, or 130 after an interrupt.

    Raises:
        ValueError: a dataset or a run's folder that does not fit; the message says why.
    """
    group, device = distributed.join(job.device)
    try:
        torch.backends.cudnn.benchmark = True
        with claim(job) if group.leads else nullcontext():
            return learn_in_group(replace(job, device=device), group)
    finally:
        distributed.leave(group)


def describe(job: Job) -> str:
    """The plan, with its times."""
    loop, seconds = job.config.loop, job.config.seconds
    limit = f'at most {seconds / 60:.1f} min' if seconds < float('inf') else 'no time limit'
    done = 'begun' if (job.out / 'checkpoint.pt').exists() else 'not begun'
    return f'training     {loop.iterations} iterations, {limit} a call, {done}'


def learn_in_group(job: Job, group: distributed.Group) -> int:
    """In this process, of one or several."""
    settings, dataset = job.config, job.dataset
    training, held_out = split(dataset, settings.data, job.seed)
    start = InSeGANStart.find(settings.start, settings.method)
    crop = _measured(job, training) if start is None else start.settings.crop
    cache = job.out if group.leads else None
    images = load_crops(dataset, training, crop, seed=job.seed, cache=cache, name='train')
    unseen = load_crops(dataset, held_out, crop, seed=job.seed, cache=cache, name='val')
    frames = Frames(images, settings.data.augment, job.device)
    validation = Validation(
        torch.from_numpy(unseen.astype(np.float32)), labelled(dataset, held_out)
    )
    precision = pick_precision(settings.precision, job.device)
    torch.manual_seed(job.seed)
    trainer = Trainer(
        InSeGAN(settings.model).to(job.device), settings.step, precision, group=group
    )
    process = InSeGANRun(job, crop, trainer, start=start, validation=validation, frames=frames)
    resumed = process.resume()
    if start is not None and not resumed:
        trainer.begin_with(start.weights)
    if group.leads:
        print(
            f'{len(frames)} frames to learn from, {len(held_out)} held out; {job.device}, '
            f'{str(precision).removeprefix("torch.")}; {process.done} of '
            f'{settings.loop.iterations} iterations done',
            flush=True,
        )
        process.open()
        if start is not None and not resumed:
            process.validate(0)  # what it begins with is the first best
    return carry_on(job, process, group)


def carry_on(job: Job, process: TrainingRun, group: distributed.Group = ALONE) -> int:
    """The loop, and what is said of its end."""
    settings, out = job.config, job.out
    hooks = Hooks(process.save, process.validate, process.draw, process.tell)
    try:
        ending = run_loop(
            process.step,
            process.done,
            settings.loop,
            hooks=hooks,
            seconds=settings.seconds,
            group=group,
        )
    except FloatingPointError as error:
        rate = 'step' if isinstance(process, InSeGANRun) else 'baseline.step'
        raise ValueError(
            f'{error}; training stopped, the last good state is {out / "checkpoint.pt"}. '
            f'Lower {rate}.learning_rate, or set precision=float32, and run the same command'
        ) from None
    finally:
        process.close()
    if group.leads:
        if isinstance(process, InSeGANRun):
            print(process.verdict())
        print(f'{ending}: {process.done} of {settings.loop.iterations} iterations in {out}')
        if ending != 'finished':
            print('the same command goes on')
    return 130 if ending == 'interrupted' else 0


def _measured(job: Job, training: list[int]) -> CropConfig:
    size, coding = job.config.model.image_size, job.config.data.coding
    finding = job.config.finding
    return measure_crop(job.dataset, training, size, seed=job.seed, coding=coding, finding=finding)


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
    *,
    seed: int,
    cache: Path | None,
    name: str,
) -> NDArray[np.float16]:
    """What the networks see of these frames; kept in a file of the folder `cache`."""

    def make() -> NDArray[np.float16]:
        with tqdm(total=len(indices), desc=name, unit='frame', disable=cache is None) as bar:
            return crop_frames(dataset, indices, crop, seed=seed, progress=bar.update)

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
