"""What InSeGAN's networks minimise in one step (paper 3.3, 3.4, 3.6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from insegan_ros.model import losses, set_losses
from insegan_ros.model.generator import Generator
from insegan_ros.model.insegan import InSeGAN
from insegan_ros.model.matching import match
from insegan_ros.model.set_encoder import SetEncoder
from insegan_ros.training.noise import measured, normal
from insegan_ros.training.step_config import Phase, StepConfig


@dataclass(frozen=True)
class Drawn:
    """Scenes that a generator drew, once for all that learn from them."""

    image: Tensor  # (B, 1, S, S) float32
    # what the encoder is taught by: latents and mean feature map, or codes and each one alone
    known: tuple[Tensor, Tensor]

    def detached(self) -> Drawn:
        """The same without gradients."""
        first, second = self.known
        return Drawn(self.image.detach(), (first.detach(), second.detach()))


@dataclass(frozen=True)
class Objective:
    """The losses of one step."""

    model: InSeGAN
    averaged: Generator  # on which the encoder learns where it learns alone
    config: StepConfig
    step: int  # its number
    rng: torch.Generator | None = None  # None: the device's own

    @property
    def phase(self) -> Phase:
        """Which networks the step teaches."""
        return self.config.phase(self.step)

    @property
    def _sees_real(self) -> bool:
        return self.step >= self.config.generator_steps + self.config.real_after

    def losses(self, real: Tensor, z: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Their weighted sum, and each of them by name.

        Args:
            real: (B, 1, S, S).
            z: (B, n, d) latents of the generated batch.
        """
        if self.phase != 'encoder':
            return self._adversarial_losses(real, z)
        with torch.no_grad():
            drawn = self._draw(self.averaged, z)
        return self._inversion_losses(self.averaged, real, drawn)

    def _draw(self, generator: Generator, z: Tensor) -> Drawn:
        if self.phase == 'generator' or not isinstance(self.model.encoder, SetEncoder):
            image, features = generator(z)
            return Drawn(image.float(), (z, features.float()))
        codes = generator.place(z)
        image, alone = generator.render_both(codes)
        return Drawn(image.float(), (codes, alone.float()))

    def _noisy(self, images: Tensor) -> Tensor:
        if not self.config.noise:
            return images
        return images + self.config.noise * normal(images, self.rng)

    def _adversarial_losses(self, real: Tensor, z: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 7: one generated batch serves all networks; each term reaches one's weights."""
        model, weights = self.model, self.config.losses
        drawn = self._draw(model.generator, z)
        fake = drawn.image
        d_loss = losses.discriminator_loss(
            model.discriminator(self._noisy(real)).float(),
            model.discriminator(self._noisy(fake.detach())).float(),
        )
        with frozen(model.discriminator):
            g_loss = losses.generator_loss(model.discriminator(self._noisy(fake)).float())
        share = self.config.joint_adversarial if self.phase == 'joint' else 1.0
        total = weights.discriminator * d_loss + share * weights.generator * g_loss
        found = {'D': d_loss, 'G': g_loss}
        if self.phase != 'generator':
            more, named = self._inversion_losses(model.generator, real, drawn.detached())
            total, found = total + more, found | named
        return total, found

    def _inversion_losses(
        self, generator: Generator, real: Tensor, drawn: Drawn
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_E of either encoder; the generator's weights are held fixed, but for real frames."""
        weights = self.config.losses
        if isinstance(self.model.encoder, SetEncoder):
            with frozen(generator):
                total, named = self._set_losses(self.model.encoder, generator, drawn)
            if weights.real and self._sees_real:
                with nullcontext() if self.phase == 'joint' else frozen(generator):
                    codes = self.model.encoder.explain(real, drawn.known[0].shape[1])
                    explained = generator.render_both(codes)[0].float()
                named['real'] = losses.pose_loss(real, explained)
                total = total + weights.real * named['real']
            return total, named
        image, (z, features) = drawn.image, drawn.known
        with frozen(generator):
            z_hat, derendered = self.model.encoder(image)
            z_hat = z_hat.float()
            a_loss = losses.alignment_loss(z, z_hat, match(z, z_hat, weights.matching))
            i_loss = losses.intermediate_loss(features, derendered.float())
            p_loss = torch.zeros_like(a_loss)
            if weights.pose:
                p_loss = losses.pose_loss(image, generator(z_hat)[0].float(), weights.pose_norm)
        total = weights.alignment * a_loss + weights.intermediate * i_loss
        return total + weights.pose * p_loss, {'a': a_loss, 'i': i_loss, 'p': p_loss}

    def _set_losses(
        self, encoder: SetEncoder, generator: Generator, drawn: Drawn
    ) -> tuple[Tensor, dict[str, Tensor]]:
        weights, image, (codes, alone) = self.config.losses, drawn.image, drawn.known
        found = set_losses.seen(alone)
        heat, features = encoder(measured(image, self.rng))
        again, scores = encoder.codes_and_scores(features, found.cells)
        known = torch.where(found.asked[..., None] > 0.5, again, codes)
        rendered, single = (some.float() for some in generator.render_both(known))
        named = {
            'centre': set_losses.centre_loss(heat, found),
            'each': set_losses.appearance_loss(alone, single, found.asked),
            'p': losses.pose_loss(image, rendered, weights.pose_norm),
        }
        total = weights.centre * named['centre'] + weights.appearance * named['each']
        total = total + 5 * weights.pose * named['p']
        if generator.kind == '3d':
            turn, move = set_losses.motion_loss(codes, again, found.asked)
            # equal parts have many right rotations: these only begin with the true ones
            total = total + weights.motion * (move + 0.5 * turn * (not self._sees_real))
            named['move'] = move
        if generator.gates:
            named['template'] = set_losses.template_loss(codes, scores, found.asked)
            total = total + weights.template * named['template']
        return total, named


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through, and reach none of the network's weights."""
    before = [(p, p.requires_grad) for p in network.parameters()]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, learns in before:
            parameter.requires_grad_(learns)
