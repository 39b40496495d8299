"""What a set encoder learns from a generated scene: where each instance shows, and how it lies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from insegan_ros.model import code
from insegan_ros.model.set_encoder import STRIDE

MIDDLE = -0.45  # between what no part shows, -1, and the lowest part, 0.1
ENOUGH = 0.15  # of an instance must be seen to be asked for
SPREAD = 1.2  # cells, of a centre's bell


@dataclass(frozen=True)
class Seen:
    """Where instances of generated scenes show, found by rendering each alone."""

    cells: Tensor  # (B, n) of the encoder's map: the visible part's centre
    asked: Tensor  # (B, n) in [0, 1]: 1 where at least ENOUGH of it is seen
    bells: Tensor  # (B, C) in [0, 1]: 1 at centres
    centres: Tensor  # (B, C) {0, 1}


@torch.no_grad()
def seen(alone: Tensor) -> Seen:
    """(B, n, S, S) each instance alone -> where the nearest of them shows."""
    count, size = alone.shape[1:3]
    on = alone > MIDDLE
    each = torch.arange(count, device=alone.device)[:, None, None]
    first = (alone.argmax(dim=1, keepdim=True) == each) & on  # (B, n, S, S): what is seen of each
    area = first.sum(dim=(2, 3)).float()
    asked = (area / (ENOUGH * on.sum(dim=(2, 3)) + 1)).clamp(max=1)
    asked = torch.where(area >= 6, asked, torch.zeros_like(asked))
    line = torch.arange(size, device=alone.device, dtype=torch.float32) + 0.5
    weight = first.float()
    x = torch.einsum('bnyx,x->bn', weight, line) / area.clamp(min=1) / STRIDE
    y = torch.einsum('bnyx,y->bn', weight, line) / area.clamp(min=1) / STRIDE
    side = size // STRIDE
    column, row = (v.long().clamp(0, side - 1) for v in (x, y))
    grid = torch.arange(side, device=alone.device, dtype=torch.float32)
    across = (grid - column[..., None]).square()[:, :, None, :]
    down = (grid - row[..., None]).square()[:, :, :, None]
    bell = torch.exp(-(across + down) / (2 * SPREAD**2)).flatten(2)  # (B, n, C)
    known = (asked > 0.5).float()
    cells = row * side + column
    centres = torch.zeros_like(bell[:, 0]).scatter_reduce(1, cells, known, 'amax')
    return Seen(cells, asked, (bell * known[..., None]).amax(dim=1), centres)


def centre_loss(logits: Tensor, found: Seen) -> Tensor:
    """Focal cross entropy of centres, an instance's mean; beside a centre it forgives more."""
    logits = logits.float()
    p = logits.sigmoid()
    hit = F.softplus(-logits) * (1 - p).square() * found.centres
    miss = F.softplus(logits) * p.square() * (1 - found.bells).pow(4) * (1 - found.centres)
    return (hit + miss).sum() / found.centres.sum().clamp(min=1)


def appearance_loss(alone: Tensor, again: Tensor, asked: Tensor) -> Tensor:
    """Mean difference of single renderings (B, n, S, S), over the instances' own area."""
    area = (alone > MIDDLE).float().mean(dim=(2, 3)).mean().clamp(min=1e-3)
    off = (alone - again).abs().mean(dim=(2, 3))
    return (off * asked).sum() / asked.sum().clamp(min=1) / area


def template_loss(codes: Tensor, scores: Tensor, asked: Tensor) -> Tensor:
    """Cross entropy of templates' scores (B, n, K), against the gates of codes (B, n, 12 + K)."""
    _, gates = code.parted(codes)
    off = -(gates * scores.log_softmax(dim=-1)).sum(dim=-1)
    return (off * asked).sum() / asked.sum().clamp(min=1)


def motion_loss(codes: Tensor, again: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Motions of codes (B, n, 12 + K): mean difference of rotations' entries, of translations."""
    off = (code.parted(codes)[0] - code.parted(again)[0]).abs()
    total = asked.sum().clamp(min=1)
    turn = (off[..., :3].square().mean(dim=(2, 3)) * asked).sum() / total
    move = (off[..., 3].mean(dim=2) * asked).sum() / total
    return turn, move
