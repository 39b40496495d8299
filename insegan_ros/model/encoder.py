"""The instance pose encoder E = G_s^-1 o G_r^-1 (paper 3.4): a depth image -> n latents."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from insegan_ros.model.generator import GeneratorConfig, instance_norm

SLOPE = 0.2


class Encoder(nn.Module):
    """Derenders an image to the mean feature map, and decodes that to the instances' latents."""

    def __init__(
        self, config: GeneratorConfig, instances: int, hidden: tuple[int, ...] = ()
    ) -> None:
        """Layers of the paper's sizes.

        Args:
            hidden: widths of layers before the last, which the paper's encoder lacks.
        """
        super().__init__()
        self.instances = instances
        steps = int(math.log2(config.image_size / config.feature_size))
        widths = [config.feature_channels // 2 ** (steps - 1 - k) for k in range(steps)]
        layers: list[nn.Module] = []
        for k, (before, after) in enumerate(zip([1, *widths], widths)):
            layers.append(nn.Conv2d(before, after, 4, 2, 1))
            if k < steps - 1:
                layers += [instance_norm(after, affine=False), nn.LeakyReLU(SLOPE)]
        self.derenderer = nn.Sequential(*layers)
        channels = config.feature_channels
        decoder: list[nn.Module] = [nn.LeakyReLU(SLOPE)]
        for _ in range(int(math.log2(config.feature_size / 4))):
            decoder += [
                nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False),
                instance_norm(2 * channels, affine=False),
                nn.LeakyReLU(SLOPE),
            ]
            channels *= 2
        if config.feature_size == 4:
            decoder += [nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.LeakyReLU(SLOPE)]
            channels *= 4
        decoder.append(nn.Flatten())
        sizes = (channels * 16, *hidden)
        for before, after in pairwise(sizes):
            decoder += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
        decoder.append(nn.Linear(sizes[-1], instances * config.z_dim))
        self.decoder = nn.Sequential(*decoder)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) -> latents (B, n, d) and the derendered feature map (B, c, h, h)."""
        features = self.derenderer(image)
        return self.decoder(features).unflatten(1, (self.instances, -1)), features
