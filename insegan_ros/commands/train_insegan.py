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
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter
from tqdm import tqdm

from insegan_ros import __version__, config, drawing
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import (
    AugmentConfig,
    Frames,
    cached_crops,
    crop_frames,
    measure_crop,
)
from insegan_ros.data.store import Dataset, DatasetError, Sample
from insegan_ros.evaluation.metrics import paper_miou, strict_miou
from insegan_ros.inference import model_card, segmenter
from insegan_ros.inference.segmenter import FilterConfig, InSeGANCard, InSeGANNetworks
from insegan_ros.model.insegan import InSeGAN, InSeGANConfig
from insegan_ros.training import checkpoint, distributed
from insegan_ros.training.loop import Hooks, LoopConfig, run_loop
from insegan_ros.training.step import StepConfig, Trainer

KINDS: dict[str, Literal['3d', '2d']] = {'insegan3d': '3d', 'insegan2d': '2d'}
SHOWN = 8  # frames in a picture
LABELLED_FRAMES = 30  # validation frames whose labels, if any, are reported beside
FREE = ('loop', 'precision')  # settings that a resumed run may change


@dataclass(frozen=True)
class DataConfig:
    """What of the dataset is learned from."""

    validation: int = 100  # frames held out where the dataset has no val split
    limit: int | None = None  # at most so many training frames (paper Fig. 4a)
    allow_other_count: bool = False  # a model of another number of instances (paper Fig. 4b)
    threshold_from: Literal['foreground', 'labels'] = 'foreground'  # labels: the paper's way
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of a run; `--config` and `--set` override them."""

    model: InSeGANConfig = field(default_factory=InSeGANConfig)
    step: StepConfig = field(default_factory=StepConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    data: DataConfig = field(default_factory=DataConfig)
    filters: FilterConfig = field(default_factory=FilterConfig)  # the threshold is chosen
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto'  # auto: bfloat16 where it is fast


def run(args: argparse.Namespace) -> int:
    """Uses args.dataset, out, method, config, set, max_minutes, seed and device.

    Raises:
        ValueError: settings, a dataset or a run's folder that do not fit; the message says which.
    """
    dataset = Dataset(args.dataset)
    if len(dataset) == 0:
        raise DatasetError(f'{args.dataset} has no frames; collect or generate some')
    settings = resolve(args, dataset)
    device = model_card.pick_device(args.device)
    group, device = distributed.join(device)
    try:
        torch.backends.cudnn.benchmark = True
        return train(dataset, Path(args.out), settings, args, device, group)
    finally:
        distributed.leave(group)


def resolve(args: argparse.Namespace, dataset: Dataset) -> TrainingConfig:
    """The settings of a run; the method and the dataset fill in what they know.

    Raises:
        ConfigError: unknown keys or values; DatasetError: the number of instances does not fit.
    """
    files, overrides = args.config or [], args.set or []
    settings = config.load(TrainingConfig, files, overrides)
    model = replace(settings.model, kind=KINDS[args.method])
    given = any('instances' in text for text in overrides) or any(
        'instances' in (yaml.safe_load(Path(f).read_text()) or {}).get('model', {}) for f in files
    )
    count = dataset.info.instances
    if count is None and not given:
        raise DatasetError(
            f'{dataset.path}: the number of parts in a frame varies or is unknown, and InSeGAN '
            'needs it; set it: --set model.instances=5'
        )
    if count is not None and not given:
        model = replace(model, instances=count)
    elif count not in (None, model.instances) and not settings.data.allow_other_count:
        raise DatasetError(
            f'{dataset.path} has {count} parts in a frame and model.instances is '
            f'{model.instances}; leave it out, or set data.allow_other_count=true'
        )
    return replace(settings, model=model)


def train(
    dataset: Dataset,
    out: Path,
    settings: TrainingConfig,
    args: argparse.Namespace,
    device: str,
    group: distributed.Group,
) -> int:
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


def claim(out: Path, settings: TrainingConfig, dataset: Dataset, seed: int) -> None:
    """Write what the run is made of; refuse a folder that holds another run.

    Raises:
        ValueError: the folder's run has other settings, data or seed; the message lists them.
    """
    out.mkdir(parents=True, exist_ok=True)
    described = {
        'dataset': str(dataset.path.resolve()),
        'dataset_hash': dataset.content_hash(),
        'part': dataset.info.part,
        'seed': seed,
        'insegan_ros': __version__,
        'git_revision': git_revision(),
        'torch': str(torch.__version__),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores',
        'command': ' '.join(sys.argv),
    }
    if (out / 'run.yaml').exists():
        before = yaml.safe_load((out / 'run.yaml').read_text())
        theirs = _flat(yaml.safe_load((out / 'config.yaml').read_text()))
        ours = _flat(yaml.safe_load(config.dump(settings)))
        differ = [
            f'{key} was {theirs.get(key)}, is {ours.get(key)}'
            for key in sorted(theirs.keys() | ours.keys())
            if key.split('.')[0] not in FREE and theirs.get(key) != ours.get(key)
        ]
        differ += [
            f'{key} was {before.get(key)}, is {described[key]}'
            for key in ('dataset_hash', 'seed')
            if before.get(key) != described[key]
        ]
        if differ:
            raise ValueError(
                f'{out} holds another run: {"; ".join(differ)}. Choose another --out, or the '
                'settings it was begun with'
            )
        described = before
    model_card.write_atomically(out / 'config.yaml', config.dump(settings).encode())
    run = yaml.safe_dump(described, sort_keys=False)
    model_card.write_atomically(out / 'run.yaml', run.encode())


def _flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping)
        flat.update(_flat(value, f'{prefix}{key}.') if nested else {prefix + key: value})
    return flat


def git_revision() -> str | None:
    """Of the sources, with a + where they were changed; None for an installed package."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ['git', *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
        ).stdout.strip()

    try:
        revision = git('rev-parse', 'HEAD')
        return f'{revision}{"+" if git("status", "--porcelain") else ""}' if revision else None
    except OSError:
        return None


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
    samples = [dataset[index] for index in held_out[:LABELLED_FRAMES]]
    return [sample for sample in samples if sample.labels is not None]


