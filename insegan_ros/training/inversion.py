"""What an encoder learns from scenes that a generator drew, and from real frames (paper 3.4, 3.6).

Scenes are drawn once for all that learn from them; the generator's weights are held fixed, but
for real frames in a joint phase.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from insegan_ros.model import losses, set_losses
from insegan_ros.model.encoder import Encoder
from insegan_ros.model.generator import Generator
from insegan_ros.model.matching import match
from insegan_ros.model.set_encoder import SetEncoder
from insegan_ros.training.noise import measured
from insegan_ros.training.step_config import LossConfig

Named = tuple[Tensor, dict[str, Tensor]]  # a weighted sum of losses, and each unweighted by name


@dataclass(frozen=True)
class Drawn:
    """Scenes that a generator drew, and what is known of them."""

    image: Tensor  # (B, 1, S, S) float32
    known: tuple[Tensor, ...]  # what the encoder is taught by

    def detached(self) -> Drawn:
        """The same without gradients."""
        return Drawn(self.image.detach(), tuple(some.detach() for some in self.known))


class LatentInversion:
    """Of the paper's encoder, which names all latents at once: L_a, L_i and L_p (Eq. 4 to 6)."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def draw(self, generator: Generator, z: Tensor) -> Drawn:
        """Scenes of latents (B, n, d); known are these and the mean feature maps."""
        image, features = generator(z)
        return Drawn(image.float(), (z, features.float()))

    def losses(self, generator: Generator, drawn: Drawn, weights: LossConfig) -> Named:
        """The weighted sum, and L_a, L_i, L_p."""
        z, features = drawn.known
        with frozen(generator):
            z_hat, derendered = self._encoder(drawn.image)
            z_hat = z_hat.float()
            a_loss = losses.alignment_loss(z, z_hat, match(z, z_hat, weights.matching))
            i_loss = losses.intermediate_loss(features, derendered.float())
            p_loss = torch.zeros_like(a_loss)
            if weights.pose:
                again = generator(z_hat)[0].float()
                p_loss = losses.pose_loss(drawn.image, again, weights.pose_norm)
        total = weights.alignment * a_loss + weights.intermediate * i_loss
        return total + weights.pose * p_loss, {'a': a_loss, 'i': i_loss, 'p': p_loss}


class SetInversion:
    """Of a set encoder: where each instance is seen, how it lies, and what that renders."""

    def __init__(self, encoder: SetEncoder) -> None:
        self._encoder = encoder

    def draw(self, generator: Generator, z: Tensor) -> Drawn:
        """Scenes of latents (B, n, d); known are codes and each instance alone."""
        codes = generator.place(z)
        image, alone = generator.render_both(codes)
        return Drawn(image.float(), (codes, alone.float()))

    def losses(
        self,
        generator: Generator,
        drawn: Drawn,
        weights: LossConfig,
        *,
        turns: bool,
        rng: torch.Generator | None,
    ) -> Named:
        """The weighted sum, and each loss.

        Args:
            turns: rotations are compared with the true ones. Equal parts have many right ones, so
                an encoder only begins with that.
            rng: of the camera's noise that images are given.
        """
        codes, alone = drawn.known
        encoder = self._encoder
        found = set_losses.seen(alone)
        heat, features = encoder(measured(drawn.image, rng))
        again, scores = encoder.codes_and_scores(features, found.cells)
        placed = torch.where(found.asked[..., None] > 0.5, again, codes)
        with frozen(generator):
            rendered, single = (some.float() for some in generator.render_both(placed))
        named = {
            'centre': set_losses.centre_loss(heat, found),
            'each': set_losses.appearance_loss(alone, single, found.asked),
            'p': losses.pose_loss(drawn.image, rendered, weights.pose_norm),
        }
        total = weights.centre * named['centre'] + weights.appearance * named['each']
        total = total + 5 * weights.pose * named['p']
        if generator.kind == '3d':
            turn, move = set_losses.motion_loss(codes, again, found.asked)
            total = total + weights.motion * (move + 0.5 * turn * turns)
            named['move'] = move
        if generator.gates:
            named['template'] = set_losses.template_loss(codes, scores, found.asked)
            total = total + weights.template * named['template']
        return total, named

    def real_loss(self, generator: Generator, real: Tensor, count: int) -> Tensor:
        """How far the re-rendering of real frames (B, 1, S, S) with `count` instances is off."""
        explained = generator.render_both(self._encoder.explain(real, count))[0].float()
        return losses.pose_loss(real, explained)


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
