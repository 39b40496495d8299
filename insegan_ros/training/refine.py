"""A template refined in whole scenes of real frames; its judgement needs no label.

The held-out error: in frames not trained on, poses from the encoder are improved by gradient
descent on the re-rendering, and what is left of the difference of heights is told in mm. The
template that the run began with is judged in the same frames, from the same proposals and from
those of the encoder that was trained for it alone; in every frame its better one counts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros.bin import BinTracker
from insegan_ros.crop import CropConfig
from insegan_ros.data.frames import crop_frames, measure_crop
from insegan_ros.data.store import Dataset
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.model.explicit import Template, rotation_from_vector
from insegan_ros.model.explicit_gan import ExplicitGAN
from insegan_ros.model.explicit_scene import (
    Poses,
    SceneView,
    Solid,
    bounded,
    compose,
    render_instances,
)
from insegan_ros.model.set_predictor import SetPredictor, Slots
from insegan_ros.training.explicit_step import rerendering_loss

VIEW_FRAMES = 12  # looked at to know where the camera is
SPARE = 2  # slots more than instances that are tried in a frame


@dataclass(frozen=True)
class Scenes:
    """Frames as heights above the floor, metres."""

    training: Tensor  # (T, S, S)
    held_out: Tensor  # (V, S, S)
    view: SceneView

    @staticmethod
    def of(
        dataset: Dataset,
        training: Sequence[int],
        held_out: Sequence[int],
        size: int,
        seed: int,
        progress: Callable[[int], object] = lambda frames: None,
    ) -> Scenes:
        """Raises: DatasetError, where a frame is damaged or none shows a bin."""
        view = scene_view(dataset, training, measure_crop(dataset, training, size, seed), seed)

        def heights(indices: Sequence[int]) -> Tensor:
            images = crop_frames(dataset, indices, view.crop, seed, progress)
            return view.heights(torch.from_numpy(images.astype(np.float32)))

        return Scenes(heights(training), heights(held_out), view)


def scene_view(dataset: Dataset, indices: Sequence[int], crop: CropConfig, seed: int) -> SceneView:
    tracker, found = BinTracker(seed=seed), []
    for index in indices[:VIEW_FRAMES]:
        frame = dataset[index].frame
        try:
            found.append((frame, tracker(frame)))
        except FloorNotFoundError:
            continue
    return SceneView.of(found, crop)


@dataclass(frozen=True)
class Fitted:
    """What explains V frames best."""

    poses: Poses  # (V, K, ...), present 0 or 1
    heights: Tensor  # (V, S, S) re-rendered, m
    error_m: Tensor  # (V,) mean difference of heights


def fit_poses(
    logits: Tensor,
    voxel_m: float,
    slots: Slots,
    real: Tensor,
    view: SceneView,
    samples: int,
    steps: int,
) -> Fitted:
    """Slots improved by gradient descent on the re-rendering of (V, S, S) real heights."""
    solid = Solid.of(logits, voxel_m, torch.Generator().manual_seed(0))
    occupancy, unit = logits.detach().sigmoid(), 0.2 * solid.radius_m
    turn = torch.zeros_like(slots.raw, requires_grad=True)
    raw = slots.raw.detach().clone().requires_grad_()
    score = slots.score.detach().clamp(-3, 3).requires_grad_()
    optimizer = torch.optim.Adam(
        [{'params': [turn], 'lr': 0.04}, {'params': [raw], 'lr': 0.02},
         {'params': [score], 'lr': 0.15}],
        betas=(0.8, 0.95),
    )  # fmt: skip

    def posed(hard: bool) -> Poses:
        rotation = rotation_from_vector(turn.flatten(0, 1)).reshape(slots.rotation.shape)
        rotation = rotation @ slots.rotation.detach()
        present = (score > 0).float() if hard else score.sigmoid()
        return Poses(rotation, bounded(rotation, raw, solid, view), present)

    for _ in range(steps):
        drawn = render_instances(occupancy, voxel_m, posed(False), solid.radius_m, view, samples)
        heights, silhouette, _ = compose(drawn)
        loss = rerendering_loss(heights, silhouette, real, unit).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        poses = posed(True)
        drawn = render_instances(occupancy, voxel_m, poses, solid.radius_m, view, samples)
        heights = compose(drawn)[0]
    return Fitted(poses, heights, (heights - real).abs().mean((1, 2)))


def fit_frames(
    logits: Tensor,
    encoders: Sequence[SetPredictor],
    model: ExplicitGAN,
    real: Tensor,
    most: int,
    steps: int,
    batch: int = 8,
) -> Fitted:
    """`fit_poses` from the proposals of each encoder; in every frame the better one."""
    tried: list[Fitted] = []
    for encoder in encoders:
        parts = []
        for some in real.split(batch):
            with torch.no_grad():
                slots = encoder(some / model.unit_m).top(most + SPARE)
            samples = model.config.samples
            parts.append(fit_poses(logits, model.voxel_m, slots, some, model.view, samples, steps))
        tried.append(_joined(parts))
    best = tried[0]
    for other in tried[1:]:
        better = other.error_m < best.error_m
        best = _chosen(better, other, best)
    return best


def _joined(parts: Sequence[Fitted]) -> Fitted:
    def cat(get: Callable[[Fitted], Tensor]) -> Tensor:
        return torch.cat([get(part) for part in parts])

    poses = Poses(
        cat(lambda p: p.poses.rotation),
        cat(lambda p: p.poses.position),
        cat(lambda p: p.poses.present),
    )
    return Fitted(poses, cat(lambda p: p.heights), cat(lambda p: p.error_m))


def _chosen(better: Tensor, a: Fitted, b: Fitted) -> Fitted:
    def pick(x: Tensor, y: Tensor) -> Tensor:
        return torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), x, y)

    poses = Poses(
        pick(a.poses.rotation, b.poses.rotation),
        pick(a.poses.position, b.poses.position),
        pick(a.poses.present, b.poses.present),
    )
    return Fitted(poses, pick(a.heights, b.heights), pick(a.error_m, b.error_m))


@dataclass(frozen=True)
class Verdict:
    """The refined template against the one that the run began with."""

    before_mm: float  # held-out re-rendering error
    after_mm: float
    gain_mm: float  # mean over frames of before - after
    gain_error_mm: float  # its standard error

    @property
    def better(self) -> bool:
        """By more than chance in these frames."""
        return self.gain_mm > 2 * self.gain_error_mm and self.gain_mm > 0

    def __str__(self) -> str:
        said = 'better' if self.better else 'not better'
        return (
            f'held-out re-rendering error {self.before_mm:.3f} mm with the template begun with, '
            f'{self.after_mm:.3f} mm refined: {said} (gain {self.gain_mm:.3f} +- '
            f'{self.gain_error_mm:.3f} mm)'
        )


def judge(
    model: ExplicitGAN,
    start: Tensor,
    first_encoder: SetPredictor,
    real: Tensor,
    most: int,
    steps: int,
) -> Verdict:
    """Both templates in the same held-out frames, the doubt in favour of the first."""
    after = fit_frames(model.logits, [model.encoder], model, real, most, steps).error_m
    before = fit_frames(start, [first_encoder, model.encoder], model, real, most, steps).error_m
    gain = (before - after) * 1e3
    error = float(gain.std() / max(len(gain), 2) ** 0.5) if len(gain) > 1 else float('inf')
    return Verdict(
        1e3 * float(before.mean()), 1e3 * float(after.mean()), float(gain.mean()), error
    )


def concluded(start: Template, logits: Tensor, verdict: Verdict, steps: int) -> Template:
    """The refined template with its account."""
    account = {
        **start.account,
        'refined_steps': steps,
        'rerendering_mm_before': round(verdict.before_mm, 4),
        'rerendering_mm': round(verdict.after_mm, 4),
    }
    array: NDArray[np.float32] = logits.detach().cpu().numpy().astype(np.float32)
    return replace(start, logits=array, account=account)


def frozen_copy(encoder: SetPredictor) -> SetPredictor:
    return copy.deepcopy(encoder).eval().requires_grad_(False)
