"""The three networks of InSeGAN, wired in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from insegan_ros.model.discriminator import Discriminator
from insegan_ros.model.encoder import Encoder
from insegan_ros.model.generator import Generator, GeneratorConfig
from insegan_ros.model.set_encoder import SetEncoder


@dataclass(frozen=True)
class InSeGANConfig(GeneratorConfig):
    """Sizes of all networks; the generator's first."""

    instances: int = 5  # n
    discriminator_channels: int = 48  # of its first layer
    # `set`: centres and codes where instances are seen. `latents`: the paper's, all n at once.
    encoder: Literal['set', 'latents'] = 'set'
    encoder_channels: int = 96  # of a set encoder's widest layers
    encoder_hidden: tuple[int, ...] = ()  # layers before the last of the paper's encoder

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.instances <= 50:
            raise ValueError(f'instances {self.instances}: 1 to 50 are expected')
        if self.encoder_channels % 16:
            raise ValueError(
                f'encoder_channels {self.encoder_channels}: a multiple of 16 is expected'
            )


class InSeGAN(nn.Module):
    """Generator G, discriminator D and encoder E (paper Fig. 2)."""

    def __init__(self, config: InSeGANConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config.image_size, config.discriminator_channels)
        self.encoder = make_encoder(config)


def make_encoder(config: InSeGANConfig) -> Encoder | SetEncoder:
    """The encoder that the configuration names."""
    if config.encoder == 'set':
        return SetEncoder(config, config.encoder_channels)
    return Encoder(config, config.instances, config.encoder_hidden)


def explain(encoder: nn.Module, generator: Generator, image: Tensor, *, count: int) -> Tensor:
    """(B, 1, S, S) -> codes (B, count, code_dim) of the instances in each image."""
    if isinstance(encoder, SetEncoder):
        return encoder.explain(image, count)
    return generator.place(encoder(image)[0].float())
