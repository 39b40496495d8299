"""Which estimated latent belongs to which true one: the alignment of Eq. 4."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

METHODS = ('ot', 'hungarian', 'greedy')
FEW = 6  # of which all permutations are tried


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
    if cost.is_cuda and cost.shape[-1] <= FEW:  # a CUDA graph cannot ask the host
        return best_of_all(cost)
    columns = np.stack([linear_sum_assignment(one)[1] for one in _finite(cost).cpu().numpy()])
    return torch.from_numpy(columns).to(cost.device)


def best_of_all(cost: Tensor) -> Tensor:
    """Costs (B, n, n) -> the permutations (B, n) of the least sum, of all n! on the device."""
    n = cost.shape[-1]
    every = _permutations(n, cost.device)
    totals = _finite(cost)[:, torch.arange(n, device=cost.device), every].sum(dim=-1)  # (B, n!)
    return every[totals.argmin(dim=1)]


def _finite(cost: Tensor) -> Tensor:
    return cost.double().nan_to_num(nan=0.0, posinf=1e30, neginf=-1e30)


@cache
def _permutations(n: int, device: torch.device) -> Tensor:
    """(n!, n) of 0 to n - 1."""
    return torch.tensor(list(itertools.permutations(range(n))), device=device)


def _greedy(cost: Tensor) -> Tensor:
    batch, n, _ = cost.shape
    each = torch.arange(n, device=cost.device)
    result = torch.zeros(batch, n, dtype=torch.long, device=cost.device)
    for _ in range(n):
        nearest = cost.flatten(1).argmin(dim=1, keepdim=True)  # (B, 1)
        row, column = nearest // n == each, nearest % n == each  # (B, n)
        result = torch.where(row, nearest % n, result)
        cost = cost.masked_fill(row[:, :, None] | column[:, None], torch.inf)
    return result
