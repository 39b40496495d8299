"""A learned baseline as a Segmenter: crop, split, back to the frame's pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros import config
from insegan_ros.baselines.learned.decomposer import Decomposer
from insegan_ros.baselines.learned.registry import build
from insegan_ros.bin_segmenter import BinSegmenter
from insegan_ros.camera import segmentation_from_labels
from insegan_ros.crop import BinCrop, CropConfig
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Segmentation

MIN_PIXELS = 12  # of an instance, in the frame


@dataclass(frozen=True)
class LearnedCard:
    """What the weights need; `settings` of a model's card."""

    method: str  # one of methods.METHODS
    sizes: dict  # of its network
    crop: CropConfig

    def __post_init__(self) -> None:
        if self.crop.coding != 'gap':
            raise ValueError(f'crop.coding {self.crop.coding!r}: learned baselines expect gap')


class LearnedSegmenter(BinSegmenter):
    """Pixels above the bin's floor go to the part whose mask is largest there.

    As in the classical methods the floor decides where parts are, and nothing is rendered:
    depths are the measured ones, poses the visible points' principal axes.
    """

    def __init__(
        self, network: Decomposer, crop: CropConfig, parts_bin: Bin | None = None, *, seed: int = 0
    ) -> None:
        super().__init__(parts_bin, seed, crop.finding)
        self._network, self._crop = network.eval(), crop
        self._device = next(network.parameters()).device
        generator = torch.Generator().manual_seed(seed)
        # the same for every frame: a frame's labels do not depend on earlier ones
        self._noise = torch.randn(1, *network.noise_shape, generator=generator).to(self._device)

    def _segment(
        self,
        frame: DepthFrame,
        parts_bin: Bin,
        seconds: float,  # noqa: ARG002
    ) -> Segmentation:
        crop = BinCrop.of(frame, parts_bin, self._crop)
        image = torch.from_numpy(crop.image).to(self._device)[None, None]
        with torch.no_grad():
            parts = self._network.parts(image, self._noise)[0].float().cpu().numpy()
        seen = crop.restore(parts, frame)  # (n, H, W), -1 outside the crop
        labels = np.where(
            foreground(frame, parts_bin) & (seen.max(axis=0) >= 0), seen.argmax(0) + 1, 0
        )
        return segmentation_from_labels(frame, without_specks(labels))


def without_specks(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """(H, W) labels, less those of fewer than MIN_PIXELS pixels."""
    ids, area = np.unique(labels, return_counts=True)
    return np.where(np.isin(labels, ids[area >= MIN_PIXELS]), labels, 0).astype(np.int32)


def load(
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    device: str = 'cpu',
    *,
    parts_bin: Bin | None = None,
    seed: int = 0,
) -> LearnedSegmenter:
    """The Segmenter of a card's `settings` and the weights beside it.

    Raises:
        ConfigError: settings that this version does not know.
        RuntimeError: weights that do not fit them.
    """
    card = config.from_mapping(LearnedCard, settings)
    network = build(card.method, card.sizes)
    network.load_state_dict(dict(tensors))
    return LearnedSegmenter(network.to(torch.device(device)), card.crop, parts_bin, seed=seed)
