"""How InSeGAN's networks are updated, and what each loss weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal['together', 'generator', 'encoder', 'joint']
LEARNING: dict[Phase, tuple[str, ...]] = {  # the networks by name
    'together': ('discriminator', 'generator', 'encoder'),
    'generator': ('discriminator', 'generator'),
    'encoder': ('encoder',),
    'joint': ('discriminator', 'generator', 'encoder'),
}


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses (Eq. 3 to 6); 0 switches one off."""

    discriminator: float = 1.0
    generator: float = 1.0
    pose: float = 1.0  # L_p, lambda_2
    pose_norm: Literal['l1', 'l2'] = 'l1'
    real: float = 2.0  # re-rendering of real frames, L1; of a set encoder, in its later steps
    # of encoders that name all latents at once
    alignment: float = 1.0  # L_a
    intermediate: float = 1.0  # L_i, lambda_1
    matching: Literal['ot', 'hungarian', 'greedy'] = 'ot'
    # of set encoders, whose alignment is given by where an instance is seen
    centre: float = 1.0
    appearance: float = 1.0  # each instance rendered alone
    motion: float = 1.0  # rigid motions: translations, and at first rotations
    template: float = 1.0  # which of several templates an instance has


@dataclass(frozen=True)
class StepConfig:
    """How the networks are updated, and when which of them learns.

    Generator and discriminator learn first, the encoder afterwards on the generator's frozen
    average (`generator_steps`); 0 lets all three learn together, as in the paper. `joint_after`
    lets them learn together at the end, with real frames that teach the generator by their
    re-rendering.
    """

    batch: int = 32
    learning_rate: float = 4e-4  # of the generator
    discriminator_rate: float = 0.5  # of that rate
    encoder_learning_rate: float = 5e-4
    settle_steps: int = 0  # of the encoder, over which its rate falls to nothing; 0: it stays
    betas: tuple[float, float] = (0.5, 0.99)
    ema: float = 0.995  # of generator and encoder
    noise: float = 0.08  # deviation added to all that the discriminator sees; images span 2
    generator_steps: int = 6000  # then the encoder learns; 0: all together
    held_steps: int = 2000  # in which poses hardly learn, so that they keep their spread
    held_rate: float = 0.02  # of the generator's rate, of poses until then
    pose_rate: float = 0.3  # afterwards
    real_after: int = 2500  # steps of the encoder, before it sees real frames
    # Steps of a set encoder after which generator and discriminator learn again, beside it: then
    # the re-rendering of real frames teaches the generator, too, which lowered the held-out error
    # of every part that was tried (docs/results.md). None: never, as in the paper, and as with
    # the paper's encoder.
    joint_after: int | None = 4500
    joint_rate: float = 0.25  # of the generator's rate, from then on
    joint_adversarial: float = 0.3  # weight of the generator's adversarial loss from then on
    losses: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        if self.batch < 1 or self.noise < 0 or self.settle_steps < 0:
            raise ValueError(
                f'step.batch {self.batch}, step.noise {self.noise}, step.settle_steps '
                f'{self.settle_steps}: 1 or more, and 0 or more of both others are expected'
            )
        if self.joint_after is not None and self.joint_after < 0:
            raise ValueError(
                f'joint_after {self.joint_after}: 0 or more steps, or null, for never'
            )

    def phase(self, step: int) -> Phase:
        """Which networks the step of this number teaches."""
        if not self.generator_steps:
            return 'together'
        since = step - self.generator_steps
        if since < 0:
            return 'generator'
        return 'encoder' if self.joint_after is None or since < self.joint_after else 'joint'

    def encoder_rate(self, step: int) -> float:
        """Learning rate of the encoder after so many of its steps."""
        share = min(max(step, 0) / self.settle_steps, 1.0) if self.settle_steps else 0.0
        return self.encoder_learning_rate * (0.5 + 0.5 * math.cos(math.pi * share))
