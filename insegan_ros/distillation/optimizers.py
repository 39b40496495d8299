"""What updates the network's weights: Muon its kernels, AdamW the rest.

Muon (K. Jordan and others, 2024) makes every update of a kernel, seen as a matrix, nearly
orthogonal, so that no direction is learned much more slowly than others.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

KERNEL_RATE = 50.0  # learning rate of kernels, of the other weights'
KERNEL_DECAY = 0.01


class Optimizers:
    """Both, behind one learning rate."""

    def __init__(self, network: nn.Module, weight_decay: float) -> None:
        """Of a network in channels-last order whose memory no longer moves."""
        weights = list(network.parameters())
        self._kernels = [weight for weight in weights if _is_kernel(weight)]
        # (out, h * w * in): what Muon takes; they share the kernels' memory
        self._matrices = [_matrix(kernel.detach()) for kernel in self._kernels]
        self._muon = torch.optim.Muon(self._matrices, weight_decay=KERNEL_DECAY)
        others = [weight for weight in weights if not _is_kernel(weight)]
        self._adamw = torch.optim.AdamW(others, weight_decay=weight_decay)

    def step(self, rate: float) -> None:
        """Update all weights by their gradients."""
        for kernel, matrix in zip(self._kernels, self._matrices):
            gradient = kernel.grad
            if gradient is not None:
                gradient = _matrix(gradient.contiguous(memory_format=torch.channels_last))
            matrix.grad = gradient
        for optimizer, factor in ((self._muon, KERNEL_RATE), (self._adamw, 1.0)):
            for group in optimizer.param_groups:
                group['lr'] = factor * rate
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs."""
        return {'muon': self._muon.state_dict(), 'adamw': self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""
        self._muon.load_state_dict(state['muon'])
        self._adamw.load_state_dict(state['adamw'])


def _is_kernel(weight: Tensor) -> bool:
    """Of a convolution over more than one pixel."""
    return weight.ndim == 4 and weight.shape[2] > 1


def _matrix(kernel: Tensor) -> Tensor:
    """(out, in, h, w) in channels-last order -> (out, h * w * in), the same memory.

    Raises:
        RuntimeError: another order.
    """
    return kernel.permute(0, 2, 3, 1).view(len(kernel), -1)
