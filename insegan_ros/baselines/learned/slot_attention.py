"""Slot Attention as an autoencoder of images (Locatello et al., NeurIPS 2020).

A convolutional encoder makes features; n + 1 slots (one for the floor) compete for them; each
slot is decoded alone into an image and a mask, and the masks blend the images into the whole. The
default sizes are smaller than the published ones, which `PUBLISHED` has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insegan_ros.baselines.learned.attention import SlotAttention
from insegan_ros.baselines.learned.decomposer import Decomposer, coordinates, without_background

BROADCAST = 8  # px: a slot is repeated on a grid of this side, which is then enlarged


@dataclass(frozen=True)
class SlotConfig:
    """Sizes; the number of slots is `instances` + 1."""

    instances: int = 5
    image_size: int = 64  # px, 8 times a power of 2
    channels: int = 32  # of encoder and decoder
    width: int = 64  # of a slot
    hidden: int = 128  # of the slots' residual network
    iterations: int = 3  # of attention
    stride: int = 2  # of the encoder's first convolution

    def __post_init__(self) -> None:
        if (
            self.image_size not in (8, 16, 32, 64, 128)
            or self.instances < 1
            or self.iterations < 1
        ):
            raise ValueError(
                f'image_size {self.image_size}, instances {self.instances}, iterations '
                f'{self.iterations}: 8, 16, 32, 64 or 128 px, and at least 1, are expected'
            )


PUBLISHED = SlotConfig(channels=64, stride=1)


class SlotAutoencoder(Decomposer):
    """Encoder, slots, decoder; where the slots begin is `starts`' to say."""

    def __init__(self, config: SlotConfig) -> None:
        super().__init__()
        self.config = config
        self.slots = config.instances + 1
        self.noise_shape = (self.slots, config.width)
        self.encoder = SlotEncoder(config)
        self.attention = SlotAttention(config.width, config.hidden)
        self.decoder = Decoder(config)
        keep_variance(self.encoder.convolutions)
        keep_variance(self.decoder.layers)
        self.mean = nn.Parameter(torch.empty(1, 1, config.width))
        self.log_spread = nn.Parameter(torch.empty(1, 1, config.width))
        nn.init.xavier_uniform_(self.mean)
        nn.init.xavier_uniform_(self.log_spread)

    def starts(self, noise: Tensor) -> Tensor:
        """(B, K, D): drawn from one Gaussian that all slots share."""
        return self.mean + self.log_spread.exp() * noise

    def attend(self, features: Tensor, noise: Tensor) -> Tensor:
        """(B, M, D) features -> (B, K, D) slots."""
        keys, values = self.attention.read(features)
        slots = self.starts(noise)
        for _ in range(self.config.iterations):
            slots = self.attention(slots, keys, values)
        return slots

    def forward(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) -> the slots' images and mask logits, each (B, K, S, S)."""
        slots = self.attend(self.encoder(images), noise)
        return self.decoder(slots)

    def losses(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Mean squared error of the blended image."""
        means, logits = self(images, noise)
        again = (means * logits.softmax(dim=1)).sum(dim=1, keepdim=True)
        return {'total': F.mse_loss(again, images)}

    def parts(self, images: Tensor, noise: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B, n, S, S): the slots' masks, less the floor's."""
        return without_background(self(images, noise)[1].softmax(dim=1), images)


def keep_variance(network: nn.Module) -> None:
    """Start convolutions so that what they see neither fades nor explodes from layer to layer.

    PyTorch's own start lets an image fade to a thirtieth behind four layers: its places drown it.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
            heard = float(layer.in_channels * layer.kernel_size[0] ** 2)
            if isinstance(layer, nn.ConvTranspose2d):
                heard /= layer.stride[0] ** 2
            nn.init.normal_(layer.weight, std=(2 / heard) ** 0.5)
            nn.init.zeros_(layer.bias)


class SlotEncoder(nn.Module):
    """(B, 1, S, S) -> (B, M, D): convolutions, places, and a network of each place's own."""

    def __init__(self, config: SlotConfig) -> None:
        super().__init__()
        c = config.channels
        layers: list[nn.Module] = [nn.Conv2d(1, c, 5, config.stride, 2), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Conv2d(c, c, 5, 1, 2), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.place = PositionEmbedding(config.image_size // config.stride, c)
        self.each = nn.Sequential(
            nn.LayerNorm(c), nn.Linear(c, config.width), nn.ReLU(),
            nn.Linear(config.width, config.width),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B, M, D)."""
        features = self.place(self.convolutions(images))
        return self.each(features.flatten(2).transpose(1, 2))


class PositionEmbedding(nn.Module):
    """Adds a linear function of where a feature lies: distances from the four edges."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        xy = coordinates(size) / 2 + 0.5
        self.register_buffer('grid', torch.cat([xy, 1 - xy])[None], persistent=False)
        self.grid: Tensor
        self.linear = nn.Conv2d(4, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return features + self.linear(self.grid)


class Decoder(nn.Module):
    """(B, K, D) slots -> images and mask logits, each (B, K, S, S): every slot by itself."""

    def __init__(self, config: SlotConfig) -> None:
        super().__init__()
        c = config.channels
        self.widen = nn.Linear(config.width, c)  # before the broadcast: it commutes with it
        self.place = PositionEmbedding(BROADCAST, c)
        layers: list[nn.Module] = [nn.Conv2d(c, c, 5, 1, 2), nn.ReLU()]
        for _ in range(int(math.log2(config.image_size // BROADCAST))):
            layers += [nn.ConvTranspose2d(c, c, 5, 2, 2, output_padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(c, 2, 3, 1, 1))

    def forward(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, D) -> images and mask logits, each (B, K, S, S)."""
        each = self.widen(slots).flatten(0, 1)[..., None, None]  # (B*K, C, 1, 1)
        each = each.expand(-1, -1, BROADCAST, BROADCAST)
        images = self.layers(self.place(each)).float().unflatten(0, slots.shape[:2])
        return images[:, :, 0], images[:, :, 1]
