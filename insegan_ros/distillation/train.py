"""Distil piles of the template into the vote network."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros.data.store import Dataset
from insegan_ros.distillation.network import (
    NetworkConfig,
    VoteNetwork,
    VoteSettings,
    channels_last,
    find_instances,
    network_input,
    vote_loss,
)
from insegan_ros.evaluation.metrics import count_is_right, strict_miou
from insegan_ros.synthetic.d435 import StereoNoise, add_noise
from insegan_ros.types import Intrinsics


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    batch: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    warmup: float = 0.03  # of the whole
    ema: float = 0.995  # of the weights, a step
    held_out: int = 100  # piles kept from training
    bfloat16: bool = True


@dataclass(frozen=True)
class Piles:
    """Stored piles in memory."""

    depth: NDArray[np.float32]  # (P, H, W) metres, no noise, NaN where nothing is
    labels: NDArray[np.uint8]  # (P, H, W)
    centres: list[NDArray[np.float32]]  # (N, 3) each: image x, y in px, height above the floor, m
    visible: list[NDArray[np.float32]]  # (N,) each
    camera_height: NDArray[np.float32]  # (P,) m
    intrinsics: Intrinsics

    @staticmethod
    def load(dataset: Dataset, indices: Sequence[int]) -> Piles:
        samples = [dataset[index] for index in indices]
        k = dataset.info.intrinsics
        heights = np.array([s.record['floor'][3] for s in samples], np.float32)
        centres = []
        for sample, height in zip(samples, heights):
            assert sample.poses is not None
            x, y, z = sample.poses[:, :3, 3].T
            centres.append(
                np.stack(
                    [k.fx * x / z + k.cx, k.fy * y / z + k.cy, height - z], 1, dtype=np.float32
                )
            )
        return Piles(
            np.stack([s.frame.depth_m for s in samples]),
            np.stack([s.labels for s in samples if s.labels is not None]),
            centres,
            [np.asarray(s.record['visible'], np.float32) for s in samples],
            heights,
            k,
        )

    def __len__(self) -> int:
        return len(self.depth)

    def heights(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(H, W) above the floor as a camera measures it, its noise drawn anew."""
        noise = StereoNoise(
            disparity_sigma=rng.uniform(0.02, 0.12),
            correlation=rng.uniform(0.0, 3.0),
            edge_sigma=rng.uniform(0.2, 0.8),
            flying=rng.uniform(0.0, 0.5),
            holes=rng.uniform(0.0, 3.0),
            shadow_side=-1 if rng.random() < 0.5 else 1,
        )
        depth = self.depth[index]
        if rng.random() < 0.95:  # some without noise
            depth = add_noise(depth, self.intrinsics, rng, noise)
        # the floor is found to about a millimetre
        return self.camera_height[index] + np.float32(rng.normal(0, 0.0007)) - depth

    def target(self, index: int, config: NetworkConfig) -> NDArray[np.float32]:
        """(6, H, W) as `vote_loss` wants it."""
        labels = self.labels[index]
        unit = config.unit_px
        area = np.bincount(labels.ravel(), minlength=len(self.visible[index]) + 1)
        # (N + 1, 4) what every instance's pixels share, row 0 for the background
        shared = np.zeros((len(area), 5), np.float32)
        shared[1:, :2] = self.centres[index][:, :2]
        shared[1:, 2] = self.centres[index][:, 2] / config.pixel_m
        shared[1:, 3] = np.clip(self.visible[index], 0, 1)
        shared[1:, 4] = 1 / np.sqrt(np.maximum(area[1:], 9))  # small instances count as well
        out = np.empty((6, *labels.shape), np.float32)
        out[0] = labels > 0
        out[1:] = shared[labels].transpose(2, 0, 1)
        v, u = np.mgrid[: labels.shape[0], : labels.shape[1]]
        out[1] = (out[1] - u) / unit
        out[2] = (out[2] - v) / unit
        out[3] /= unit
        return out


def make_batch(
    piles: Piles, config: NetworkConfig, size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """(B, 2, H, W) input and (B, 6, H, W) target: random piles, noise, flips, quarter turns."""
    inputs, targets = [], []
    for index in rng.integers(len(piles), size=size):
        image = network_input(piles.heights(int(index), rng), config)
        image, target = turned(image, piles.target(int(index), config), rng)
        inputs.append(image)
        targets.append(target)
    return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(targets))


def turned(
    image: NDArray[np.float32], target: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One of the eight flips and quarter turns of a square image, its vote vectors turned too."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image = np.rot90(image, turns, (1, 2))
    target = np.rot90(target, turns, (1, 2)).copy()
    for _ in range(turns):  # the image's x axis goes up (-y), its y axis to the right (x)
        target[1], target[2] = target[2].copy(), -target[1]
    if flip:
        image, target = image[..., ::-1], target[..., ::-1].copy()
        target[1] *= -1
    return np.ascontiguousarray(image), target


@dataclass
class Progress:
    """All that a resumed run needs."""

    network: VoteNetwork
    average: VoteNetwork  # exponential moving average of the weights: what is used
    optimizer: torch.optim.Optimizer
    step: int = 0


def begin(config: NetworkConfig, train: TrainConfig, seed: int, device: str = 'cpu') -> Progress:
    torch.manual_seed(seed)
    network = channels_last(VoteNetwork(config).to(device))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay
    )
    return Progress(network, copy.deepcopy(network).eval(), optimizer)


