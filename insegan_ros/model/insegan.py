"""The three networks of InSeGAN, wired in one place."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from insegan_ros.model.discriminator import Discriminator
from insegan_ros.model.encoder import Encoder
from insegan_ros.model.generator import Generator, GeneratorConfig


@dataclass(frozen=True)
class InSeGANConfig(GeneratorConfig):
    """Sizes of all networks; the generator's first."""

    instances: int = 5  # n
    discriminator_channels: int = 64  # of its first layer

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.instances <= 50:
            raise ValueError(f'instances {self.instances}: 1 to 50 are expected')


class InSeGAN(nn.Module):
    """Generator G, discriminator D and encoder E (paper Fig. 2)."""

    def __init__(self, config: InSeGANConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config.image_size, config.discriminator_channels)
        self.encoder = Encoder(config, config.instances)
