"""Shapes that a reconstruction begins with: one of the crops made solid, or a blob."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from insegan_ros.discovery.crops import Crops


def first_shape(
    crops: Crops, k: int, generator: torch.Generator, *, broad: tuple[float, float]
) -> Tensor:
    """(G, G, G) logits: a crop extruded downwards, or for each third k a smooth blob.

    Args:
        broad: quantiles of the crops' areas between which one is chosen.
    """
    grid = crops.mask.shape[1]
    line = (torch.arange(grid) + 0.5) / grid - 0.5
    if k % 3 != 2:
        low, high = broad
        among = np.argsort(crops.mask.sum((1, 2)))[round(low * len(crops)) :]
        among = among[: max(1, round((high - low) * len(crops)))]
        n = int(among[int(torch.randint(len(among), (1,), generator=generator))])
        mask, height = torch.from_numpy(crops.mask[n]), torch.from_numpy(crops.height[n])
        thick = crops.width_m * (0.15 + 0.35 * float(torch.rand(1, generator=generator)))
        middle = float((height * mask).sum() / mask.sum()) - thick / 2
        z = line[:, None, None] * crops.width_m
        top = height[None] - middle
        inside = (z < top) & (z > top.amax() - thick - (top.amax() - top)) & (mask[None] > 0)
        solid = inside.permute(2, 1, 0).float()  # z, y, x -> x, y, z
        return functional.avg_pool3d(solid[None, None], 3, 1, 1)[0, 0] * 6 - 3
    noise = torch.randn(1, 1, 5, 5, 5, generator=generator)
    noise = functional.interpolate(noise, size=(grid,) * 3, mode='trilinear')[0, 0]
    x, y, z = torch.meshgrid(line, line, line, indexing='ij')
    return 6 * (0.3 - (x * x + y * y + z * z).sqrt()) / 0.3 + 2 * noise
