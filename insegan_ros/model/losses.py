"""The paper's losses, pure functions of tensors; their weights are the training step's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """L_D (Eq. 3): -log D(x) - log(1 - D(G(Z))), means over the batch."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """L_G (Eq. 3): -log D(G(Z))."""
    return F.softplus(-fake_logits).mean()


def alignment_loss(z: Tensor, z_hat: Tensor, matching: Tensor) -> Tensor:
    """L_a (Eq. 4): mean square between latents (B, n, d) and their matches, (B, n) indices."""
    matched = z_hat.gather(1, matching[..., None].expand_as(z_hat))
    return F.mse_loss(matched, z)


def intermediate_loss(features: Tensor, derendered: Tensor) -> Tensor:
    """L_i (paper 3.4): mean square between the mean feature map and the derendered one."""
    return F.mse_loss(derendered, features)


def pose_loss(image: Tensor, rerendered: Tensor, norm: str = 'l1') -> Tensor:
    """L_p (Eq. 5): difference between G(Z) and G(E(G(Z))); 'l1' (paper) or 'l2'."""
    return (F.l1_loss if norm == 'l1' else F.mse_loss)(rerendered, image)
