"""Views of a template beside crops: how much they disagree, wherever the crop's part lies."""

from __future__ import annotations

import torch
from torch import Tensor

from insegan_ros.model.template import render

BATCH = 128  # views rendered at once


def centred_views(
    occupancy: Tensor, voxel_m: float, rotations: Tensor, *, pixels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Masks and heights (B, P, P) with the silhouette's extent centred; shifts (B, 2) to it."""
    masks, heights, shifts = [], [], []
    line = torch.arange(pixels, device=occupancy.device)
    for turns in rotations.split(BATCH):
        views = render(occupancy, voxel_m, turns, shifts=None, pixels=pixels)
        mask = views.silhouette > 0.5
        offset = []
        for axis in (1, 2):  # columns (x), then rows (y)
            hit = mask.any(dim=axis)
            low = torch.where(hit, line, pixels).amin(dim=1)
            high = torch.where(hit, line, -1).amax(dim=1)
            offset.append(torch.where(high >= 0, (low + high + 1 - pixels).div(2).round(), 0))
        x, y = (o.long()[:, None] for o in offset)
        rows, columns = (line + y) % pixels, (line + x) % pixels
        take = rows[:, :, None] * pixels + columns[:, None, :]
        height = torch.where(mask, views.height / views.silhouette.clamp(min=1e-3), 0)
        masks.append(mask.float().flatten(1).gather(1, take.flatten(1)))
        heights.append(height.flatten(1).gather(1, take.flatten(1)))
        side = occupancy.shape[0] * voxel_m / pixels
        shifts.append(-torch.cat([x, y], dim=1) * side)
    return torch.cat(masks), torch.cat(heights), torch.cat(shifts)


def residuals(
    mask: Tensor, sure: Tensor, height: Tensor, *, alone: Tensor, view_mask: Tensor, view: Tensor,
     rest: Tensor, scale_m: float, unsure: float,
) -> Tensor:  # fmt: skip
    """(N, K) disagreement of N crops with K views (flattened), each lifted as suits it best.

    Of a crop with mask m, heights h (m) and sureness s, and a view with mask v and heights g (m)

        r = (min(sum_{m and v} (h - g - l)^2 / scale^2, |m and v|) + sum |m - v| w) / |m or v|,
        w = u + (1 - u) s,    l = max(mean_{m and v} (h - g), rest),

    over the pixels, where u is `unsure`. The lift l (m) is what a part lying on others has; parts
    alone on the floor have `rest` (m), the height of the template's middle when it rests so.
    """
    high, view_high = mask * height, view_mask * view
    both = mask @ view_mask.T
    first = high @ view_mask.T - mask @ view_high.T  # sum of height differences
    second = (mask * height**2) @ view_mask.T - 2 * high @ view_high.T
    second = second + mask @ (view_mask * view**2).T
    lift = torch.maximum(first / both.clamp(min=1), rest[None])
    lift = torch.where(alone[:, None], rest[None], lift)
    error = (second - 2 * lift * first + lift**2 * both).clamp(min=0) / scale_m**2
    weight = unsure + (1 - unsure) * sure
    wrong = (weight * mask).sum(1, keepdim=True) + (weight * (1 - 2 * mask)) @ view_mask.T
    union = mask.sum(1, keepdim=True) + view_mask.sum(1)[None] - both
    return (torch.minimum(error, both) + wrong) / union.clamp(min=1)
