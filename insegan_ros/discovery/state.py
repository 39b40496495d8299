"""The configuration of discovery, and what it holds between two rounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DiscoveryConfig:
    """How long and how finely to look, and what counts as explained."""

    crops: int = 700  # that the shape is fitted to, at most
    whole_parts: int = 1500  # that a network cuts out, at most
    seeds: int = 6  # first guesses of the shape
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
    # quantile of the crops' residuals that judges a shape: where several kinds of part lie in the
    # bin, a shape explains its own kind's crops alone (discovery.kinds)
    judged: float = 0.5
    kind_rounds: int = 4  # in which the shapes of several kinds share the crops among themselves
    kind_seeds: int = 9  # first guesses, of which the kinds' shapes are chosen
    pardoned: float = 0.15  # residual up to which a crop keeps most of its say
    nearby_steps: tuple[float, float] = (0.12, 0.03)  # radians: first and last size of a change
    # quantiles of the crops' areas between which seeds are taken: broad views tell most of a
    # shape, but the very broadest may be clumps
    broad: tuple[float, float] = (0.65, 0.95)
    # median residual above which crops do not show one and the same part: where shapes were right
    # it was .08 to .25 (docs/research.md, Discovery 22, 34)
    unlike: float = 0.3
    hopeless: float = 0.38  # the same from two seeds: others hardly end below `unlike` then
    side: float = 0.85  # a part's longest side, of the greatest distance of two of its points
    longest: float = 1.55  # greatest distance in a piece, of the longest side: more is a clump
    rare: float = 0.05  # share of the pieces below which those of a length are hardly the part


@dataclass(frozen=True)
class Poses:
    """Of N crops: where the template has to be to look like them."""

    rotations: Tensor  # (N, 3, 3) crop_R_template
    shifts: Tensor  # (N, 2) metres
    residual: Tensor  # (N,) share of the crop's and the view's pixels that disagree, about 0 to 1


@dataclass(frozen=True)
class DiscoveryState:
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
