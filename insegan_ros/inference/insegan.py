"""InSeGAN as a Segmenter (paper 3.5): encode, render each instance alone, compare nearness."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from insegan_ros import config
from insegan_ros.bin_segmenter import BinSegmenter
from insegan_ros.camera import height_map, segmentation_from_labels
from insegan_ros.crop import BinCrop, CropConfig, depth_at_height, encode
from insegan_ros.model.generator import Generator
from insegan_ros.model.hypotheses import best_of_turns
from insegan_ros.model.insegan import InSeGANConfig, make_encoder
from insegan_ros.model.refine import composed, refine
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, InstanceImages, Segmentation


@dataclass(frozen=True)
class FilterConfig:
    """The paper's 'thresholding and basic image filters' of single-instance renderings."""

    threshold: float = -0.9  # of a rendering, in [-1, 1]: below it there is no part
    median: int = 3  # px, side of the median filter; 1: none
    blur: float = 0.0  # px, standard deviation of the Gaussian filter; 0: none
    # Whose a pixel is. `nearest`: the nearest rendering's (paper 3.5). `measured`: that of the
    # rendering which comes closest to what was measured there: fewer false pixels on the floor.
    owner: Literal['nearest', 'measured'] = 'nearest'
    least_px: int = 12  # of an instance in the frame: smaller ones are specks
    score_height_m: float = 0.005  # re-rendering error at which a score has fallen to 1/e

    def __post_init__(self) -> None:
        if not -1 <= self.threshold <= 1:
            raise ValueError(f'filters.threshold {self.threshold}: -1 to 1 is expected')
        if self.median < 1 or self.median % 2 == 0:
            raise ValueError(f'filters.median {self.median}: an odd number is expected; 1: none')
        if not (self.blur >= 0 and self.score_height_m > 0):
            raise ValueError(
                f'filters.blur {self.blur}, filters.score_height_m {self.score_height_m}: 0 or '
                'more, and more than 0 are expected'
            )


@dataclass(frozen=True)
class InSeGANCard:
    """What the weights need; `settings` of a model's card."""

    model: InSeGANConfig
    crop: CropConfig
    filters: FilterConfig
    refine_steps: int = 0  # gradient steps on each frame's codes
    turns: int = 1  # quarter turns of the image whose instances compete (model.hypotheses)

    def __post_init__(self) -> None:
        if not 1 <= self.turns <= 4:
            raise ValueError(f'turns {self.turns}: 1 to 4 are expected')
        if self.refine_steps < 0:
            raise ValueError(f'refine_steps {self.refine_steps}: 0 or more are expected')
        if self.crop.size != self.model.image_size:
            raise ValueError(
                f'crop.size {self.crop.size} and model.image_size {self.model.image_size}: the '
                'same number of pixels is expected'
            )
        if self.turns > 1 and self.model.composed_by == 'mean':
            raise ValueError(
                'turns above 1 need model.composed_by nearest: a mean of feature maps cannot be '
                'taken of several turns'
            )


@dataclass(frozen=True)
class Decomposition:
    """What the networks say of B images."""

    alone: Tensor  # (B, n, S, S) each instance alone
    image: Tensor  # (B, S, S) all of them re-rendered
    templates: Tensor  # (B, n) which of the model's templates each has: 1, 2, ...


class InSeGANNetworks(nn.Module):
    """What is left of a trained model at inference: generator and encoder."""

    def __init__(self, model: InSeGANConfig) -> None:
        super().__init__()
        self.generator, self.encoder = Generator(model), make_encoder(model)
        self._count = model.instances

    @torch.no_grad()
    def decompose(
        self,
        images: Tensor,
        refine_steps: int = 0,
        until: float = float('inf'),
        *,
        turns: int = 1,
    ) -> Decomposition:
        """Of images (B, 1, S, S).

        Args:
            refine_steps: gradient steps of the codes.
            until: the moment, by the monotonic clock, after which no step is begun.
            turns: of the image by 90 degrees, whose instances compete.
        """
        found = best_of_turns(self.encoder, self.generator, images, count=self._count, turns=turns)
        codes = found.codes
        if refine_steps and time.monotonic() < until:
            codes = refine(
                self.generator,
                codes,
                images,
                steps=refine_steps,
                turns=found.turns,
                until=until,
            )
        image, alone = composed(self.generator, codes, found.turns)
        return Decomposition(alone, image[:, 0], self.generator.templates(codes))


