"""Slot Attention: slots compete for an image's features (Locatello et al. 2020, algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-6  # to each feature's share, so that a slot without any has a mean


class SlotAttention(nn.Module):
    """One update of K slots by M features: normalised over slots, averaged over features."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self._scale = width**-0.5
        self.norm_features, self.norm_slots = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.update = nn.GRUCell(width, width)
        self.residual = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width)
        )

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, D) features -> keys and values, which all updates share."""
        features = self.norm_features(features)
        return self.key(features), self.value(features)

    def forward(self, slots: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, K, D) slots, (B, M, D) keys and values -> (B, K, D)."""
        queries = self.query(self.norm_slots(slots)) * self._scale
        scores = torch.einsum('bkd,bmd->bkm', queries, keys)
        share = scores.float().softmax(dim=1) + EPSILON  # slots compete for every feature
        share = share / share.sum(dim=2, keepdim=True)
        seen = torch.einsum('bkm,bmd->bkd', share.to(values.dtype), values)
        updated = self.update(seen.flatten(0, 1), slots.flatten(0, 1)).unflatten(
            0, slots.shape[:2]
        )
        return updated + self.residual(updated)
