"""One update of the discriminator, the generator and the encoder (paper 3.3, 3.4, 3.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from insegan_ros.model import losses
from insegan_ros.model.insegan import InSeGAN
from insegan_ros.model.matching import match
from insegan_ros.training.distributed import ALONE, Group
from insegan_ros.training.ema import Ema
from insegan_ros.training.loop import require_finite


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses (Eq. 3 to 6); 0 switches one off."""

    discriminator: float = 1.0
    generator: float = 1.0
    alignment: float = 1.0  # L_a
    intermediate: float = 1.0  # L_i, lambda_1
    pose: float = 1.0  # L_p, lambda_2
    pose_norm: Literal['l1', 'l2'] = 'l1'
    matching: Literal['ot', 'hungarian', 'greedy'] = 'ot'


@dataclass(frozen=True)
class StepConfig:
    """How the networks are updated; learning rates and betas are the paper's."""

    batch: int = 128
    learning_rate: float = 2e-4  # of generator and discriminator
    encoder_learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.99)
    ema: float = 0.999  # of generator and encoder
    losses: LossConfig = field(default_factory=LossConfig)


class Trainer:
    """The networks, their optimisers and their averages: all that a step changes."""

    def __init__(
        self,
        model: InSeGAN,
        config: StepConfig,
        precision: torch.dtype = torch.float32,
        group: Group = ALONE,
    ) -> None:
        """Hold what a step needs.

        Args:
            precision: of convolutions and products; weights, losses and the warp stay float32.
        """
        self.model, self.config, self.group = model, config, group
        self._precision = precision

        def adam(network: nn.Module, rate: float) -> torch.optim.Adam:
            return torch.optim.Adam(network.parameters(), lr=rate, betas=config.betas)

        self._optimizers = {
            'discriminator': adam(model.discriminator, config.learning_rate),
            'generator': adam(model.generator, config.learning_rate),
            'encoder': adam(model.encoder, config.encoder_learning_rate),
        }
        self.ema: dict[str, Ema[nn.Module]] = {
            'generator': Ema(model.generator, config.ema),
            'encoder': Ema(model.encoder, config.ema),
        }
        self.steps = 0

    def step(self, real: Tensor, z: Tensor) -> dict[str, Tensor]:
        """One update of all three networks.

        One generated batch serves all three: the discriminator and the encoder see its image as
        data, and the encoder's loss L_p re-renders it with the generator's weights held fixed.

        Args:
            real: (B, 1, S, S).
            z: (B, n, d) latents of the generated batch.

        Returns:
            Each loss by name, unweighted, averaged over all processes.

        Raises:
            FloatingPointError: a loss is not finite; no weight has been changed then.
        """
        model, weights = self.model.train(), self.config.losses
        for optimizer in self._optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        with self._autocast(real):
            fake, features = model.generator(z)
            seen, features = fake.detach(), features.detach()
            d_loss = losses.discriminator_loss(
                model.discriminator(real).float(), model.discriminator(seen).float()
            )
            with frozen(model.discriminator):
                g_loss = losses.generator_loss(model.discriminator(fake).float())
            z_hat, derendered = model.encoder(seen)
            z_hat = z_hat.float()
            a_loss = losses.alignment_loss(z, z_hat, match(z, z_hat, weights.matching))
            i_loss = losses.intermediate_loss(features.float(), derendered.float())
            p_loss = torch.zeros_like(a_loss)
            if weights.pose:
                with frozen(model.generator):
                    again = model.generator(z_hat)[0]
                p_loss = losses.pose_loss(seen.float(), again.float(), weights.pose_norm)
        # Eq. 7; each term reaches one network's weights
        total = weights.discriminator * d_loss + weights.generator * g_loss
        total = total + weights.alignment * a_loss + weights.intermediate * i_loss
        (total + weights.pose * p_loss).backward()
        found = {'D': d_loss, 'G': g_loss, 'a': a_loss, 'i': i_loss, 'p': p_loss}
        told = torch.stack([value.detach() for value in found.values()])
        self.group.average([told])
        require_finite({f'L_{name}': value for name, value in zip(found, told)}, self.steps)
        for name, optimizer in self._optimizers.items():
            self.group.average_gradients(getattr(model, name))
            optimizer.step()
        self.steps += 1
        for name, ema in self.ema.items():
            ema.update(getattr(model, name), self.steps)
        return dict(zip(found, told))

    def _autocast(self, real: Tensor) -> torch.autocast:
        # no cache: a weight cast while its network was not frozen would still pass gradients
        enabled = self._precision != torch.float32
        return torch.autocast(
            real.device.type, self._precision, enabled=enabled, cache_enabled=False
        )

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, tensors and plain values."""
        return {
            'steps': self.steps,
            'model': self.model.state_dict(),
            'ema': {name: ema.network.state_dict() for name, ema in self.ema.items()},
            'optimizers': {name: o.state_dict() for name, o in self._optimizers.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises: RuntimeError or KeyError, for a state of other networks."""
        self.model.load_state_dict(state['model'])
        for name, ema in self.ema.items():
            ema.network.load_state_dict(state['ema'][name])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state['optimizers'][name])
        self.steps = int(state['steps'])


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through, and reach none of the network's weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
