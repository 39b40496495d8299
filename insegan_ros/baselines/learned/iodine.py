"""IODINE: slots refined by the gradient of their likelihood (Greff et al., ICML 2019).

Each of n + 1 slots has a Gaussian posterior. A spatial broadcast decoder turns its sample into an
image and a mask; the masks mix the slots' pixelwise Gaussians. A recurrent network sees how badly
the mixture explains the image, and in which direction it would improve, and moves the posteriors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insegan_ros.baselines.learned.decomposer import Decomposer, coordinates, without_background

INPUTS = 11  # images that the refinement network sees, coordinates included


@dataclass(frozen=True)
class IodineConfig:
    """Sizes; smaller than the published ones in image size and latents."""

    instances: int = 5
    image_size: int = 32  # px, a multiple of 8
    channels: int = 32  # of decoder and refinement network
    latent: int = 16  # of a slot
    hidden: int = 128  # of the recurrent network
    refinements: int = 5
    scale: float = 0.1  # standard deviation of a pixel about its slot's mean

    def __post_init__(self) -> None:
        if self.image_size % 8 or self.instances < 1 or self.refinements < 1:
            raise ValueError(
                f'image_size {self.image_size}, instances {self.instances}, refinements '
                f'{self.refinements}: a multiple of 8, and at least 1, are expected'
            )


class Iodine(Decomposer):
    """Decoder, refinement network and where all posteriors begin."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        self.config = config
        self.slots = config.instances + 1
        self.noise_shape = (config.refinements + 1, self.slots, config.latent)
        self.decoder = BroadcastDecoder(config)
        self.refine = Refinement(config)
        self.start = nn.Parameter(torch.zeros(1, 1, 2 * config.latent))  # mean, log deviation

    def losses(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Nats a pixel; `total` weighs later refinements more, `bound` is the last one's."""
        bounds, _ = self.infer(images, noise, learn=True)
        weights = torch.arange(1, len(bounds) + 1, device=images.device) / len(bounds)
        return {'total': (bounds * weights).sum(), 'bound': bounds[-1]}

    def parts(self, images: Tensor, noise: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B, n, S, S): the slots' masks, less the floor's."""
        return without_background(self.infer(images, noise, learn=False)[1], images)

    @torch.enable_grad()
    def infer(self, images: Tensor, noise: Tensor, learn: bool) -> tuple[Tensor, Tensor]:
        """Refine the posteriors of (B, 1, S, S) images.

        Returns:
            (T + 1,) negative evidence bounds, nats a pixel; (B, K, S, S) the last masks.
        """
        batch, pixels = len(images), images[0].numel()
        posterior = self.start.expand(batch, self.slots, -1)
        state = self.refine.start(batch * self.slots, images)
        bounds = []
        for t in range(self.config.refinements + 1):
            if not learn:  # every refinement by itself: nothing is kept for a gradient
                posterior = posterior.detach()
                state = tuple(part.detach() for part in state)
            if not posterior.requires_grad:
                posterior.requires_grad_()
            mean, log_deviation = posterior.float().chunk(2, dim=-1)
            means, logits = self.decoder(mean + log_deviation.exp() * noise[:, t])
            log_likelihood, shares = mixture(means, logits, images, scale=self.config.scale)
            bound = (divergence(mean, log_deviation) - log_likelihood.sum((1, 2))).mean() / pixels
            bounds.append(bound if learn else bound.detach())
            if t == self.config.refinements:
                break
            slopes = torch.autograd.grad(
                bound * (batch * pixels), (means, logits, posterior), retain_graph=learn
            )
            seen = self.inputs(
                images, means, logits, log_likelihood=log_likelihood, shares=shares, slopes=slopes
            )
            posterior, state = self.refine(seen, posterior, slopes[2], state=state)
        return torch.stack(bounds), logits.softmax(dim=1).detach()

    def inputs(
        self, images: Tensor, means: Tensor, logits: Tensor, *, log_likelihood: Tensor,
        shares: Tensor, slopes: tuple[Tensor, ...],
    ) -> Tensor:  # fmt: skip
        """(B*K, INPUTS - 2, S, S): what each slot is given of every pixel."""
        masks = logits.softmax(dim=1)
        # the likelihood were this slot not there; its logarithm, safe where it is the only one
        others = log_likelihood[:, None] + (1 - shares).clamp(min=1e-4).log()
        one = images.expand_as(means)
        likelihood = log_likelihood[:, None].expand_as(means)
        own = [one, means, masks, logits, shares]
        normalised = [slopes[0], slopes[1], likelihood, others]
        size = means.shape[-2:]
        own += [F.layer_norm(values.detach(), size) for values in normalised]
        return torch.stack(own, dim=2).flatten(0, 1)


def mixture(
    means: Tensor, logits: Tensor, images: Tensor, *, scale: float
) -> tuple[Tensor, Tensor]:
    """log of sum_k m_k N(x; mean_k, scale) by pixel (B, S, S), and each slot's share of it.

    Args:
        means, logits: (B, K, S, S).
        images: (B, 1, S, S).
    """
    normal = -0.5 * ((images - means) / scale) ** 2 - math.log(scale * math.sqrt(2 * math.pi))
    joint = logits.log_softmax(dim=1) + normal
    return joint.logsumexp(dim=1), joint.softmax(dim=1)


def divergence(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """KL from N(0, 1) of Gaussians (B, K, Z): (B,), in nats, over slots and dimensions."""
    kl = 0.5 * (mean**2 + (2 * log_deviation).exp() - 1) - log_deviation
    return kl.sum((1, 2))


class BroadcastDecoder(nn.Module):
    """(B, K, Z) -> means and mask logits, each (B, K, S, S): a latent repeated at every pixel."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        c = config.channels
        self.register_buffer('grid', coordinates(config.image_size)[None], persistent=False)
        self.grid: Tensor
        # the first convolution of what is the same at every pixel: a linear layer and a place
        self.first = nn.Linear(config.latent, c)
        self.place = nn.Conv2d(2, c, 3, 1, 1)
        layers: list[nn.Module] = [nn.ELU()]
        for _ in range(3):
            layers += [nn.Conv2d(c, c, 3, 1, 1), nn.ELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(c, 2, 3, 1, 1))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, Z) -> means and mask logits, each (B, K, S, S)."""
        each = self.first(latents.flatten(0, 1))[..., None, None] + self.place(self.grid)
        images = self.layers(each).float().unflatten(0, latents.shape[:2])
        return images[:, :, 0], images[:, :, 1]


class Refinement(nn.Module):
    """Convolutions of what a slot sees, then an LSTM over the refinements."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        c, latent = config.channels, config.latent
        self.register_buffer('grid', coordinates(config.image_size)[None], persistent=False)
        self.grid: Tensor
        layers: list[nn.Module] = []
        for channels in (INPUTS, c, c):
            layers += [nn.Conv2d(channels, c, 3, 2, 1), nn.ELU()]
        self.look = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, config.hidden), nn.ELU()
        )
        self.recur = nn.LSTMCell(config.hidden + 4 * latent, config.hidden)
        self.move = nn.Linear(config.hidden, 2 * latent)

    def start(self, count: int, like: Tensor) -> tuple[Tensor, ...]:
        """The recurrent state before the first refinement."""
        zero = torch.zeros(count, self.recur.hidden_size, device=like.device)
        return zero, zero

    def forward(
        self, seen: Tensor, posterior: Tensor, slope: Tensor, *, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B*K, INPUTS - 2, S, S), (B, K, 2Z) posterior and its gradient -> the next posterior."""
        grid = self.grid.expand(len(seen), -1, -1, -1)
        looked = self.look(torch.cat([seen, grid], dim=1))
        slope = F.layer_norm(slope.detach(), slope.shape[-1:])
        told = torch.cat([posterior, slope], dim=-1).flatten(0, 1)
        state = self.recur(torch.cat([looked, told.to(looked.dtype)], dim=1), state)
        moved = self.move(state[0]).float().unflatten(0, posterior.shape[:2])
        return posterior + moved, state
