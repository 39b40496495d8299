"""The code of an instance: the numbers that say how an image shows it.

In 3-D these are the twelve of a rigid motion [R | t], row by row. Where there are several
templates a gate follows, a number for each: 1 for the template that is posed, 0 for the others.
In 2-D the code is the latent itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOTION = 12  # numbers of a rigid motion


def gates(templates: int) -> int:
    """Numbers of a gate; one template needs none."""
    return templates if templates > 1 else 0


def parted(codes: Tensor) -> tuple[Tensor, Tensor]:
    """3-D codes (..., 12 + K) -> rigid motions (..., 3, 4), gates (..., K); K may be 0."""
    return codes[..., :MOTION].unflatten(-1, (3, 4)), codes[..., MOTION:]


def joined(motions: Tensor, gate: Tensor) -> Tensor:
    """Rigid motions (..., 3, 4), gates (..., K) -> 3-D codes (..., 12 + K)."""
    return torch.cat([motions.flatten(-2), gate], dim=-1)


def one_hot(scores: Tensor) -> Tensor:
    """(..., K) -> 1 for the greatest of the K, 0 for the others; gradients are the softmax's."""
    if not scores.shape[-1]:
        return scores
    each = torch.arange(scores.shape[-1], device=scores.device)
    hard = (scores.argmax(dim=-1, keepdim=True) == each).to(scores.dtype)
    soft = scores.softmax(dim=-1)
    return hard + (soft - soft.detach())
