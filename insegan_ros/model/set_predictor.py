"""The encoder of the explicit InSeGAN: a depth image -> a set of poses with existence scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from insegan_ros.model.explicit_scene import Poses, Rendered, rotation_from_six

FIRST_LIFT = -2.5  # before the sigmoid: parts lie low


@dataclass(frozen=True)
class Slots:
    """K candidates of each of B images."""

    rotation: Tensor  # (B, K, 3, 3) scene_R_template
    raw: Tensor  # (B, K, 3) what `bounded` takes: x, y, lift
    score: Tensor  # (B, K) logits: is there such an instance

    def top(self, count: int) -> Slots:
        """Those with the highest scores."""
        best = self.score.topk(min(count, self.score.shape[1]), dim=1).indices
        return self.pick(best)

    def where(self, condition: Tensor, other: Slots) -> Slots:
        """Of each image (B,): these where the condition holds, else the others'."""

        def pick(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(condition.reshape(-1, *[1] * (a.dim() - 1)), a, b)

        return Slots(
            pick(self.rotation, other.rotation),
            pick(self.raw, other.raw),
            pick(self.score, other.score),
        )

    def pick(self, index: Tensor) -> Slots:
        """(B, J) indices."""
        return Slots(
            self.rotation.gather(1, index[..., None, None].expand(-1, -1, 3, 3)),
            self.raw.gather(1, index[..., None].expand(-1, -1, 3)),
            self.score.gather(1, index),
        )


class SetPredictor(nn.Module):
    """A slot for each cell of a coarse grid over the bin; it may place its instance elsewhere."""

    def __init__(self, image_size: int, side: int, channels: int) -> None:
        """
        Args:
            side: K = side^2; a power of two.
        """
        super().__init__()
        steps = int(math.log2(image_size / side))
        if side * 2**steps != image_size or steps < 2:
            raise ValueError(
                f'{side} slots a side do not divide {image_size} px; use a power of two, '
                'at most a quarter'
            )
        widths = [min(channels * 2**k, 4 * channels) for k in range(steps)]
        layers: list[nn.Module] = []
        for before, after in zip([1, *widths], widths):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1),
                nn.GroupNorm(4, after),
                nn.SiLU(),
                nn.Conv2d(after, after, 3, padding=1),
                nn.GroupNorm(4, after),
                nn.SiLU(),
            ]
        self.trunk = nn.Sequential(*layers)
        width = widths[-1]
        context: list[nn.Module] = []
        for spread in (1, 2, 1):  # an instance is wider than a cell
            context += [
                nn.Conv2d(2 * width, 2 * width, 3, padding=spread, dilation=spread),
                nn.GroupNorm(8, 2 * width),
                nn.SiLU(),
            ]
        last = nn.Conv2d(2 * width, 10, 1)
        with torch.no_grad():
            last.weight *= 0.1  # all begin at their anchors
        self.head = nn.Sequential(*context, last)
        line = (torch.arange(side) + 0.5) / side * 2 - 1
        y, x = torch.meshgrid(-line, line, indexing='ij')  # rows go down, y goes up
        anchors = torch.stack([x, y, torch.full_like(x, math.tanh(FIRST_LIFT))], dim=-1)
        self.register_buffer('anchors', torch.atanh(anchors.reshape(-1, 3)), persistent=False)

    @property
    def places(self) -> Tensor:
        """(K, 2) the slots' anchors in half sides of the square."""
        assert isinstance(self.anchors, Tensor)
        return self.anchors[:, :2].tanh()

    def forward(self, heights: Tensor) -> Slots:
        """(B, S, S) heights in units of half the image's side -> K slots."""
        features = self.trunk(heights[:, None])
        whole = features.mean(dim=(2, 3), keepdim=True).expand_as(features)
        out = self.head(torch.cat([features, whole], dim=1)).flatten(2).mT  # (B, K, 10)
        assert isinstance(self.anchors, Tensor)
        return Slots(rotation_from_six(out[..., :6]), out[..., 6:9] + self.anchors, out[..., 9])


def nearest_slots(anchors: Tensor, position: Tensor, side_m: float, count: int) -> Tensor:
    """(K, 2) anchors in half sides, (B, N, 3) positions -> (B, N, count) slots nearest in x, y."""
    distance = torch.cdist(position[..., :2] / (side_m / 2), anchors.expand(len(position), -1, -1))
    return distance.topk(min(count, len(anchors)), dim=2, largest=False).indices


@torch.no_grad()
def assign(
    true: Rendered,
    found: Rendered,
    candidates: Tensor,
    wanted: Tensor,
    score: Tensor,
    unit_m: float,
) -> Tensor:
    """Which slot stands for which instance, by how alike they look alone (Hungarian).

    Symmetric parts have many right poses, all of which look the same.

    Args:
        true: N instances; found: C candidates of each of them, N * C, with `present` 1.
        candidates: (B, N, C) the slots that `found` shows; the same may stand for several.
        wanted: (B, N) bool; others are assigned last.
        score: (B, K) logits, a tie-break.
        unit_m: a height error that counts as much as a wrong pixel.

    Returns:
        (B, N) indices of slots, all different.
    """
    batch, count, choices = candidates.shape
    a, ha = true.silhouette.flatten(2)[:, :, None], true.height.flatten(2)[:, :, None]
    b = found.silhouette.flatten(2).reshape(batch, count, choices, -1)
    hb = found.height.flatten(2).reshape(b.shape)
    off = ((ha - hb).abs() / unit_m).clamp(max=1)
    wrong = ((a - b).abs() + torch.minimum(a, b) * off).sum(-1) / a.sum(-1).clamp(min=1)
    wrong = wrong - 0.3 * score.sigmoid().gather(1, candidates.flatten(1)).reshape(wrong.shape)
    far = wrong.new_full((batch, count, score.shape[1]), 1e3)  # no candidate
    cost = far.scatter(2, candidates, wrong) * wanted[..., None]
    on_host = np.nan_to_num(cost.double().cpu().numpy(), nan=1e3)
    columns = np.stack([linear_sum_assignment(one)[1] for one in on_host])
    return torch.from_numpy(columns).to(score.device)


def surface_distance(points: Tensor, a: Poses, b: Poses) -> Tensor:
    """(B, N) mean distance between nearest points of a template posed twice, both ways, m.

    A symmetric part has distance 0 in all its right poses.
    """
    pa = points @ a.rotation.mT + a.position[:, :, None]
    pb = points @ b.rotation.mT + b.position[:, :, None]
    distance = torch.cdist(pa, pb)  # (B, N, M, M)
    return (distance.amin(dim=3).mean(dim=2) + distance.amin(dim=2).mean(dim=2)) / 2


def existence_loss(score: Tensor, matched: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy: slots of wanted instances exist, the others do not.

    Args:
        score: (B, K) logits; matched: (B, N) their slots; wanted: (B, N) in {0, 1}, or NaN for
            instances that are hidden too much to ask for.
    """
    target = torch.zeros_like(score).scatter(1, matched, wanted)
    known = target.isfinite()
    return F.binary_cross_entropy_with_logits(score[known], target[known])
