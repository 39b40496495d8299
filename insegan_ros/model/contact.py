"""Scenes of a template as they may lie in the bin: dropped one by one, without physics."""

from __future__ import annotations

import torch
from torch import Tensor

from insegan_ros.model.explicit import random_rotations
from insegan_ros.model.explicit_scene import Poses, SceneView, Solid

CELLS = 24  # of a side of the height map on which parts come to rest
TRIALS = 10  # places drawn for a part; it takes one of the lower ones


@torch.no_grad()
def drop(
    solid: Solid, view: SceneView, counts: Tensor, most: int, generator: torch.Generator
) -> Poses:
    """Parts that touch the floor or what lies below them; they do not tilt.

    Args:
        counts: (B,) parts of each scene, at most `most`.
        most: N of the result; the rest is not present.
    """
    batch, half = len(counts), view.crop.side_m / 2
    every = torch.arange(batch)
    ground = torch.zeros(batch, CELLS * CELLS)  # heights of what lies there, m
    rotations, positions = [], []
    for k in range(most):
        turn = random_rotations(batch * TRIALS, generator).reshape(batch, TRIALS, 3, 3)
        room = (half - solid.reach(turn)).clamp(min=0)  # whole parts within the square
        xy = (2 * torch.rand(batch, TRIALS, 2, generator=generator) - 1) * room
        points = solid.surface @ turn.mT  # (B, T, M, 3)
        cell = (((points[..., :2] + xy[:, :, None]) / half + 1) / 2 * CELLS).long()
        cell = cell.clamp(0, CELLS - 1)
        cell = cell[..., 0] * CELLS + cell[..., 1]  # (B, T, M)
        below = ground.gather(1, cell.flatten(1)).reshape(cell.shape)
        z = torch.maximum((below - points[..., 2]).amax(dim=2), solid.support(turn))
        # parts roll down: the lowest of some draws, not always the very lowest
        best = (z * (1 + 0.2 * torch.rand(z.shape, generator=generator))).argmin(dim=1)
        z, there = z[every, best], counts > k
        rise = points[every, best][..., 2] + z[:, None]
        top = torch.where(there[:, None], rise, torch.zeros_like(rise))
        ground = ground.scatter_reduce(1, cell[every, best], top, 'amax')
        rotations.append(turn[every, best])
        positions.append(torch.cat([xy[every, best], z[:, None]], dim=1))
    present = (torch.arange(most) < counts[:, None]).float()
    return Poses(torch.stack(rotations, dim=1), torch.stack(positions, dim=1), present)
