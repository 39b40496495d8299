"""Depth -> what each pixel says of its part; votes -> instances.

A small fully convolutional U-Net reads heights above the floor and answers at native resolution,
for every pixel: is this a part, where is that part's centre, how sure, how much of it is visible.
Pixels that vote for one centre are one instance, however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

STRIDE = 16  # px: sides of the network's input are multiples of it
OUTPUTS = 6  # part logit, centre's offset in x and y, its height, log spread, visible fraction
SPREAD = (-4.0, 2.0)  # log of the least and the greatest spread, vote units


@dataclass(frozen=True)
class NetworkConfig:
    """Size of the network, and the scale of what it saw in training."""

    part_length_m: float  # the template's longest side
    part_thickness_m: float  # its shortest
    pixel_m: float  # a pixel's side on the floor: camera height / focal length
    widths: tuple[int, int, int, int] = (32, 64, 96, 160)

    @property
    def unit_px(self) -> float:
        """What votes are measured in: a quarter of the part's length, px."""
        return self.part_length_m / self.pixel_m / 4


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class VoteNetwork(nn.Module):
    """(B, 2, H, W) height in part lengths and validity -> (B, OUTPUTS, H, W)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), _block(8, a), _block(a, a))  # 1/2
        self.down1 = nn.Sequential(_block(a, b, 2), _block(b, b))  # 1/4
        self.down2 = nn.Sequential(_block(b, c, 2), _block(c, c), _block(c, c))  # 1/8
        self.down3 = nn.Sequential(_block(c, d, 2), _block(d, d), _block(d, d))  # 1/16
        self.up2 = nn.Sequential(_block(d + c, c), _block(c, c))
        self.up1 = nn.Sequential(_block(c + b, b), _block(b, b))
        self.up0 = nn.Sequential(_block(b + a, a), _block(a, a))
        self.head = nn.Sequential(nn.Conv2d(a, 4 * OUTPUTS, 1), nn.PixelShuffle(2))

    def forward(self, image: Tensor) -> Tensor:
        half = self.stem(image)
        quarter = self.down1(half)
        eighth = self.down2(quarter)
        deep = self.down3(eighth)
        eighth = self.up2(torch.cat([_double(deep), eighth], 1))
        quarter = self.up1(torch.cat([_double(eighth), quarter], 1))
        half = self.up0(torch.cat([_double(quarter), half], 1))
        return self.head(half)


def channels_last(network: VoteNetwork) -> VoteNetwork:
    """Its weights in the memory order that is fastest for convolutions on a processor."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode='nearest')


def network_input(heights: NDArray[np.float32], config: NetworkConfig) -> NDArray[np.float32]:
    """(..., H, W) metres above the floor, NaN unmeasured -> (..., 2, H, W)."""
    valid = np.isfinite(heights)
    scaled = np.where(valid, heights, 0) * np.float32(1 / config.part_length_m)
    return np.stack([np.clip(scaled, -1, 4), valid], axis=-3).astype(np.float32)


@dataclass(frozen=True)
class VoteSettings:
    """How votes become instances; chosen on held-out piles."""

    part_probability: float = 0.5  # above it a pixel shows a part
    separation: float = 0.5  # least distance of two centres, of the part's thickness
    min_support: float = 12.0  # sure votes (px) that make an instance
    min_area: int = 12  # px

    def at_pixels(self, share: float) -> VoteSettings:
        """For an image that shows the same with so many times the pixels."""
        area = max(round(self.min_area * share), 1)
        return replace(self, min_support=self.min_support * share, min_area=area)


@dataclass(frozen=True)
class Instances:
    """What one image's votes say."""

    labels: NDArray[np.int32]  # (H, W), 0 background
    centres: NDArray[np.float32]  # (N, 3) image x, y in px, height above the floor in m
    agreement: NDArray[np.float32]  # (N,) in [0, 1]: how well its pixels' votes concur
    visible: NDArray[np.float32]  # (N,) in [0, 1], fraction of the part's outline


