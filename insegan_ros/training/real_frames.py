"""Real frames explained by a template: poses by render and compare, remembered, and refined."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from insegan_ros.model.explicit import rotation_from_vector
from insegan_ros.model.explicit_gan import ExplicitGAN
from insegan_ros.model.explicit_scene import Solid
from insegan_ros.model.set_predictor import Slots
from insegan_ros.training.explicit_config import ExplicitStepConfig
from insegan_ros.training.loop import require_finite
from insegan_ros.training.scene_search import Shape, fit_scene

SPARE = 1  # slots more than instances that real frames are explained by


@dataclass(frozen=True)
class Memory:
    """What explained each of F real frames best so far: its tensors are written in place."""

    rotation: Tensor  # (F, K, 3, 3)
    raw: Tensor  # (F, K, 3)
    score: Tensor  # (F, K)
    known: Tensor  # (F,) bool

    @staticmethod
    def of(frames: int, slots: int) -> Memory:
        return Memory(
            torch.eye(3).repeat(frames, slots, 1, 1),
            torch.zeros(frames, slots, 3),
            torch.full((frames, slots), -1.0),
            torch.zeros(frames, dtype=torch.bool),
        )

    def of_frames(self, index: Tensor) -> Slots:
        return Slots(self.rotation[index], self.raw[index], self.score[index])

    def keep(self, index: Tensor, slots: Slots) -> None:
        self.rotation[index], self.raw[index] = slots.rotation, slots.raw
        self.score[index], self.known[index] = slots.score, True


def fit_real(
    model: ExplicitGAN, template: Optimizer, memory: Memory, real: Tensor, index: Tensor,
    solid: Solid, config: ExplicitStepConfig, step: int, generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Poses searched from the best known, then poses and template together.

    Args:
        template: its optimiser, which is stepped.
        real: (B, S, S) heights in metres, NaN where unknown.
        index: (B,) which frames they are in the memory, which is updated.

    Returns:
        Mean re-rendering loss before the template was fitted.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    shape = Shape(
        model.logits.detach().sigmoid(), model.voxel_m, solid, model.view,
        model.config.samples,
    )  # fmt: skip
    new = not bool(memory.known[index].all())
    with torch.no_grad():
        slots = model.encoder(real.nan_to_num() / model.unit_m).top(config.most + SPARE)
        kept = memory.of_frames(index)
        worse = shape.loss(slots, real, True) > shape.loss(kept, real, True)
        slots = kept.where(worse & memory.known[index], slots)
    slots = fit_scene(
        shape, slots, real, generator, 3 if new else config.sweeps, config.trials,
        config.descents,
    )  # fmt: skip
    turn = torch.zeros_like(slots.raw, requires_grad=True)
    raw = slots.raw.clone().requires_grad_()
    poses = torch.optim.Adam([{'params': [turn], 'lr': 0.01}, {'params': [raw], 'lr': 0.004}])
    weight: Tensor | None = None
    for _ in range(config.fits):
        turns = rotation_from_vector(turn.flatten(0, 1)).reshape(slots.rotation.shape)
        moved = Slots(turns @ slots.rotation, raw, slots.score)
        occupancy = model.logits.sigmoid()
        now = replace(shape, occupancy=occupancy)
        loss = now.loss(moved, real, True)
        if weight is None:  # what is explained well has more say
            weight = torch.exp(-loss.detach() / loss.detach().median().clamp(min=1e-3))
            first = loss.detach().mean()
        total = (weight * loss).sum() / weight.sum() + config.smooth * roughness(occupancy)
        require_finite({'L_real': total.detach()}, step)
        poses.zero_grad()
        template.zero_grad(set_to_none=True)
        total.backward()
        poses.step()
        if config.template_rate:
            template.step()
    with torch.no_grad():
        turns = rotation_from_vector(turn.flatten(0, 1)).reshape(slots.rotation.shape)
        best = Slots(turns @ slots.rotation, raw.detach(), slots.score)
        memory.keep(index, best)
    template.zero_grad(set_to_none=True)
    return first


def roughness(occupancy: Tensor) -> Tensor:
    """Mean difference between neighbouring voxels, in units of a whole surface's."""
    steps = [occupancy.diff(dim=axis).abs().sum() for axis in range(3)]
    return torch.stack(steps).sum() / (6 * occupancy.shape[0] ** 2)
