"""Which estimated latent belongs to which true one: the alignment of Eq. 4."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

METHODS = ('ot', 'hungarian', 'greedy')


@torch.no_grad()
def match(z: Tensor, z_hat: Tensor, method: str = 'ot') -> Tensor:
    """Align two sets of latents.

    Args:
        z, z_hat: (B, n, d).
        method: 'ot': optimal transport (IPOT), its plan rounded to a permutation; 'hungarian':
            the exact permutation; 'greedy': the nearest pair first, which the paper finds worse.

    Returns:
        (B, n) long: z_hat[b, result[b, i]] belongs to z[b, i].

    Raises:
        ValueError: another method, or sets of different sizes.
    """
    if z.shape != z_hat.shape:
        raise ValueError(f'sets of {tuple(z.shape)} and {tuple(z_hat.shape)} cannot be aligned')
    cost = torch.cdist(z.float(), z_hat.float()).square()  # (B, n, n)
    if method == 'ot':
        return _best_permutations(-transport_plan(cost))
    if method == 'hungarian':
        return _best_permutations(cost)
    if method == 'greedy':
        return _greedy(cost)
    raise ValueError(f'unknown matching {method!r}; valid: {", ".join(METHODS)}')


def transport_plan(cost: Tensor, iterations: int = 50, beta: float = 0.5) -> Tensor:
    """Optimal transport between uniform marginals by inexact proximal points (IPOT, paper [44]).

    Args:
        cost: (B, n, n) >= 0.
        beta: step size in units of each problem's mean cost.

    Returns:
        (B, n, n) plans; rows and columns sum to 1 / n.
    """
    n = cost.shape[-1]
    scale = cost.mean(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    kernel = torch.exp(-cost / (beta * scale))
    plan = torch.full_like(cost, 1 / n**2)
    columns = torch.full_like(cost[:, :1], 1 / n)  # (B, 1, n)
    for _ in range(iterations):
        q = kernel * plan
        rows = 1 / (n * (q * columns).sum(dim=2, keepdim=True)).clamp_min(1e-30)
        columns = 1 / (n * (q * rows).sum(dim=1, keepdim=True)).clamp_min(1e-30)
        plan = rows * q * columns
    return plan


def _best_permutations(cost: Tensor) -> Tensor:
    on_host = np.nan_to_num(cost.cpu().double().numpy(), nan=0.0, posinf=1e30, neginf=-1e30)
    columns = np.stack([linear_sum_assignment(one)[1] for one in on_host])
    return torch.from_numpy(columns).to(cost.device)


def _greedy(cost: Tensor) -> Tensor:
    cost = cost.clone()
    batch, n, _ = cost.shape
    every = torch.arange(batch, device=cost.device)
    result = torch.zeros(batch, n, dtype=torch.long, device=cost.device)
    for _ in range(n):
        nearest = cost.flatten(1).argmin(dim=1)
        row, column = nearest // n, nearest % n
        result[every, row] = column
        cost[every, row] = torch.inf
        cost[every, :, column] = torch.inf
    return result
