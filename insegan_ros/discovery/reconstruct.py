"""A part's shape from crops in unknown poses, by expectation-maximisation over rotations.

As in ab-initio reconstruction of single-particle electron microscopy: guess a shape, find for each
crop the rotation from which the shape looks most like it, fit the shape to the crops so turned.
Crops that no rotation explains (two parts, half a part) lose their say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from insegan_ros.discovery.crops import Crops, rasterise
from insegan_ros.discovery.first_shapes import first_shape
from insegan_ros.discovery.lengths import choose_pieces
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.state import DiscoveryConfig, DiscoveryState, Poses
from insegan_ros.discovery.views import BATCH, centred_views, residuals
from insegan_ros.model.template import (
    Views,
    fill_unseen,
    random_rotations,
    render,
    resting_heights,
    rotation_from_vector,
)


class Reconstruction:
    """Expectation and maximisation on one set of crops."""

    def __init__(
        self, pieces: list[Piece], width_m: float, config: DiscoveryConfig, *, device: str = 'cpu'
    ) -> None:
        self.pieces, self.width_m, self.config = pieces, width_m, config
        self.scale_m = config.height_scale * width_m
        self.device = device

    def crops(self, grid: int) -> Crops:
        """The pieces on a grid of so many pixels."""
        return rasterise(self.pieces, self.width_m, grid)

    def _tensor(self, values: NDArray) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    @torch.no_grad()
    def expect(
        self, state: DiscoveryState, crops: Crops, rotations: int, *, generator: torch.Generator
    ) -> DiscoveryState:
        """The best of `rotations` random rotations for each crop, unless its own is better."""
        grid = state.logits.shape[0]
        turns = random_rotations(rotations, generator).to(self.device)
        view_mask, view, shifts = centred_views(state.occupancy, state.voxel_m, turns, pixels=grid)
        rest = resting_heights(state.occupancy, state.voxel_m, turns)
        residual, best = self._residuals(crops, view_mask, view, rest=rest).min(dim=1)
        found = Poses(turns[best], shifts[best], residual)
        if state.poses is not None:
            found = replace(state.poses, residual=self.score(state, crops)).or_better(found)
        return replace(state, poses=found)

    @torch.no_grad()
    def score(self, state: DiscoveryState, crops: Crops) -> Tensor:
        """(N,) residual of each crop in its present pose."""
        assert state.poses is not None
        grid, scores = state.logits.shape[0], []
        rest = resting_heights(state.occupancy, state.voxel_m, state.poses.rotations)
        for chosen in torch.arange(len(crops)).split(BATCH):
            turns, shifts = state.poses.rotations[chosen], state.poses.shifts[chosen]
            views = render(state.occupancy, state.voxel_m, turns, shifts=shifts, pixels=grid)
            view_mask = (views.silhouette > 0.5).float().flatten(1)
            view = view_mask * (views.height / views.silhouette.clamp(min=1e-3)).flatten(1)
            some = crops.select(chosen.numpy())
            scores.append(self._residuals(some, view_mask, view, rest=rest[chosen]).diagonal())
        return torch.cat(scores)

    def _residuals(self, crops: Crops, view_mask: Tensor, view: Tensor, *, rest: Tensor) -> Tensor:
        """(N, V) of each crop against each view."""
        mask, sure, height = (
            self._tensor(part).flatten(1) for part in (crops.mask, crops.sure, crops.height)
        )
        return residuals(
            mask,
            sure,
            height,
            alone=self._tensor(crops.alone),
            view_mask=view_mask,
            view=view,
            rest=rest,
            scale_m=self.scale_m,
            unsure=self.config.unsure,
        )

    def search_nearby(
        self, state: DiscoveryState, crops: Crops, tries: int, *, generator: torch.Generator
    ) -> DiscoveryState:
        """Each crop's pose changed by ever smaller random steps, kept where they are better."""
        assert state.poses is not None
        poses = state.poses
        for size in np.geomspace(*self.config.nearby_steps, max(tries, 1))[:tries]:
            turn, shift = (
                (torch.randn(len(crops), axes, generator=generator) * float(size)).to(self.device)
                for axes in (3, 2)
            )
            shift = shift * self.scale_m
            trial = Poses(
                rotation_from_vector(turn) @ poses.rotations, poses.shifts + shift, poses.residual
            )
            residual = self.score(replace(state, poses=trial), crops)
            poses = replace(trial, residual=residual).or_better(poses)
        return replace(state, poses=poses)

    def judge(self, poses: Poses) -> Tensor:
        """The residual by which a shape is judged: the median, where there is one kind of part."""
        return torch.quantile(poses.residual, self.config.judged, interpolation='lower')

    def maximise(
        self, state: DiscoveryState, crops: Crops, stage: int, *, generator: torch.Generator
    ) -> DiscoveryState:
        """Adam on the logits and on the poses of the crops, those well explained first."""
        assert state.poses is not None
        poses, config = state.poses, self.config
        solid_gain = config.solid[min(stage, len(config.solid) - 1)]
        grid = state.logits.shape[0]
        usual = self.judge(poses)
        weight = torch.exp(-poses.residual / usual.clamp(min=config.pardoned))
        logits = state.logits.clone().requires_grad_()
        turn, shift = (  # the latter in widths
            torch.zeros(len(crops), axes, device=self.device, requires_grad=True)
            for axes in (3, 2)
        )
        optimiser = torch.optim.Adam(
            [
                {'params': [logits], 'lr': config.rate},
                {'params': [turn], 'lr': config.pose_rate},
                {'params': [shift], 'lr': config.pose_rate / 4},
            ],
            betas=(0.8, 0.95),
        )
        masks, heights = self._tensor(crops.mask), self._tensor(crops.height)
        alone = self._tensor(crops.alone)
        sure = config.unsure + (1 - config.unsure) * self._tensor(crops.sure)
        for _ in range(config.steps):
            chosen = torch.randperm(len(crops), generator=generator)[: config.step_crops]
            chosen = chosen.to(self.device)
            occupancy = torch.sigmoid(logits)
            turns = rotation_from_vector(turn[chosen]) @ poses.rotations[chosen]
            shifts = poses.shifts[chosen] + shift[chosen] * self.width_m
            views = render(occupancy, state.voxel_m, turns, shifts=shifts, pixels=grid)
            mask, height = masks[chosen], heights[chosen]
            rest = resting_heights(occupancy.detach(), state.voxel_m, turns.detach())
            lift = _lift(views, mask, height, rest=rest, alone=alone[chosen])
            gap = views.height + (lift[:, None, None] - height) * views.silhouette
            gap = (gap.abs() / self.scale_m).clamp(max=config.most_gap) * mask
            beyond = views.silhouette - mask
            error = (gap + sure[chosen] * beyond.abs()).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
            loss = (weight[chosen] * error).sum() / weight[chosen].sum()
            solid = (occupancy > 0.5).float()[None, None]
            near = functional.max_pool3d(solid, 3, 1, 1)[0, 0]  # grows from the surface only
            loss = loss - solid_gain * (near * occupancy).sum()
            if not torch.isfinite(loss):
                raise FloatingPointError('the reconstruction diverged; use another seed')
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                logits.clamp_(-8, 8)
        with torch.no_grad():
            moved = Poses(
                rotation_from_vector(turn) @ poses.rotations,
                poses.shifts + shift * self.width_m,
                poses.residual,
            )
        return replace(state, logits=logits.detach(), poses=moved)

    def begin(
        self,
        generator: torch.Generator,
        seeds: Sequence[int] | None = None,
        done: Callable[[], object] = lambda: None,
    ) -> tuple[DiscoveryState, float]:
        """Some rounds from every seed; the one with the lowest residual, and that residual."""
        seeds = range(self.config.seeds) if seeds is None else seeds
        tried = [
            (float(self.judge(state.poses)), state)
            for state in self.grow(generator, seeds, done)
            if state.poses is not None
        ]
        residual, best = min(tried, key=lambda pair: pair[0])
        return replace(best, poses=None), residual

    def grow(
        self,
        generator: torch.Generator,
        seeds: Sequence[int],
        done: Callable[[], object] = lambda: None,
    ) -> list[DiscoveryState]:
        """Some rounds from every seed, with the poses of the first `seed_crops` crops."""
        config = self.config
        crops = self.crops(config.grids[0])
        crops = crops.select(np.arange(min(config.seed_crops, len(crops))))
        grown = []
        for k in seeds:
            logits = first_shape(crops, k, generator, broad=config.broad).to(self.device)
            state = DiscoveryState(logits, self.width_m, None)
            for _ in range(config.seed_rounds):
                state = self.expect(state, crops, config.seed_rotations, generator=generator)
                state = self.maximise(state, crops, 0, generator=generator)
            grown.append(self.expect(state, crops, config.seed_rotations, generator=generator))
            done()
        return grown

    def round(
        self, state: DiscoveryState, stage: int, generator: torch.Generator
    ) -> DiscoveryState:
        """One round on the stage's grid."""
        grid = self.config.grids[stage]
        if state.logits.shape[0] != grid:
            logits = functional.interpolate(
                state.logits[None, None], size=(grid,) * 3, mode='trilinear'
            )[0, 0]
            state = replace(state, logits=logits)
        crops = self.crops(grid)
        state = self.expect(state, crops, self.config.rotations[stage], generator=generator)
        state = self.search_nearby(state, crops, self.config.nearby[stage], generator=generator)
        return self.maximise(state, crops, stage, generator=generator)

    def halves(self, state: DiscoveryState, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two occupancies, each fitted anew from a blurred shape to half of the crops."""
        assert state.poses is not None
        crops = self.crops(state.logits.shape[0])
        occupancy = functional.avg_pool3d(state.occupancy[None, None], 5, 1, 2)[0, 0]
        found, last = [], len(self.config.grids) - 1
        for first in (0, 1):
            part = torch.arange(first, len(crops), 2)
            poses = Poses(*(values[part] for values in vars(state.poses).values()))
            half = replace(state, logits=torch.logit(occupancy, 1e-3), poses=poses)
            half = self.maximise(half, crops.select(part.numpy()), last, generator=generator)
            found.append(half.occupancy)
        return found[0], found[1]

    def conclude(self, state: DiscoveryState, generator: torch.Generator) -> DiscoveryState:
        """The crops' poses and residuals under the final shape."""
        crops = self.crops(state.logits.shape[0])
        with torch.no_grad():
            turns = random_rotations(192, generator).to(self.device)
            solid = fill_unseen(state.occupancy, turns)
        state = replace(state, logits=torch.logit(solid, 4e-4))
        state = self.expect(state, crops, self.config.rotations[0], generator=generator)
        return self.search_nearby(state, crops, self.config.nearby[-1], generator=generator)


def _fine_enough(
    config: DiscoveryConfig, pieces: Sequence[Piece], width_m: float
) -> DiscoveryConfig:
    """With finer grids where the part is so thin that the usual voxels do not show its outline.

    A pose that is half a voxel off costs a pin of one and a half voxels most of its pixels, and
    then no shape explains it.
    """
    if not pieces:
        return config
    thin_m = float(np.median([len(p.points) * p.pixel_m**2 / p.length_m for p in pieces]))
    voxels = config.grids[0] * thin_m / width_m
    finer = float(np.clip(config.across / voxels, 1.0, config.finest))
    return replace(config, grids=tuple(round(grid * finer) for grid in config.grids))


def explained(residual: NDArray[np.float32]) -> float:
    """Share of crops whose residual belongs to the lower of the two groups, or all of one."""
    return float((residual < 2 * np.percentile(residual, 25)).mean())


def reconstruction(
    pieces: list[Piece], length_m: float, config: DiscoveryConfig, *, seed: int, device: str
) -> Reconstruction:
    """Of the pieces about as long as that."""
    rng = np.random.default_rng([seed, 1])
    chosen = choose_pieces(pieces, length_m, config.crops, rng=rng, config=config.lengths)
    width_m = length_m * config.margin
    config = _fine_enough(config, chosen, width_m)
    return Reconstruction(chosen, width_m, config, device=device)


@torch.no_grad()
def _lift(views: Views, mask: Tensor, height: Tensor, *, rest: Tensor, alone: Tensor) -> Tensor:
    """(B,) metres by which views are lifted to lie where the crops' parts do.

    Args:
        rest: (B,) that of a part on the floor, which those that lie `alone` have.
    """
    both = mask * views.silhouette
    gap = mask * (height * views.silhouette - views.height)
    lift = gap.sum((1, 2)) / both.sum((1, 2)).clamp(min=1)
    return torch.where(alone, rest, torch.maximum(lift, rest))
