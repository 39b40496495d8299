"""A template refined in whole scenes of real frames; its judgement needs no label.

The held-out error: in frames not trained on, poses are searched by render and compare from the
encoder's proposals, and what is left of the difference of heights is told in mm. The template that
the run began with is judged in the same frames, from the same proposals and from those of the
encoder that was trained for it alone; in every frame its better result counts.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros.bin import Bin, BinTracker, foreground
from insegan_ros.camera import height_map
from insegan_ros.crop import BinCrop, CropConfig
from insegan_ros.data.frames import measure_crop
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.model.explicit import Template
from insegan_ros.model.explicit_gan import ExplicitGAN
from insegan_ros.model.explicit_scene import (
    SceneView,
    Solid,
    compose,
    rerendering_error,
)
from insegan_ros.model.set_predictor import SetPredictor, Slots
from insegan_ros.training.real_frames import SPARE
from insegan_ros.training.scene_search import Shape, descend, fit_scene
from insegan_ros.types import DepthFrame

VIEW_FRAMES = 12  # looked at to know where the camera is
FLOOR_M = 0.004  # lower is floor
KNOWN_SHARE = 0.9  # of a pixel's surroundings, of which it is known what they show
TRIALS = 96  # places that an instance of a held-out frame is offered in a sweep
FINE_STEPS = 15  # of descent at full resolution


@dataclass(frozen=True)
class Scenes:
    """Frames as heights above the floor, metres."""

    training: Tensor  # (T, S, S), NaN where unknown
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
            tracker, found = BinTracker(seed=seed), []
            for index in indices:
                frame = dataset[index].frame
                with contextlib.suppress(FloorNotFoundError):
                    found.append(known_heights(frame, tracker(frame), view.crop))
                progress(1)
            if not found:
                raise DatasetError(f'{dataset.path}: none of {len(indices)} frames shows a bin')
            return torch.from_numpy(np.stack(found))

        return Scenes(heights(training), heights(held_out), view)


def known_heights(frame: DepthFrame, bin: Bin, crop: CropConfig) -> NDArray[np.float32]:
    """(S, S) metres above the floor; NaN where nothing was measured or a wall may be meant.

    Taken for floor, these pixels would thin the parts: they are most of what a true shape in its
    true pose is off by.
    """
    seen = BinCrop.of(frame, bin, crop)
    heights = height_map(frame, bin.floor)
    with np.errstate(invalid='ignore'):
        known = foreground(frame, bin) | (heights < FLOOR_M)
    size = (crop.size, crop.size)
    share = cv2.warpPerspective(
        cv2.blur(known.astype(np.float32), (3, 3)), np.linalg.inv(seen.homography), size
    )
    return np.where(share > KNOWN_SHARE, seen.heights(seen.image), np.float32(np.nan))


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

    slots: Slots  # (V, K)
    heights: Tensor  # (V, S, S) re-rendered, m
    error_m: Tensor  # (V,) mean difference of heights

    @property
    def count(self) -> float:
        """Instances a frame."""
        return float((self.slots.score > 0).sum(dim=1).float().mean())


def fit_frames(
    logits: Tensor,
    encoders: Sequence[SetPredictor],
    model: ExplicitGAN,
    real: Tensor,
    most: int,
    sweeps: int,
    batch: int = 8,
) -> Fitted:
    """Poses searched from the proposals of each encoder; in every frame the better ones.

    Args:
        real: (V, S, S) heights in metres.
    """
    generator = torch.Generator().manual_seed(0)
    solid = Solid.of(logits, model.voxel_m, generator)
    occupancy = logits.detach().sigmoid()
    shape = Shape(occupancy, model.voxel_m, solid, model.view, model.config.samples)
    parts = []
    for some in real.split(batch):
        tried = [_fit(shape, e, some, model.unit_m, most, sweeps, generator) for e in encoders]
        best = tried[0]
        for other in tried[1:]:
            better = other.error_m < best.error_m
            best = Fitted(
                other.slots.where(better, best.slots),
                torch.where(better[:, None, None], other.heights, best.heights),
                torch.minimum(other.error_m, best.error_m),
            )
        parts.append(best)
    slots = Slots(
        torch.cat([p.slots.rotation for p in parts]),
        torch.cat([p.slots.raw for p in parts]),
        torch.cat([p.slots.score for p in parts]),
    )
    return Fitted(
        slots, torch.cat([p.heights for p in parts]), torch.cat([p.error_m for p in parts])
    )


def _fit(
    shape: Shape,
    encoder: SetPredictor,
    real: Tensor,
    unit_m: float,
    most: int,
    sweeps: int,
    generator: torch.Generator,
) -> Fitted:
    with torch.no_grad():
        slots = encoder(real.nan_to_num() / unit_m).top(most + SPARE)
    slots = fit_scene(shape, slots, real, generator, sweeps, TRIALS)
    slots = descend(shape, slots, real, FINE_STEPS)
    with torch.no_grad():
        heights = compose(shape.render(shape.placed(slots, hard=True)))[0]
    return Fitted(slots, heights, rerendering_error(heights, real))


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
    sweeps: int,
) -> Verdict:
    """Both templates in the same held-out frames, the doubt in favour of the first."""
    after = fit_frames(model.logits, [model.encoder], model, real, most, sweeps).error_m
    before = fit_frames(start, [first_encoder, model.encoder], model, real, most, sweeps).error_m
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
