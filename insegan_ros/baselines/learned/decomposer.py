"""What a learned baseline is: a network that splits an image of the bin into its parts."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

# Crops of the bin are -1 where no part is seen and 0.1 to 0.9 where one is (`crop.CropConfig`,
# coding `gap`).
PART_ABOVE = -0.45


def part_mask(images: Tensor) -> Tensor:
    """(..., S, S) coded crops -> (..., S, S) bool: where a part is seen."""
    return images > PART_ABOVE


class Decomposer(nn.Module, ABC):
    """A network, its loss, and how its segments are read.

    Whatever is random is given as `noise`, standard normal numbers of `noise_shape` per image, so
    that a resumed run replays what an unbroken one would have done.
    """

    noise_shape: tuple[int, ...]

    @abstractmethod
    def losses(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Scalars by name; `total` is what training minimises.

        Args:
            images: (B, 1, S, S) coded crops.
            noise: (B, *noise_shape).
        """

    @abstractmethod
    def parts(self, images: Tensor, noise: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B, n, S, S) in [0, 1]: a pixel of a part belongs to the largest.

        Gradients must be enabled or merely disabled: no inference mode (IODINE needs them).
        """

    @torch.no_grad()
    def labels(self, images: Tensor, noise: Tensor) -> Tensor:
        """(B, S, S) int64: 1 + the part's index, 0 where no part is seen."""
        return torch.where(part_mask(images[:, 0]), 1 + self.parts(images, noise).argmax(1), 0)


def without_background(masks: Tensor, images: Tensor) -> Tensor:
    """(B, n + 1, S, S) masks of slots -> (B, n, S, S): less the one with the fewest part pixels.

    Which pixels show no part is known from the bin's floor, as it is to the classical methods.
    That one is the floor's slot where there is one, and else one that shares the floor with all
    others: slots spread over a uniform background.
    """
    slots = masks.shape[1]
    owner = masks.argmax(dim=1, keepdim=True)  # (B, 1, S, S)
    owned = torch.arange(slots, device=masks.device)[:, None, None] == owner
    won = (owned & part_mask(images)).sum((2, 3))  # (B, n + 1)
    kept = won.argsort(dim=1, stable=True)[:, 1:].sort(dim=1).values
    return masks.gather(1, kept[..., None, None].expand(-1, -1, *masks.shape[2:]))


def coordinates(size: int) -> Tensor:
    """(2, size, size): x and y of every pixel's centre, -1 to 1 from edge to edge."""
    line = (torch.arange(size) + 0.5) * (2 / size) - 1
    y, x = torch.meshgrid(line, line, indexing='ij')
    return torch.stack([x, y])
