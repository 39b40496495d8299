"""InSeGAN as a Segmenter (paper 3.5): encode, render each instance alone, compare nearness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from insegan_ros import config
from insegan_ros.bin import Bin, BinTracker, foreground
from insegan_ros.camera import height_map, segmentation_from_labels
from insegan_ros.crop import BinCrop, CropConfig, depth_at_height
from insegan_ros.model.encoder import Encoder
from insegan_ros.model.generator import Generator
from insegan_ros.model.insegan import InSeGANConfig
from insegan_ros.types import DepthFrame, InstanceImages, Segmentation

MIN_PIXELS = 12  # of an instance, in the frame
SCORE_HEIGHT_M = 0.005  # re-rendering error at which a score has fallen to 1/e


@dataclass(frozen=True)
class FilterConfig:
    """The paper's 'thresholding and basic image filters' of single-instance renderings."""

    threshold: float = -0.9  # of a rendering, in [-1, 1]: below it there is no part
    median: int = 3  # px, side of the median filter; 1: none
    blur: float = 0.0  # px, standard deviation of the Gaussian filter; 0: none


@dataclass(frozen=True)
class InSeGANCard:
    """What the weights need; `settings` of a model's card."""

    model: InSeGANConfig
    crop: CropConfig
    filters: FilterConfig


class InSeGANNetworks(nn.Module):
    """What is left of a trained model at inference: generator and encoder."""

    def __init__(self, model: InSeGANConfig) -> None:
        super().__init__()
        self.generator = Generator(model)
        self.encoder = Encoder(model, model.instances)

    @torch.inference_mode()
    def decompose(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) -> each instance alone (B, n, S, S), all re-rendered (B, S, S)."""
        z = self.encoder(images)[0]
        return self.generator.render_each(z), self.generator(z)[0][:, 0]


class InSeGANSegmenter:
    """n instances of which each is rendered whole; hidden parts of a shape are restored.

    Poses are the visible points' centroid and principal axes: the implicit template has no metric
    frame of its own.
    """

    def __init__(
        self, networks: InSeGANNetworks, card: InSeGANCard, bin: Bin | None = None, seed: int = 0
    ) -> None:
        self._networks, self._card = networks.eval(), card
        self._device = next(networks.parameters()).device
        self._tracker = BinTracker(bin, seed)

    @property
    def part_length_m(self) -> None:
        """Not known: see types.Segmenter."""

    @property
    def bin(self) -> Bin | None:
        """Where the bin was in the frame segmented last."""
        return self._tracker.last

    def segment(self, frame: DepthFrame, *, pose_seconds: float = 0.0) -> Segmentation:
        """As types.Segmenter says; poses are rough ones, whatever the time.

        Raises:
            FloorNotFoundError: no bin was given and the frame shows none.
        """
        bin = self._tracker(frame)
        crop = BinCrop.of(frame, bin, self._card.crop)
        image = torch.from_numpy(crop.image).to(self._device)[None, None]
        rendered, _ = self._networks.decompose(image)
        alone = filtered(rendered[0].float().cpu().numpy(), self._card.filters)
        seen = crop.restore(alone, frame)  # (n, H, W)
        labels = nearest(seen, self._card.filters.threshold)
        return self._describe(frame, bin, labels, seen, crop.heights(seen))

    def _describe(
        self,
        frame: DepthFrame,
        bin: Bin,
        labels: NDArray[np.int32],
        seen: NDArray[np.float32],
        heights: NDArray[np.float32],
    ) -> Segmentation:
        ids, area = np.unique(labels, return_counts=True)
        ids = ids[(ids > 0) & (area >= MIN_PIXELS)]
        labels = np.where(np.isin(labels, ids), labels, 0)
        measured = height_map(frame, bin.floor)
        measured[~foreground(frame, bin) & np.isfinite(measured)] = 0
        whole = seen[ids - 1] > self._card.filters.threshold  # (N, H, W)
        visible = np.array([(labels == k).sum() for k in ids]) / np.maximum(
            whole.sum(axis=(1, 2)), 1
        )
        errors = np.array([_mean(np.abs(heights[k - 1] - measured)[labels == k]) for k in ids])
        scores = np.exp(-errors / SCORE_HEIGHT_M) * np.clip(visible, 0, 1)
        found = segmentation_from_labels(frame, labels, scores)
        order = np.argsort(-scores, kind='stable')
        depths = depth_at_height(frame, bin, heights[ids - 1])
        depths[~whole] = np.nan
        composed = depth_at_height(frame, bin, heights.max(axis=0, initial=0))
        return Segmentation(
            labels=found.labels,
            depths=InstanceImages.of(depths[order], labels.shape, np.float32(np.nan)),
            rendered_depth=np.where(found.labels > 0, composed, np.float32(np.nan)),
            poses=found.poses,
            scores=found.scores,
            visible_fraction=np.clip(visible[order], 0, 1).astype(np.float32),
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


def to_card(card: InSeGANCard) -> dict[str, Any]:
    """Plain values for the card's `settings`."""
    plain = asdict(card)
    plain['model']['volume_channels'] = list(card.model.volume_channels)
    return plain


def load(
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    device: str = 'cpu',
    bin: Bin | None = None,
    seed: int = 0,
) -> InSeGANSegmenter:
    """The Segmenter of a card's `settings` and the weights beside it.

    Raises:
        ConfigError: settings that this version does not know.
        RuntimeError: weights that do not fit them.
    """
    card = config.from_mapping(InSeGANCard, settings)
    networks = InSeGANNetworks(card.model)
    networks.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    )
    return InSeGANSegmenter(networks.to(torch.device(device)), card, bin, seed)