def pick_precision(name: str, device: str) -> torch.dtype:
    """bfloat16 is fast on GPUs, and on processors that have it in hardware."""
    if name == 'auto':
        fast = device.startswith('cuda') or torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return {'float32': torch.float32, 'bfloat16': torch.bfloat16}[name]


@dataclass(frozen=True)
class Validation:
    """Held-out frames: their crops, and those that happen to have labels."""

    images: Tensor  # (V, S, S) float32
    labelled: list[Sample]


class Run:
    """One run's state and what the loop calls."""

    def __init__(
        self,
        out: Path,
        settings: TrainingConfig,
        dataset: Dataset,
        crop: CropConfig,
        trainer: Trainer,
        validation: Validation,
        seed: int,
        frames: Frames,
        device: str,
    ) -> None:
        self._out, self._settings, self._dataset, self._crop = out, settings, dataset, crop
        self._trainer, self._validation, self._seed = trainer, validation, seed
        self._frames, self._device = frames, device
        self._best = float('inf')
        self._seconds, self._begun = 0.0, time.monotonic()
        self._bar: tqdm | None = None
        self._board: SummaryWriter | None = None
        self._recent: list[Tensor] = []

    def open_bar(self) -> None:
        done = self._trainer.steps
        total = self._settings.loop.iterations
        self._bar = tqdm(total=total, initial=done, unit='it', desc='train')
        self._board = SummaryWriter(str(self._out / 'tensorboard'), purge_step=done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()

    def step(self, k: int) -> dict[str, Tensor]:
        """Iteration k: what is drawn depends on (seed, k) alone."""
        batch = self._settings.step.batch
        rows = self._trainer.group.share(batch)
        real = self._frames.batch(batch, np.random.default_rng([self._seed, 0, k]))[rows]
        model = self._settings.model
        latents = np.random.default_rng([self._seed, 1, k])
        z = latents.standard_normal((batch, model.instances, model.z_dim), np.float32)[rows]
        return self._trainer.step(real, torch.from_numpy(z).to(self._device))

    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        self._recent.append(torch.stack(list(losses.values())))
        assert self._bar is not None
        assert self._board is not None
        self._bar.update(done - self._bar.n)
        if done % 10 == 0:
            mean = torch.stack(self._recent).mean(dim=0).tolist()
            self._recent = []
            rate = self._bar.format_dict['rate'] or 0.0
            named = {f'L_{name}': value for name, value in zip(losses, mean)}
            shown = {key: f'{value:.3f}' for key, value in named.items()}
            self._bar.set_postfix({**shown, 'img/s': f'{rate * self._settings.step.batch:.0f}'})
            for name, value in named.items():
                self._board.add_scalar(f'loss/{name}', value, done)
            self._board.add_scalar('images_per_second', rate * self._settings.step.batch, done)

    def networks(self) -> InSeGANNetworks:
        """The averaged generator and encoder, those that are judged and kept."""
        networks = InSeGANNetworks(self._settings.model).to(self._device).eval()
        for name, ema in self._trainer.ema.items():
            getattr(networks, name).load_state_dict(ema.network.state_dict())
        return networks

    def validate(self, done: int) -> None:
        """Keep the model if it re-renders held-out real frames better than any before."""
        if not self._trainer.group.leads:
            return
        networks = self.networks()
        alone, again = self._decompose(networks, self._validation.images)
        error_mm = float((again - self._validation.images).abs().mean())
        error_mm *= self._crop.height_m / 2 * 1000
        figures: dict[str, float] = {'rerendering_mm': error_mm}
        filters = self._settings.filters
        threshold = segmenter.choose_threshold(
            alone.numpy(), self._validation.images.numpy(), filters
        )
        card = InSeGANCard(self._settings.model, self._crop, replace(filters, threshold=threshold))
        if self._settings.data.threshold_from == 'labels':
            card = self._threshold_by_labels(networks, card)
        figures.update(self._judge(networks, card))
        assert self._board is not None
        for name, value in figures.items():
            self._board.add_scalar(f'validation/{name}', value, done)
        told = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
        better = error_mm < self._best
        tqdm.write(f'{done} iterations: {told}{" (best so far)" if better else ""}')
        if better:
            self._best = error_mm
            self._write_model(networks, card, done, figures)
        self.save()

    def _decompose(self, networks: InSeGANNetworks, images: Tensor) -> tuple[Tensor, Tensor]:
        alone, again = [], []
        for some in images.split(32):
            a, b = networks.decompose(some[:, None].to(self._device))
            alone.append(a.float().cpu())
            again.append(b.float().cpu())
        return torch.cat(alone), torch.cat(again)

    def _judge(self, networks: InSeGANNetworks, card: InSeGANCard) -> dict[str, float]:
        """Label-dependent figures, reported beside; nothing is chosen by them."""
        if not self._validation.labelled:
            return {}
        segment = segmenter.InSeGANSegmenter(networks, card, seed=self._seed).segment
        pairs = [(segment(s.frame).labels, s.labels) for s in self._validation.labelled]
        known = [(found, true) for found, true in pairs if true is not None]
        return {
            'paper_miou': float(np.nanmean([paper_miou(f, t) for f, t in known])),
            'strict_miou': float(np.nanmean([strict_miou(f, t) for f, t in known])),
        }

    def _threshold_by_labels(self, networks: InSeGANNetworks, card: InSeGANCard) -> InSeGANCard:
        """The paper's protocol: the threshold with the best mIoU on labelled validation frames."""
        if not self._validation.labelled:
            raise DatasetError(
                f'{self._dataset.path} has no labelled validation frames; '
                'use data.threshold_from=foreground'
            )
        trials = [
            replace(card, filters=replace(card.filters, threshold=round(float(t), 2)))
            for t in np.linspace(-0.95, 0.5, 15)
        ]
        return max(trials, key=lambda trial: self._judge(networks, trial)['strict_miou'])

    def _write_model(
        self, networks: InSeGANNetworks, card: InSeGANCard, done: int, figures: dict[str, float]
    ) -> None:
        by_labels = self._settings.data.threshold_from == 'labels'
        said = {
            'method': f'insegan{self._settings.model.kind}',
            'part': self._dataset.info.part,
            'made_by': f'insegan_ros {__version__}',
            'labels_used': 'the threshold was chosen on labelled validation frames'
            if by_labels
            else 'none: the threshold covers best what stands above the floor in held-out frames',
            'dataset': {'frames': len(self._frames), 'hash': self._dataset.content_hash()},
            'training': {
                'iterations': done,
                'batch': self._settings.step.batch,
                'images_seen': done * self._settings.step.batch,
                'seconds': round(self._seconds + time.monotonic() - self._begun),
                'seed': self._seed,
                'processor': f'{platform.machine()}, {torch.get_num_threads()} threads'
                if self._device == 'cpu'
                else torch.cuda.get_device_name(),
            },
            'figures': {f'validation_{k}': round(v, 4) for k, v in figures.items()},
            'settings': segmenter.to_card(card),
        }
        half = {k: v.half() for k, v in networks.state_dict().items()}
        model_card.save_model(self._out / 'model', said, half)

    def draw(self, done: int) -> None:
        """A row each: real held-out frames; re-rendered; segmented; their instances; generated."""
        if not self._trainer.group.leads:
            return
        networks = self.networks()
        real = self._validation.images[:SHOWN]
        alone, again = self._decompose(networks, real)
        threshold = segmenter.choose_threshold(alone.numpy(), real.numpy(), self._settings.filters)
        model = self._settings.model
        latents = np.random.default_rng([self._seed, 2])
        z = latents.standard_normal((len(real), model.instances, model.z_dim), np.float32)
        with torch.inference_mode():
            made = networks.generator(torch.from_numpy(z).to(self._device))[0][:, 0].float().cpu()

        def grey(images: Tensor) -> list[NDArray[np.uint8]]:
            return [drawing.heights_picture((i.numpy() + 1) / 2, 1.0) for i in images]

        labels = [
            segmenter.nearest(segmenter.filtered(one.numpy(), self._settings.filters), threshold)
            for one in alone
        ]
        segmented = [
            drawing.labels_picture((image.numpy() + 1) / 2, found, 1.0)
            for image, found in zip(real, labels)
        ]
        rows = [grey(real), grey(again), segmented]
        rows += [grey(alone[:, k]) for k in range(model.instances)] + [grey(made)]
        drawing.save_rows(self._out / 'picture.png', rows)
        if self._board is not None:
            sheet = cv2.imread(str(self._out / 'picture.png'))
            if sheet is not None:
                self._board.add_image('picture', sheet[..., ::-1].copy(), done, dataformats='HWC')

    def save(self) -> None:
        seconds = self._seconds + time.monotonic() - self._begun
        state = {'trainer': self._trainer.state(), 'best': self._best, 'seconds': seconds}
        checkpoint.save(self._out / 'checkpoint.pt', state)

    def resume(self) -> None:
        """Raises: CheckpointError, for a checkpoint that is damaged or of other networks."""
        path = self._out / 'checkpoint.pt'
        state = checkpoint.load(path)
        try:
            self._trainer.restore(state['trainer'])
            self._best, self._seconds = float(state['best']), float(state['seconds'])
        except (KeyError, RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f'{path} does not fit these networks ({reason}); choose another --out'
            ) from None
