"""BO-QSA: Slot Attention whose slots begin where they have learned to (Jia et al., ICLR 2023).

Each slot has a start of its own, so that no lottery decides which slot takes what. The attention's
fixed point is looked for without gradients; the last update alone has them, and the start gets the
last update's gradient as if it had been its input (straight through).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from insegan_ros.baselines.learned.slot_attention import SlotAutoencoder, SlotConfig


class QuerySlotAutoencoder(SlotAutoencoder):
    """The same autoencoder with learned starts and a straight-through gradient."""

    def __init__(self, config: SlotConfig) -> None:
        super().__init__(config)
        del self.mean, self.log_spread
        self.queries = nn.Parameter(torch.empty(1, self.slots, config.width))
        nn.init.xavier_uniform_(self.queries)
        self.noise_shape = ()  # nothing is random

    def starts(self, noise: Tensor) -> Tensor:
        """(B, K, D): the learned ones, whatever the noise."""
        return self.queries.expand(len(noise), -1, -1)

    def attend(self, features: Tensor, noise: Tensor) -> Tensor:
        """(B, M, D) features -> (B, K, D) slots, with the last update's gradient."""
        keys, values = self.attention.read(features)
        starts = self.starts(noise)
        with torch.no_grad():
            slots = starts
            for _ in range(self.config.iterations - 1):
                slots = self.attention(slots, keys, values)
        return self.attention(slots + starts - starts.detach(), keys, values)
