"""Depth -> what each pixel says of its part.

A small fully convolutional U-Net reads heights above the floor and answers at native resolution,
for every pixel: is this a part, where is that part's centre, how sure, how much of it is visible.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
    kinds: int = 1  # of parts that it distinguishes

    @property
    def outputs(self) -> int:
        """Channels of the answer: OUTPUTS, and a logit a kind where there are several."""
        return OUTPUTS + (self.kinds if self.kinds > 1 else 0)

    @property
    def length_px(self) -> float:
        """The part's longest side on the floor."""
        return self.part_length_m / self.pixel_m

    @property
    def unit_px(self) -> float:
        """What votes are measured in: a quarter of the part's length, px."""
        return self.length_px / 4


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class VoteNetwork(nn.Module):
    """(B, 2, H, W) height in part lengths and validity -> (B, config.outputs, H, W)."""

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
        self.head = nn.Sequential(nn.Conv2d(a, 4 * config.outputs, 1), nn.PixelShuffle(2))

    def forward(self, image: Tensor) -> Tensor:
        """Predict, for every pixel, what it says of its part."""
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


def told_kinds(weights: Mapping[str, Tensor], config: NetworkConfig) -> dict[str, Tensor]:
    """Weights of a network of one kind, for one of `config`: all kinds are alike to it at first.

    Weights that distinguish as many kinds already are returned as they are.
    """
    grown = dict(weights)
    for name in ('head.0.weight', 'head.0.bias'):
        known = weights[name]
        missing = 4 * config.outputs - len(known)
        if missing > 0:
            added = known.new_zeros(missing, *known.shape[1:])
            grown[name] = torch.cat([known, added])
    return grown


def widened(weights: Mapping[str, Tensor], config: NetworkConfig, seed: int) -> dict[str, Tensor]:
    """Weights of a network of `config` that answers as the narrower one of `weights` does.

    What is added begins at random, and is not heard by what was there.
    """
    torch.manual_seed(seed)
    wide = VoteNetwork(config).state_dict()
    deep = {f'up{k}.0.0.weight': f'{name}.0.weight' for k, name in enumerate(_BELOW)}
    for name, narrow in weights.items():
        kernel = wide[name]
        if not kernel.ndim:
            kernel.copy_(narrow)
            continue
        if kernel.ndim < 4:
            kernel[: len(narrow)] = narrow
            continue
        heard = torch.arange(narrow.shape[1])
        if name in deep:  # after the channels from below come those from beside
            old, new = len(weights[deep[name]]), len(wide[deep[name]])
            heard = torch.where(heard < old, heard, heard + new - old)
        kernel[: len(narrow)] = 0
        kernel[: len(narrow), heard] = narrow.to(kernel.dtype)
    return wide


# what feeds up0, up1 and up2 from below
_BELOW = ('up1.1', 'up2.1', 'down3.1')


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode='nearest')


def network_input(heights: NDArray[np.float32], config: NetworkConfig) -> NDArray[np.float32]:
    """(..., H, W) metres above the floor, NaN unmeasured -> (..., 2, H, W)."""
    valid = np.isfinite(heights)
    scaled = np.where(valid, heights, 0) * np.float32(1 / config.part_length_m)
    return np.stack([np.clip(scaled, -1, 4), valid], axis=-3).astype(np.float32)


def vote_loss(output: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The network's losses; their sum is what is minimised.

    A pixel p of a part votes for its centre: v_p in x, y and height, with the log spread s_p. The
    votes' likelihood is a Laplace density of scale exp(s_p), so with the true centre c_p and the
    pixel's weight w_p (1 / sqrt of the instance's area, normalised to a sum of 1)

        L_votes = 1/2 sum_p w_p (|v_p - c_p|_1 exp(-s_p) + s_p) + sum_p w_p min(|v_p - c_p|_1, 2).

    The second term pulls votes that the first gives up by a large s_p. L_part is twice the binary
    cross-entropy of the part logits, L_visible .3 times that of the visible fractions, weighted
    by w_p. Where there are several kinds of part, L_kind is the cross-entropy of a pixel's kind,
    weighted by w_p.

    Args:
        output: (B, C, H, W), C as NetworkConfig.outputs says.
        target: (B, 6 or 7, H, W): part (0 or 1), centre's offset x and y and its height in vote
            units, visible fraction, weight of the pixel among its image's parts' pixels; and, of
            several kinds, which the pixel's part is (0, 1, ...).
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
    losses = {'part': 2 * foreground, 'votes': 0.5 * votes + plain, 'visible': 0.3 * visible}
    if output.shape[1] > OUTPUTS:
        told = nn.functional.cross_entropy(
            output[:, OUTPUTS:], target[:, 6].long(), reduction='none'
        )
        losses['kind'] = 0.5 * (told * weight).sum() / total
    return losses


def resize(image: NDArray, size: tuple[int, int]) -> NDArray:
    """(H, W) -> (height, width) of `size`, nearest pixel."""
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)


def interpolate(output: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """(C, H, W) -> (C, height, width) of `size`, bilinear."""
    return np.stack([cv2.resize(channel, (size[1], size[0])) for channel in output])


def fused(network: VoteNetwork) -> VoteNetwork:
    """A copy for inference: batch norms folded into the convolutions before them.

    A network that is one already is returned as it is.
    """
    if not network.training and not any(isinstance(m, nn.BatchNorm2d) for m in network.modules()):
        return network
    network = copy.deepcopy(network).eval()
    for block in list(network.modules()):
        if (
            isinstance(block, nn.Sequential)
            and len(block) == 3
            and isinstance(block[0], nn.Conv2d)
            and isinstance(block[1], nn.BatchNorm2d)
        ):
            block[0] = fuse_conv_bn_eval(block[0], block[1])
            block[1] = nn.Identity()
    return channels_last(network)
