"""The configuration of discovery, and what it holds between two rounds."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from insegan_ros.discovery.lengths import LengthConfig
from insegan_ros.discovery.pieces import PieceConfig


@dataclass(frozen=True, kw_only=True)
class DiscoveryConfig:
    """How long and how finely to look, and what counts as explained."""

    pieces: PieceConfig = field(default_factory=PieceConfig)  # cut out of frames
    lengths: LengthConfig = field(default_factory=LengthConfig)  # that many pieces share
    crops: int = 700  # that the shape is fitted to, at most
    whole_parts: int = 1500  # that a network cuts out, at most
    seeds: int = 6  # first guesses of the shape
    seed_rounds: int = 5
    seed_crops: int = 200
    seed_rotations: int = 500
    grids: tuple[int, ...] = (20, 28)  # voxels along a side, stage by stage
    # voxels across the crops of a thin part, at least, on the first grid: finer grids for pins
    across: float = 2.5
    finest: float = 1.5  # times as fine as `grids`, at most: rendering takes the cube of it
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
    pardoned: float = 0.15  # residual up to which a crop keeps most of its say
    nearby_steps: tuple[float, float] = (0.12, 0.03)  # radians: first and last size of a change
    # quantiles of the crops' areas between which seeds are taken: broad views show most of a
    # shape, but the very broadest may be clumps
    broad: tuple[float, float] = (0.65, 0.95)
    # median residual above which crops do not show one and the same part: where shapes were right
    # it was .08 to .25 (docs/research.md, Discovery 22, 34)
    unlike: float = 0.3
    hopeless: float = 0.38  # the same from two seeds: others hardly end below `unlike` then
    side: float = 0.85  # a part's longest side, of the greatest distance of two of its points
    longest: float = 1.55  # greatest distance in a piece, of the longest side: more is a clump
    # as long as a network takes the part to be, times this: rather several parts. Its votes were
    # .73 to 1.2 of the true length
    clump: float = 1.4
    rare: float = 0.05  # share of the pieces below which those of a length are hardly the part
    guessed: int = 5  # pieces by whose median a length is guessed, where nothing better is known
    # of the width: a height error does not count as more than 1.5 of `height_scale`, so that a
    # pixel which shows another part does not pull the shape there
    most_gap: float = 1.5
    unsure: float = 0.2  # weight of a silhouette's edge, where the camera is unsure: of 1 inside
    # shares of the time: until rounds have to begin, and for all of them; the rest is for judging
    begin_share: float = 0.35
    rounds_share: float = 0.6

    # several kinds of part in one bin (`discovery.kinds`)
    kind_rounds: int = 4  # in which the shapes of several kinds share the crops among themselves
    kind_seeds: int = 9  # first guesses, of which the kinds' shapes are chosen
    kind_probes: int = 3  # first guesses after which a length may be given up
    kind_shortest: float = 0.6  # length of a piece that may be a whole part, of the longest kind's
    kind_foreign: float = 0.5  # residual above which a piece is of no kind
    kind_least: float = 0.05  # share of the pieces: rarer ones are no kind


@dataclass(frozen=True)
class Poses:
    """Of N crops: where the template has to be to look like them."""

    rotations: Tensor  # (N, 3, 3) crop_R_template
    shifts: Tensor  # (N, 2) metres
    residual: Tensor  # (N,) share of the crop's and the view's pixels that disagree, about 0 to 1

    def or_better(self, other: Poses) -> Poses:
        """Of each crop this pose, where its residual is lower than the other one's."""
        kept = self.residual < other.residual
        return Poses(
            torch.where(kept[:, None, None], self.rotations, other.rotations),
            torch.where(kept[:, None], self.shifts, other.shifts),
            torch.minimum(self.residual, other.residual),
        )


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
