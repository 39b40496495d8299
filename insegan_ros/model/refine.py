"""Codes made better on the image itself: gradient steps on the re-rendering error."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from insegan_ros.model import code
from insegan_ros.model.generator import Generator
from insegan_ros.model.pose import rotation_matrix

RATE = 0.05  # of Adam, at first: radians, half sides of the image, or a latent's numbers
SLOWER = 0.8  # of it is gone in the last step
INSIDE = 5.0  # more weight of heights, where both images show parts: outlines outweigh them else
FLOOR = -0.45  # below it an image shows no part


def moved(codes: Tensor, change: Tensor, kind: str) -> Tensor:
    """Codes (B, n, code_dim), each changed a little.

    Args:
        change: (B, n, 6) turns (axis-angle, radians) and shifts of rigid motions in 3-D; what is
            added to the latents in 2-D. Which template is posed does not change.
    """
    if kind == '2d':
        return codes + change
    motion, gate = code.parted(codes)
    turned = rotation_matrix(change[..., :3]) @ motion[..., :3]
    shifted = motion[..., 3] + change[..., 3:]
    return code.joined(torch.cat([turned, shifted[..., None]], dim=-1), gate)


@torch.enable_grad()
def refine(
    generator: Generator,
    codes: Tensor,
    images: Tensor,
    *,
    steps: int,
    turns: Tensor | None = None,
    until: float = float('inf'),
) -> Tensor:
    """The codes of the lowest error met on the way, for each image by itself.

    The error is the mean difference of `mismatch`, in which heights of parts weigh more.

    Args:
        codes: (B, n, code_dim) to begin with.
        images: (B, 1, S, S) what they shall render.
        steps: at most so many; 0 gives the codes back.
        turns: (B, n) by so many quarter turns of the image a code was found; None: by none.
        until: the moment, by the monotonic clock, after which no step is begun.
    """
    size = 6 if generator.kind == '3d' else codes.shape[-1]
    change = codes.new_zeros(*codes.shape[:2], size, requires_grad=True)
    adam = torch.optim.Adam([change], RATE)
    best, lowest = codes, codes.new_full((len(codes),), torch.inf)
    for step in range(steps + 1):
        now = moved(codes, change, generator.kind)
        error = mismatch(composed(generator, now, turns)[0].float(), images)[:, 0]
        better = error.detach() < lowest
        best = torch.where(better[:, None, None], now.detach(), best)
        lowest = torch.where(better, error.detach(), lowest)
        if step == steps or time.monotonic() > until:
            break
        (gradient,) = torch.autograd.grad(error.sum(), change)
        change.grad = gradient
        adam.param_groups[0]['lr'] = RATE * (1 - SLOWER * step / steps)
        adam.step()
    return best


def composed(
    generator: Generator, codes: Tensor, turns: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """All in one image (B, 1, S, S), each alone (B, n, S, S), as the image shows them.

    Args:
        turns: (B, n) as `refine` says; with any, the nearest rendering is what is seen.
    """
    image, alone = generator.render_both(codes)
    if turns is None or not turns.any():
        return image, alone
    alone = turned_back(alone, turns)
    return alone.amax(dim=1, keepdim=True), alone


def turned_back(alone: Tensor, turns: Tensor) -> Tensor:
    """Renderings (B, n, S, S) of the image turned by (B, n) quarter turns -> of the image."""
    back = alone
    for k in range(1, 4):
        back = torch.where((turns == k)[..., None, None], alone.rot90(-k, (2, 3)), back)
    return back


def mismatch(rendered: Tensor, images: Tensor) -> Tensor:
    """(...): mean difference of images (..., S, S), in which heights of parts weigh more.

    The gap between floor and parts makes a pixel of an outline cost as much as several heights of
    a part; with that alone outlines are met by parts that lie wrongly.
    """
    off = (rendered - images).abs()
    both = (rendered > FLOOR) & (images > FLOOR)
    return (off * (1 + INSIDE * both)).mean(dim=(-2, -1))