def train_step(
    progress: Progress, batch: tuple[Tensor, Tensor], rate: float, config: TrainConfig
) -> dict[str, float]:
    """One update; returns the losses.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    network = progress.network.train()
    device = next(network.parameters()).device
    image = batch[0].to(device, memory_format=torch.channels_last)
    target = batch[1].to(device)
    for group in progress.optimizer.param_groups:
        group['lr'] = rate
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
        output = network(image)
    losses = vote_loss(output.float(), target, network.config)
    loss = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(loss):
        raise FloatingPointError(f'the loss is {loss.item()} at step {progress.step}')
    progress.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    progress.optimizer.step()
    progress.step += 1
    decay = min(config.ema, (1 + progress.step) / (10 + progress.step))
    with torch.no_grad():
        for ours, theirs in zip(progress.average.parameters(), network.parameters()):
            ours.lerp_(theirs, 1 - decay)
        for kept, newest in zip(progress.average.buffers(), network.buffers()):
            kept.copy_(newest)
    return {name: value.item() for name, value in losses.items()}


def rate_at(share: float, config: TrainConfig) -> float:
    """Learning rate when `share` of the time is over: warm-up, then half a cosine."""
    if share < config.warmup:
        return config.learning_rate * max(share / config.warmup, 0.05)
    past = min((share - config.warmup) / (1 - config.warmup), 1.0)
    return config.learning_rate * (0.5 + 0.5 * math.cos(math.pi * past)) + 1e-6


def train_network(
    progress: Progress,
    piles: Callable[[], Piles],
    config: TrainConfig,
    seconds: float,
    seed: int,
    report: Callable[[int, float, dict[str, float]], None],
    checkpoint: Path | None = None,
) -> None:
    """Train for `seconds`; time already spent by an interrupted run counts.

    Args:
        piles: what to train on; asked again now and then, while more are being made.
        report: called now and then with the step, the share done, mean losses.
        checkpoint: written once a minute; a run is resumed from it.
    """
    spent = load_checkpoint(progress, checkpoint) if checkpoint and checkpoint.exists() else 0.0
    begun, saved, said = time.monotonic(), time.monotonic(), time.monotonic()
    now_piles = piles()
    recent: list[dict[str, float]] = []
    while (share := (spent + time.monotonic() - begun) / max(seconds, 1e-9)) < 1:
        rng = np.random.default_rng([seed, progress.step])
        batch = make_batch(now_piles, progress.network.config, config.batch, rng)
        recent.append(train_step(progress, batch, rate_at(share, config), config))
        now = time.monotonic()
        if now - said > 20:
            report(
                progress.step,
                share,
                {k: float(np.mean([r[k] for r in recent])) for k in recent[0]},
            )
            recent, said = [], now
        if checkpoint and now - saved > 60:
            save_checkpoint(progress, checkpoint, spent + now - begun)
            saved = now
            now_piles = piles()
    if checkpoint:
        save_checkpoint(progress, checkpoint, spent + time.monotonic() - begun)


def save_checkpoint(progress: Progress, path: Path, seconds: float) -> None:
    temporary = path.with_name(path.name + '.tmp')
    torch.save(
        {
            'network': progress.network.state_dict(),
            'average': progress.average.state_dict(),
            'optimizer': progress.optimizer.state_dict(),
            'step': progress.step,
            'seconds': seconds,
        },
        temporary,
    )
    temporary.replace(path)


def load_checkpoint(progress: Progress, path: Path) -> float:
    """Restore an interrupted run; the seconds it had spent."""
    stored = torch.load(path, map_location='cpu', weights_only=True)
    progress.network.load_state_dict(stored['network'])
    progress.average.load_state_dict(stored['average'])
    progress.optimizer.load_state_dict(stored['optimizer'])
    progress.step = stored['step']
    return float(stored['seconds'])


@torch.inference_mode()
def predict(network: VoteNetwork, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, H, W) -> (OUTPUTS, H, W)."""
    device = next(network.parameters()).device
    batch = torch.from_numpy(image)[None].to(device, memory_format=torch.channels_last)
    return network(batch)[0].float().cpu().numpy()


@dataclass(frozen=True)
class HeldOut:
    """How well the network does on piles that it has not seen: needs nobody's labels."""

    strict_miou: float
    count_accuracy: float
    settings: VoteSettings


def validate(network: VoteNetwork, piles: Piles, seed: int) -> HeldOut:
    """Choose how votes are clustered on half of the held-out piles, and judge it on the rest."""
    network.eval()
    outputs = []
    for index in range(len(piles)):
        rng = np.random.default_rng([seed, index])
        image = network_input(piles.heights(index, rng), network.config)
        outputs.append(predict(network, image))
    half = len(piles) // 2
    best, settings = -1.0, VoteSettings()
    for apart in (0.35, 0.5, 0.7):
        for support in (4.0, 8.0, 16.0):
            trial = replace(VoteSettings(), separation=apart, min_support=support)
            miou, count = _score(network.config, outputs[:half], piles.labels[:half], trial)
            if miou + 0.2 * count > best:
                best, settings = miou + 0.2 * count, trial
    miou, count = _score(network.config, outputs[half:], piles.labels[half:], settings)
    return HeldOut(miou, count, settings)


def _score(
    config: NetworkConfig,
    outputs: Sequence[NDArray[np.float32]],
    labels: NDArray[np.uint8],
    settings: VoteSettings,
) -> tuple[float, float]:
    """Mean strict mIoU and count accuracy."""
    found = [find_instances(output, config, settings).labels for output in outputs]
    miou = float(np.nanmean([strict_miou(f, t) for f, t in zip(found, labels)]))
    return miou, float(np.mean([count_is_right(f, t) for f, t in zip(found, labels)]))