def find_instances(
    output: NDArray[np.float32], config: NetworkConfig, settings: VoteSettings
) -> Instances:
    """Cluster the votes of one image.

    Centres are peaks of the votes' density in x, y and height, each vote weighted by how sure it
    is; every part pixel goes to the centre nearest to its vote.

    Args:
        output: (OUTPUTS, H, W) of the network.
    """
    shape = output.shape[1:]
    threshold = np.log(settings.part_probability / (1 - settings.part_probability))
    mask = output[0] > threshold
    v, u = np.nonzero(mask)
    if len(v) < settings.min_area:
        return _nothing(shape)
    chosen = output[:, v, u]  # (OUTPUTS, M)
    unit = config.unit_px
    votes = np.stack([u + chosen[1] * unit, v + chosen[2] * unit, chosen[3] * unit], axis=1)
    spread = np.exp(np.clip(chosen[4], *SPREAD))  # vote units
    sure = np.clip(0.2 / spread, 0.02, 1.0)
    apart = settings.separation * config.part_thickness_m / config.pixel_m
    centres = _peaks(votes, sure, apart, settings.min_support)
    if not len(centres):
        return _nothing(shape)
    nearest, distance = _assign(votes, centres)
    area = np.bincount(nearest, minlength=len(centres))
    support = np.bincount(nearest, sure, minlength=len(centres))
    kept = (area >= settings.min_area) & (support >= settings.min_support / 2)
    if not kept.any():
        return _nothing(shape)
    if not kept.all():
        centres = centres[kept]
        nearest, distance = _assign(votes, centres)
    labels = np.zeros(shape, np.int32)
    labels[v, u] = nearest + 1
    count = len(centres)
    area = np.maximum(np.bincount(nearest, minlength=count), 1)
    off = np.bincount(nearest, np.minimum(distance / unit, 2.0), minlength=count) / area
    seen = 1 / (1 + np.exp(-np.clip(chosen[5], -20, 20)))
    visible = np.bincount(nearest, seen, minlength=count) / area
    centres = centres.astype(np.float32)
    centres[:, 2] *= np.float32(config.pixel_m)
    return Instances(labels, centres, np.exp(-off).astype(np.float32), visible.astype(np.float32))


def _nothing(shape: tuple[int, ...]) -> Instances:
    none = np.zeros(0, np.float32)
    return Instances(np.zeros(shape, np.int32), np.zeros((0, 3), np.float32), none, none)


def _peaks(
    votes: NDArray[np.floating], weights: NDArray[np.floating], apart: float, least: float
) -> NDArray[np.floating]:
    """(M, 3) votes -> (N, 3) centres at least `apart` px from each other, densest first."""
    cell = max(apart / 3, 1.0)
    low = votes.min(axis=0) - 3 * cell
    index = ((votes - low) / cell).astype(np.int64)
    size = tuple(index.max(axis=0) + 4)
    flat = np.ravel_multi_index(tuple(index.T), size)

    def summed(values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Of the votes in each cell."""
        return np.bincount(flat, values, minlength=int(np.prod(size))).reshape(size)

    mass = summed(weights)
    moments = np.stack([summed(weights * votes[:, axis]) for axis in range(3)], axis=-1)
    density = ndimage.gaussian_filter(mass.astype(np.float32), 1.0, mode='constant')
    top = ndimage.maximum_filter(density, size=3, mode='constant')
    # a peak's own votes, blurred: sigma of one cell leaves (2 pi)^-1.5 of them in its middle
    candidates = np.argwhere((density == top) & (density > 0.0635 * least * 0.5))
    order = np.argsort(-density[tuple(candidates.T)], kind='stable')
    centres: list[NDArray[np.floating]] = []
    for candidate in candidates[order]:
        near = tuple(slice(max(k - 1, 0), k + 2) for k in candidate)  # its cell and those around
        support = mass[near].sum()
        if support < least * 0.5:
            continue
        place = moments[near].sum(axis=(0, 1, 2)) / support
        if all(np.linalg.norm(place - other) >= apart for other in centres):
            centres.append(place)
    return np.array(centres).reshape(-1, 3)


def _assign(
    votes: NDArray[np.floating], centres: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """The centre nearest to each vote, and how far it is."""
    # |v - c|^2 less |v|^2, which is the same for all centres
    nearest = ((centres**2).sum(axis=1) - 2 * votes @ centres.T).argmin(axis=1)
    return nearest, np.linalg.norm(votes - centres[nearest], axis=1)


def vote_loss(output: Tensor, target: Tensor, config: NetworkConfig) -> dict[str, Tensor]:
    """The network's losses; their sum is what is minimised.

    Args:
        output: (B, OUTPUTS, H, W).
        target: (B, 6, H, W): part (0 or 1), centre's offset x and y and its height in vote units,
            visible fraction, weight of the pixel among its image's parts' pixels.
    """
    part = target[:, 0]
    foreground = nn.functional.binary_cross_entropy_with_logits(output[:, 0], part)
    weight = target[:, 5]
    total = weight.sum().clamp_min(1e-6)
    off = (output[:, 1:4] - target[:, 1:4]).abs().sum(1)
    spread = output[:, 4].clamp(*SPREAD)
    votes = ((off * torch.exp(-spread) + spread) * weight).sum() / total
    # the likelihood alone gives up on unsure pixels; this does not
    plain = (off.clamp_max(2.0) * weight).sum() / total
    seen = nn.functional.binary_cross_entropy_with_logits(
        output[:, 5], target[:, 4], reduction='none'
    )
    visible = (seen * weight).sum() / total
    return {'part': 2 * foreground, 'votes': 0.5 * votes + plain, 'visible': 0.3 * visible}


def resize(image: NDArray, size: tuple[int, int]) -> NDArray:
    """(H, W) -> (height, width) of `size`, nearest pixel."""
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)


def interpolate(output: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """(C, H, W) -> (C, height, width) of `size`, bilinear."""
    return np.stack([cv2.resize(channel, (size[1], size[0])) for channel in output])