class InSeGANSegmenter(BinSegmenter):
    """n instances of which each is rendered whole; hidden parts of a shape are restored.

    Poses are the visible points' centroid and principal axes: the implicit template has no metric
    frame of its own.
    """

    def __init__(
        self,
        networks: InSeGANNetworks,
        card: InSeGANCard,
        parts_bin: Bin | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(parts_bin, seed, card.crop.finding)
        self._networks = copy.deepcopy(networks).eval().requires_grad_(False)
        self._card = card
        self._device = next(networks.parameters()).device

    def _segment(self, frame: DepthFrame, parts_bin: Bin, until: float) -> Segmentation:
        crop = BinCrop.of(frame, parts_bin, self._card.crop)
        image = torch.from_numpy(crop.image).to(self._device)[None, None]
        explained = self._networks.decompose(
            image, self._card.refine_steps, until, turns=self._card.turns
        )
        alone = filtered(explained.alone[0].float().cpu().numpy(), self._card.filters)
        seen = crop.restore(alone, frame)  # (n, H, W)
        threshold = self._card.filters.threshold
        labels, part = nearest(seen, threshold), foreground(frame, parts_bin)
        heights = height_map(frame, parts_bin.floor)
        if self._card.filters.owner == 'measured':
            values = np.where(part, encode(np.nan_to_num(heights), self._card.crop), -1)
            closest = closest_to_measured(seen, values, threshold)
            labels = np.where(np.isfinite(heights), closest, labels)
        labels = filled(labels, part & np.isfinite(heights))
        templates = explained.templates[0].cpu().numpy().astype(np.uint16)
        heights_m = crop.heights(seen)
        return self._describe(
            frame, parts_bin, labels, seen=seen, heights=heights_m, templates=templates
        )

    def _describe(
        self,
        frame: DepthFrame,
        parts_bin: Bin,
        labels: NDArray[np.int32],
        *,
        seen: NDArray[np.float32],
        heights: NDArray[np.float32],
        templates: NDArray[np.uint16],
    ) -> Segmentation:
        filters = self._card.filters
        ids, area = np.unique(labels, return_counts=True)
        ids = ids[(ids > 0) & (area >= filters.least_px)]
        labels = np.where(np.isin(labels, ids), labels, 0)
        measured = height_map(frame, parts_bin.floor)
        measured[~foreground(frame, parts_bin) & np.isfinite(measured)] = 0
        whole = seen[ids - 1] > filters.threshold  # (N, H, W)
        visible = np.array([(labels == k).sum() for k in ids]) / np.maximum(
            whole.sum(axis=(1, 2)), 1
        )
        errors = np.array([_mean(np.abs(heights[k - 1] - measured)[labels == k]) for k in ids])
        scores = np.exp(-errors / filters.score_height_m) * np.clip(visible, 0, 1)
        found = segmentation_from_labels(frame, labels, scores)
        order = np.argsort(-scores, kind='stable')
        depths = depth_at_height(frame, parts_bin, heights[ids - 1])
        depths[~whole] = np.nan
        several = self._card.model.templates > 1
        composed = depth_at_height(frame, parts_bin, heights.max(axis=0, initial=0))
        return Segmentation(
            labels=found.labels,
            depths=InstanceImages.of(depths[order], labels.shape, np.float32(np.nan)),
            rendered_depth=np.where(found.labels > 0, composed, np.float32(np.nan)),
            poses=found.poses,
            scores=found.scores,
            visible_fraction=np.clip(visible[order], 0, 1).astype(np.float32),
            kinds=templates[ids - 1][order] if several else None,
        )


def _mean(values: NDArray[np.floating]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float('inf')


def filtered(images: NDArray[np.float32], filters: FilterConfig) -> NDArray[np.float32]:
    """(n, S, S) single-instance renderings, smoothed."""
    out = []
    for image in images:
        if filters.median > 1:
            image = cv2.medianBlur(image, filters.median)
        if filters.blur > 0:
            image = cv2.GaussianBlur(image, (0, 0), filters.blur)
        out.append(image)
    return np.stack(out)


def nearest(images: NDArray[np.float32], threshold: float) -> NDArray[np.int32]:
    """(n, H, W) renderings -> (H, W): 1 + the nearest's index, 0 where all are below."""
    return np.where(images.max(axis=0) > threshold, 1 + images.argmax(axis=0), 0).astype(np.int32)


def closest_to_measured(
    images: NDArray[np.float32], measured: NDArray[np.floating], threshold: float
) -> NDArray[np.int32]:
    """(n, H, W) renderings, (H, W) what was measured -> (H, W): 1 + an index, 0 on the floor."""
    off = np.where(images > threshold, np.abs(images - measured), np.inf)
    found = (measured > -1) & np.isfinite(off).any(axis=0)
    return np.where(found, 1 + off.argmin(axis=0), 0).astype(np.int32)


def filled(labels: NDArray[np.int32], part: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Labels (H, W) in which what was measured of parts, and nothing covers, is shared out.

    Each such pixel goes to the instance that is nearest in the image: a part is there, whatever
    the renderings say.

    Args:
        part: (H, W) where a part was measured.
    """
    open_ = part & (labels == 0)
    if not open_.any() or not labels.any():
        return labels
    _, index = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(index.max() + 1, np.int32)
    owner[index[labels > 0]] = labels[labels > 0]
    return np.where(open_, owner[index], labels)


def choose_threshold(
    alone: NDArray[np.float32], images: NDArray[np.float32], filters: FilterConfig
) -> float:
    """The threshold at which what is rendered covers best what the camera saw in the bin.

    No label is used: a part is what stands above the floor. The measure is the intersection over
    union of the two areas, over all images together.

    Args:
        alone: (B, n, S, S) single-instance renderings.
        images: (B, S, S) the crops that they were made from, -1 the floor.
    """
    nearest_of = np.stack([filtered(one, filters).max(axis=0) for one in alone])
    part = images > -1 + 1e-3
    trials = np.linspace(-0.98, 0.9, 95)
    ious = []
    for trial in trials:
        covered = nearest_of > trial
        ious.append((covered & part).sum() / max((covered | part).sum(), 1))
    return round(float(trials[int(np.argmax(ious))]), 3)


def load(
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    device: str = 'cpu',
    *,
    parts_bin: Bin | None = None,
    seed: int = 0,
) -> InSeGANSegmenter:
    """The Segmenter of a card's `settings` and the weights beside it.

    Raises:
        ConfigError: settings that this version does not know.
        RuntimeError: weights that do not fit them.
    """
    card = config.from_mapping(InSeGANCard, settings)
    networks = InSeGANNetworks(card.model)
    networks.load_state_dict(dict(tensors))
    return InSeGANSegmenter(networks.to(torch.device(device)), card, parts_bin, seed=seed)
