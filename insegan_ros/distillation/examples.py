"""Stored piles as what the network learns from: noisy heights and the votes wanted for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros.data.store import Dataset, kinds_of
from insegan_ros.depth_camera import StereoNoise
from insegan_ros.distillation.network import NetworkConfig, network_input
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.depth_noise import AnyCamera, DepthNoise, measure, varied
from insegan_ros.types import Intrinsics


@dataclass(frozen=True)
class Piles:
    """Stored piles in memory."""

    depth: NDArray[np.float32]  # (P, H, W) metres, no noise, NaN where nothing is
    labels: NDArray[np.uint8]  # (P, H, W)
    centres: list[NDArray[np.float32]]  # (N, 3) each: image x, y in px, height above the floor, m
    visible: list[NDArray[np.float32]]  # (N,) each
    kinds: list[NDArray[np.int64]]  # (N,) each: 1, 2, ...
    camera_height: NDArray[np.float32]  # (P,) m
    intrinsics: Intrinsics
    # of the camera; None: about those of a D435
    errors: DepthNoise | AnyCamera | None = field(default=None, kw_only=True)

    @staticmethod
    def load(
        dataset: Dataset, indices: Sequence[int], errors: DepthNoise | AnyCamera | None = None
    ) -> Piles:
        """Read these piles of a stored dataset.

        Args:
            errors: of the camera under which they are taught; None: about those of a D435.
        """
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
            [kinds_of(s) for s in samples],
            heights,
            k,
            errors=errors,
        )

    def __len__(self) -> int:
        return len(self.depth)

    def heights(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(H, W) above the floor as a camera measures it, its noise drawn anew."""
        depth, noise = self.depth[index], self._noise(index, rng)
        if rng.random() < 0.95:  # some without noise
            if isinstance(noise, StereoNoise):
                depth = add_noise(depth, self.intrinsics, rng, noise=noise)
            else:
                depth = measure(depth, self.intrinsics, rng, noise=noise)
        # the floor is found to about a millimetre
        return self.camera_height[index] + np.float32(rng.normal(0, 0.0007)) - depth

    def _noise(self, index: int, rng: np.random.Generator) -> StereoNoise | DepthNoise:
        if isinstance(self.errors, AnyCamera):
            return self.errors.drawn(rng, float(self.camera_height[index]))
        if self.errors is not None:
            return varied(self.errors, rng)
        return about_d435(rng)

    def target(self, index: int, config: NetworkConfig) -> NDArray[np.float32]:
        """(6, H, W) as `vote_loss` wants it; of several kinds (7, H, W)."""
        labels = self.labels[index]
        unit = config.unit_px
        area = np.bincount(labels.ravel(), minlength=len(self.visible[index]) + 1)
        # (N + 1, 4) what every instance's pixels share, row 0 for the background
        shared = np.zeros((len(area), 5), np.float32)
        shared[1:, :2] = self.centres[index][:, :2]
        shared[1:, 2] = self.centres[index][:, 2] / config.pixel_m
        shared[1:, 3] = np.clip(self.visible[index], 0, 1)
        shared[1:, 4] = 1 / np.sqrt(np.maximum(area[1:], 9))  # small instances count as well
        out = np.empty((6 if config.kinds == 1 else 7, *labels.shape), np.float32)
        out[0] = labels > 0
        out[1:6] = shared[labels].transpose(2, 0, 1)
        if config.kinds > 1:
            out[6] = np.append(0, self.kinds[index] - 1)[labels]
        v, u = np.mgrid[: labels.shape[0], : labels.shape[1]]
        out[1] = (out[1] - u) / unit
        out[2] = (out[2] - v) / unit
        out[3] /= unit
        return out


def about_d435(rng: np.random.Generator) -> StereoNoise:
    """Noise like that of a D435, drawn at random."""
    return StereoNoise(
        disparity_sigma=rng.uniform(0.02, 0.12),
        correlation=rng.uniform(0.0, 3.0),
        edge_sigma=rng.uniform(0.2, 0.8),
        flying=rng.uniform(0.0, 0.5),
        holes=rng.uniform(0.0, 3.0),
        shadow_side=-1 if rng.random() < 0.5 else 1,
    )


def mixed_batch(
    parts: Sequence[tuple[Piles, NetworkConfig]], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """(B, 2, H, W) input and (B, 6 or 7, H, W) target: random piles, noise, flips, turns.

    Of several parts every one comes as often as it has piles.
    """
    ends = np.cumsum([len(piles) for piles, _ in parts])
    inputs, targets = [], []
    for index in rng.integers(ends[-1], size=size):
        which = int(np.searchsorted(ends, index, side='right'))
        piles, config = parts[which]
        own = int(index - ends[which] + len(piles))
        image = network_input(piles.heights(own, rng), config)
        image, target = turned_example(image, piles.target(own, config), rng)
        inputs.append(image)
        targets.append(target)
    return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(targets))


def turned_example(
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
