"""Noise on images that a generator made, drawn on their device."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """N(0, 1) of a tensor's shape, on its device."""
    return torch.randn(like.shape, device=like.device, generator=generator)


def measured(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Generated images (B, 1, S, S) with a depth camera's noise and pixels without a value."""
    device = images.device
    spread = 0.03 * torch.rand((len(images), 1, 1, 1), device=device, generator=generator)
    images = images + spread * normal(images, generator)
    hole = torch.rand(images.shape, device=device, generator=generator) < 0.01
    return torch.where(hole, -1.0, images).clamp(-1, 1)
