"""Poses of a whole scene by render and compare: proposals drawn, the best kept, then descent.

An encoder's guess and gradients alone end in the nearest minimum: a nut seen edge on that lies
flat, two instances in the place of one. Each instance in turn is offered other places; what makes
the whole image, with all others in front of it and behind it, more like the measured one is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from insegan_ros.crop import CropConfig
from insegan_ros.model.explicit import random_rotations, rotation_from_vector
from insegan_ros.model.explicit_scene import (
    SEEN_M,
    Poses,
    Rendered,
    SceneView,
    Solid,
    bounded,
    compose,
    render_instances,
    rerendering_loss,
)
from insegan_ros.model.set_predictor import Slots

SURE = 3.0  # logit of an instance that is there
PRICE = 0.01  # of an instance, in the loss: none without need


@dataclass(frozen=True)
class Shape:
    """A template ready to be rendered in a view."""

    occupancy: Tensor  # (G, G, G), its gradient wanted or not
    voxel_m: float
    solid: Solid
    view: SceneView
    samples: int

    @property
    def unit_m(self) -> float:
        """A height error that counts as much as a wrong pixel."""
        return 0.2 * self.solid.radius_m

    def coarser(self) -> Shape:
        """At half the resolution."""
        crop = self.view.crop
        view = SceneView(CropConfig(crop.side_m, crop.height_m, crop.size // 2), self.view.apex)
        samples = max(8, self.samples * 2 // 3)
        return Shape(self.occupancy, self.voxel_m, self.solid, view, samples)

    def placed(self, slots: Slots, hard: bool = False) -> Poses:
        present = (slots.score > 0).float() if hard else slots.score.sigmoid()
        place = bounded(slots.rotation, slots.raw, self.solid, self.view)
        return Poses(slots.rotation, place, present)

    def render(self, poses: Poses) -> Rendered:
        return render_instances(
            self.occupancy, self.voxel_m, poses, self.solid.radius_m, self.view, self.samples
        )

    def loss(self, slots: Slots, real: Tensor, hard: bool = False) -> Tensor:
        """(B,) of (B, S, S) measured heights."""
        heights, silhouette, _ = compose(self.render(self.placed(slots, hard)))
        return rerendering_loss(heights, silhouette, real, self.unit_m)


@torch.no_grad()
def sweep(
    shape: Shape, slots: Slots, real: Tensor, trials: int, generator: torch.Generator
) -> Slots:
    """Every slot in turn: the best of what it is, of `trials` other places, and of none.

    Args:
        real: (B, S, S) heights of the shape's view.
    """
    batch, count = slots.score.shape
    every = torch.arange(batch)
    score = torch.where(slots.score > 0, SURE, -SURE)
    rotation, raw = slots.rotation.clone(), slots.raw.clone()
    now = shape.render(Poses(rotation, _places(shape, rotation, raw), (score > 0).float()))
    silhouette, height = now.silhouette, now.height
    for k in range(count):
        others = torch.cat([torch.arange(k), torch.arange(k + 1, count)])
        there = score[:, others] > 0
        rest = compose(Rendered(silhouette[:, others], height[:, others]))[0]
        turns, raws = proposals(
            shape, rotation[:, k], raw[:, k], score[:, k] > 0, rest, real, trials, generator
        )
        drawn = shape.render(
            Poses(turns, _places(shape, turns, raws), torch.ones(turns.shape[:2]))
        )
        layers = drawn.silhouette.shape[1]
        # the last of all: none
        own = torch.cat([drawn.silhouette, torch.zeros_like(drawn.silhouette[:, :1])], dim=1)
        high = torch.cat([drawn.height, torch.zeros_like(drawn.height[:, :1])], dim=1)

        def stacked(fixed: Tensor, tried: Tensor) -> Tensor:
            wide = fixed[:, None].expand(-1, tried.shape[1], -1, -1, -1)
            return torch.cat([wide, tried[:, :, None]], dim=2).flatten(0, 1)

        composed, covered, _ = compose(
            Rendered(stacked(silhouette[:, others], own), stacked(height[:, others], high))
        )
        wanted = real[:, None].expand(-1, layers + 1, -1, -1).flatten(0, 1)
        loss = rerendering_loss(composed, covered, wanted, shape.unit_m).reshape(batch, -1)
        loss = loss + PRICE * there.sum(1, keepdim=True)
        loss[:, :-1] += PRICE
        best = loss.argmin(dim=1)
        none = best == layers
        kept = best.clamp(max=layers - 1)
        rotation[:, k] = torch.where(none[:, None, None], rotation[:, k], turns[every, kept])
        raw[:, k] = torch.where(none[:, None], raw[:, k], raws[every, kept])
        score[:, k] = torch.where(none, -SURE, SURE)
        silhouette[:, k], height[:, k] = own[every, best], high[every, best]
    return Slots(rotation, raw, score)


def _places(shape: Shape, rotation: Tensor, raw: Tensor) -> Tensor:
    return bounded(rotation, raw, shape.solid, shape.view)


def proposals(
    shape: Shape,
    rotation: Tensor,
    raw: Tensor,
    there: Tensor,
    rest: Tensor,
    real: Tensor,
    trials: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Other places for one instance of B scenes.

    The first is the present one; a third are small changes of it, a third other rotations in its
    place, and a third lie where something higher is measured than `rest`, (B, S, S), explains.

    Returns:
        (B, T, 3, 3) rotations and (B, T, 3) raw places.
    """
    batch, view = len(raw), shape.view
    few = trials // 3
    size = 0.02 + 0.4 * torch.rand(batch, few, 1, generator=generator)
    axis = torch.randn(batch, few, 3, generator=generator) * size
    near = rotation_from_vector(axis.flatten(0, 1)).reshape(batch, few, 3, 3) @ rotation[:, None]
    scale = size * torch.tensor([0.5, 0.5, 1.5])
    near_raw = raw[:, None] + torch.randn(batch, few, 3, generator=generator) * scale
    other = random_rotations(batch * few, generator).reshape(batch, few, 3, 3)
    jitter = torch.randn(batch, few, 3, generator=generator) * torch.tensor([0.1, 0.1, 0.5])
    other_raw = raw[:, None] + jitter
    far = random_rotations(batch * few, generator).reshape(batch, few, 3, 3)
    missing = (real - rest).nan_to_num().clamp(min=0) * (real > SEEN_M) + 1e-6
    pixel = torch.multinomial(missing.flatten(1), few, replacement=True, generator=generator)
    top = real.nan_to_num().flatten(1).gather(1, pixel)  # (B, T)
    span = shape.solid.support(far)  # about as far up as down
    z = torch.maximum(top - span * torch.rand(batch, few, generator=generator), span + 1e-3)
    side, step = view.crop.size, view.pixel_m
    x = (pixel % side - (side - 1) / 2) * step
    y = -(pixel // side - (side - 1) / 2) * step
    apex = torch.tensor(view.apex)
    shrink = (apex[2] - top) / apex[2]
    reach = 0.6 * shape.solid.radius_m
    xy = torch.stack([apex[0] + (x - apex[0]) * shrink, apex[1] + (y - apex[1]) * shrink], -1)
    xy = xy + torch.randn(batch, few, 2, generator=generator) * reach
    flat = torch.atanh((xy / (view.crop.side_m / 2)).clamp(-0.97, 0.97))
    lift = torch.logit(((z - span) / view.crop.height_m).clamp(0.002, 0.95))
    far_raw = torch.cat([flat, lift[..., None]], dim=-1)
    # one that is not there has nothing to be near to
    near = torch.where(there[:, None, None, None], near, far.flip(1))
    near_raw = torch.where(there[:, None, None], near_raw, far_raw)
    turns = torch.cat([rotation[:, None], near, other, far], dim=1)
    return turns, torch.cat([raw[:, None], near_raw, other_raw, far_raw], dim=1)


def descend(shape: Shape, slots: Slots, real: Tensor, steps: int) -> Slots:
    """Adam on rotations, places and presence."""
    turn = torch.zeros_like(slots.raw, requires_grad=True)
    raw = slots.raw.detach().clone().requires_grad_()
    score = slots.score.detach().clamp(-SURE, SURE).requires_grad_()
    optimizer = torch.optim.Adam(
        [
            {'params': [turn], 'lr': 0.03},
            {'params': [raw], 'lr': 0.015},
            {'params': [score], 'lr': 0.15},
        ],
        betas=(0.8, 0.95),
    )
    still = Shape(shape.occupancy.detach(), shape.voxel_m, shape.solid, shape.view, shape.samples)
    fixed = slots.rotation.detach()

    def moved() -> Slots:
        turns = rotation_from_vector(turn.flatten(0, 1)).reshape(fixed.shape)
        return Slots(turns @ fixed, raw, score)

    with torch.enable_grad():
        for _ in range(steps):
            loss = still.loss(moved(), real).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    end = moved()
    return Slots(end.rotation.detach(), end.raw.detach(), end.score.detach())


def fit_scene(
    shape: Shape,
    slots: Slots,
    real: Tensor,
    generator: torch.Generator,
    sweeps: int = 2,
    trials: int = 24,
    steps: int = 10,
) -> Slots:
    """Slots that explain (B, S, S) measured heights at least as well: sweeps, then descent."""
    coarse = shape.coarser()
    small = F.avg_pool2d(real[:, None], 2)[:, 0]
    found = slots
    for _ in range(sweeps):
        found = sweep(coarse, found, small, trials, generator)
        found = descend(coarse, found, small, steps)
    with torch.no_grad():
        better = shape.loss(found, real, True) < shape.loss(slots, real, True)
    return found.where(better, slots)
