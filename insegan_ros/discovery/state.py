"""What discovery is told, and what it holds between two rounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """How long and how finely to look."""

    seed: int = 0
    crops: int = 700
    seeds: int = 6
    seed_rounds: int = 5
    seed_crops: int = 200
    seed_rotations: int = 500
    grids: tuple[int, ...] = (20, 28)  # voxels along a side, stage by stage
    rounds: tuple[int, ...] = (8, 8)
    rotations: tuple[int, ...] = (1000, 400)  # tried in a round, for all crops
    nearby: tuple[int, ...] = (0, 8)  # small changes of each pose, tried in a round
    steps: int = 16  # of Adam in a round
    step_crops: int = 96  # in a step
    rate: float = 0.25  # of the logits
    pose_rate: float = 0.02  # radians
    # gain of a voxel, stage by stage: what hardly any crop speaks against is filled
    solid: tuple[float, ...] = (5e-5, 1.5e-5)
    margin: float = 1.25  # grid's width over the part's greatest length
    height_scale: float = 0.1  # of the width: a height error that counts as much as a wrong pixel


@dataclass(frozen=True)
class Poses:
    """Of N crops: where the template has to be to look like them."""

    rotations: Tensor  # (N, 3, 3) crop_R_template
    shifts: Tensor  # (N, 2) metres
    residual: Tensor  # (N,) share of the crop's and the view's pixels that disagree, about 0 to 1


@dataclass(frozen=True)
class State:
    """Between two rounds."""

    logits: Tensor  # (G, G, G)
    width_m: float
    poses: Poses | None

    @property
    def occupancy(self) -> Tensor:
        """Occupancy of the voxels, (G, G, G) in [0, 1]."""
        return torch.sigmoid(self.logits)

    @property
    def voxel_m(self) -> float:
        """The side of a voxel, m."""
        return self.width_m / self.logits.shape[0]
