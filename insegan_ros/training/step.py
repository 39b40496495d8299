"""One update of InSeGAN's networks (paper 3.3, 3.4, 3.6): optimisers, averages, and a run's state.

What is minimised is in `objective`, whose turn it is in `step_config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from insegan_ros.model.generator import Generator
from insegan_ros.model.insegan import InSeGAN
from insegan_ros.model.set_encoder import SetEncoder
from insegan_ros.training.distributed import ALONE, Group
from insegan_ros.training.ema import Ema
from insegan_ros.training.loop import require_finite, require_finite_network
from insegan_ros.training.objective import Objective
from insegan_ros.training.step_config import LEARNING, Phase, StepConfig

HOW = ('capturable', 'foreach', 'fused')  # an optimiser works; nothing that it finds
EXPLODED = 40.0  # a loss above it counts as not finite


class Trainer:
    """The networks, their optimisers and their averages: all that a step changes."""

    def __init__(
        self,
        model: InSeGAN,
        config: StepConfig,
        precision: torch.dtype = torch.float32,
        *,
        group: Group = ALONE,
        capturable: bool = False,
    ) -> None:
        """Hold what a step needs.

        Args:
            precision: of convolutions and products; weights, losses and the warp stay float32.
            capturable: the optimisers can be part of a CUDA graph.
        """
        if not isinstance(model.encoder, SetEncoder):  # has no such phase
            config = replace(config, joint_after=None)
        self.model, self.config, self.group = model, config, group
        self.precision, self._capturable = precision, capturable
        self._optimizers = self._fresh_optimizers()
        self.ema: dict[str, Ema[nn.Module]] = {
            'generator': Ema(model.generator, config.ema),
            'encoder': Ema(model.encoder, config.ema),
        }
        self.steps = 0
        self._rng: torch.Generator | None = None  # None: the device's own

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """A trained generator and encoder; it is the encoder's turn.

        Args:
            weights: `generator.*` and `encoder.*`.

        Raises:
            RuntimeError: weights of other networks.
        """
        self.model.load_state_dict({**self.model.state_dict(), **weights})
        for name, ema in self.ema.items():
            ema.network.load_state_dict(getattr(self.model, name).state_dict())
        self._optimizers = self._fresh_optimizers()
        self.steps = self.config.generator_steps

    def _fresh_optimizers(self) -> dict[str, torch.optim.Adam]:
        rate, config = self.config.learning_rate, self.config
        poses = [p for n, p in self.model.generator.named_parameters() if '.pose.' in n]
        known = {id(p) for p in poses}
        rest = [p for p in self.model.generator.parameters() if id(p) not in known]
        groups = [{'params': rest}] + ([{'params': poses}] if poses else [])

        def adam(parameters: Any, rate: float) -> torch.optim.Adam:
            if self._capturable:
                return torch.optim.Adam(
                    parameters, rate, config.betas, capturable=True, foreach=True
                )
            return torch.optim.Adam(parameters, rate, config.betas, fused=True)  # one pass

        return {
            'discriminator': adam(
                self.model.discriminator.parameters(), rate * config.discriminator_rate
            ),
            'generator': adam(groups, rate),
            'encoder': adam(self.model.encoder.parameters(), config.encoder_learning_rate),
        }

    @property
    def phase(self) -> Phase:
        """Which networks the next step teaches."""
        return self.config.phase(self.steps)

    def begin_phase(self) -> None:
        """Before the first joint step the generator becomes its average, which E knows."""
        since = self.steps - self.config.generator_steps
        if self.phase == 'joint' and since == self.config.joint_after:
            self.model.generator.load_state_dict(self.frozen_generator.state_dict())

    @property
    def frozen_generator(self) -> Generator:
        """The averaged generator, on which the encoder learns."""
        network = self.ema['generator'].network
        assert isinstance(network, Generator)
        return network

    def step(self, real: Tensor, z: Tensor) -> dict[str, Tensor]:
        """One update of the networks whose turn it is.

        Args:
            real: (B, 1, S, S).
            z: (B, n, d) latents of the generated batch.

        Returns:
            Each loss by name, unweighted, averaged over all processes.

        Raises:
            FloatingPointError: a loss is not finite or exploded, or a gradient is not finite; no
                weight has been changed then.
        """
        # what is drawn depends on the step alone: a resumed run draws the same
        number = self.steps * self.group.size + self.group.rank
        self._rng = torch.Generator(device=real.device).manual_seed(number)
        self.begin_phase()
        self.zero_gradients()
        total, found = self.losses(real, z)
        total.backward()
        told = torch.stack([value.detach().float() for value in found.values()])
        self.group.average([told])
        named = {f'L_{name}': value for name, value in zip(found, told)}
        require_finite(named, self.steps, EXPLODED)
        for name in self.learning:
            self.group.average_gradients(getattr(self.model, name))
        self.require_finite_networks()
        self._update()
        return dict(zip(found, told))

    def zero_gradients(self) -> None:
        """Of all networks."""
        for optimizer in self._optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    def losses(self, real: Tensor, z: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the next step's losses, and each of them by name."""
        self.model.train()
        step = Objective(self.model, self.frozen_generator, self.config, self.steps, self._rng)
        with self._autocast(real):
            return step.losses(real, z)

    @property
    def learning(self) -> tuple[str, ...]:
        """The networks that the next step teaches, by name."""
        return LEARNING[self.phase]

    def require_finite_networks(self) -> None:
        """Raises: FloatingPointError, where a weight or gradient that is learned is no number."""
        for name in self.learning:
            require_finite_network(getattr(self.model, name), name, self.steps)

    def _update(self) -> None:
        learning = self.learning
        self.descend()
        self.steps += 1
        for name in set(learning) & set(self.ema):
            self.ema[name].update(getattr(self.model, name), self.steps)

    def descend(self) -> None:
        """Move the weights of the networks whose turn it is along their gradients."""
        config = self.config
        first, *poses = self._optimizers['generator'].param_groups
        first['lr'] = config.learning_rate * (config.joint_rate if self.phase == 'joint' else 1)
        for group in poses:
            held = self.steps < config.held_steps
            group['lr'] = first['lr'] * (config.held_rate if held else config.pose_rate)
        for group in self._optimizers['encoder'].param_groups:
            group['lr'] = config.encoder_rate(self.steps - config.generator_steps)
        for name in self.learning:
            self._optimizers[name].step()

    def _autocast(self, real: Tensor) -> torch.autocast:
        # no cache: a weight cast while its network was not frozen would still pass gradients
        enabled = self.precision != torch.float32
        return torch.autocast(
            real.device.type, self.precision, enabled=enabled, cache_enabled=False
        )

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, tensors and plain values."""
        return {
            'steps': self.steps,
            'model': self.model.state_dict(),
            'ema': {name: ema.network.state_dict() for name, ema in self.ema.items()},
            'optimizers': {name: o.state_dict() for name, o in self._optimizers.items()},
        }

    def restore(self, state: Mapping[str, Any], fresh: bool = False) -> None:
        """Go on from a state of `state`.

        Args:
            fresh: the optimisers begin anew, as after a loss that exploded.

        Raises:
            RuntimeError or KeyError: a state of other networks.
        """
        self.model.load_state_dict(state['model'])
        for name, ema in self.ema.items():
            ema.network.load_state_dict(state['ema'][name])
        if fresh:
            self._optimizers = self._fresh_optimizers()
        else:
            for name, optimizer in self._optimizers.items():
                own = {key: optimizer.param_groups[0][key] for key in HOW}
                optimizer.load_state_dict(state['optimizers'][name])
                for group in optimizer.param_groups:
                    if group['capturable'] != self._capturable:  # it was on another device
                        group.update(own)
        self.steps = int(state['steps'])
