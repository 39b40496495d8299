"""How the explicit InSeGAN is updated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExplicitStepConfig:
    """How the networks and the template are updated."""

    batch: int = 8
    most: int = 5  # instances of a scene
    least: int = 5
    warm: int = 800  # steps in which the encoder learns from dropped templates alone
    encoder_rate: float = 5e-4
    template_rate: float = 0.03  # of the logits; 0 keeps the template
    gan_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.99)
    ema: float = 0.995
    adversarial: float = 1.0  # weight of L_G; 0 switches the discriminator off
    adversarial_template: float = 0.0  # share of L_G's gradient that reaches the template
    r1: float = 2.0  # on heights in units of half the image; 8 freezes the generator
    sweeps: int = 1  # over a real frame's instances each time it is seen; three the first time
    trials: int = 18  # places an instance is offered
    descents: int = 8  # steps of a real frame's poses at half the resolution
    fits: int = 3  # of the template and the poses together, at full resolution
    surface: float = 10.0  # of the distance between surfaces, in units of the part's radius
    noise_m: float = 0.0008  # of heights, generated and real alike
    smooth: float = 0.02  # of the occupancy's differences between neighbours
    least_volume: float = 0.0  # of the starting template's: what is badly posed would vanish

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= 14:
            raise ValueError(
                f'step.least {self.least}, step.most {self.most}: 1 <= least <= most <= 14 '
                'instances are expected'
            )
