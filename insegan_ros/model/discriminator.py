"""The discriminator D (paper 3.3): is a multiple-instance depth image real?"""

from __future__ import annotations

import math

from torch import Tensor, nn

from insegan_ros.model.generator import instance_norm

SLOPE = 0.2


class Discriminator(nn.Module):
    """Strided convolutions with instance normalisation, down to one logit."""

    def __init__(self, image_size: int = 64, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, channels, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        for _ in range(int(math.log2(image_size / 4)) - 1):
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False),
                instance_norm(2 * channels, affine=False),
                nn.LeakyReLU(SLOPE),
            ]
            channels *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B,) logits; the paper's score in [0, 1] is their sigmoid."""
        return self.layers(image).flatten()
