"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar('N', bound=nn.Module)


class Ema(Generic[N]):
    """A copy of a network that follows it slowly; `decay` 0 keeps it equal."""

    def __init__(self, network: N, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f'decay {decay}: 0 <= decay < 1 is expected')
        self.network: N = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """An update of the full decay, all weights at once; for networks without buffers."""
        ours: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - self._decay)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """After `step` updates; early on it follows faster."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for ours, theirs in zip(self.network.parameters(), network.parameters()):
            ours.lerp_(theirs, 1 - decay)
        for kept, newest in zip(self.network.buffers(), network.buffers()):
            kept.copy_(newest)
