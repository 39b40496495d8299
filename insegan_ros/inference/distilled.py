"""The distilled network as a Segmenter: depth frame -> instances at native size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.fusion import fuse_conv_bn_eval

from insegan_ros import config
from insegan_ros.bin import Bin, BinTracker
from insegan_ros.camera import TopDownView, height_map, segmentation_from_labels
from insegan_ros.distillation.network import (
    STRIDE,
    NetworkConfig,
    VoteNetwork,
    VoteSettings,
    channels_last,
    find_instances,
    network_input,
    resize,
)
from insegan_ros.types import DepthFrame, Segmentation

MARGIN = 8  # px around the bin
MIN_HEIGHT_M = 0.006  # above the floor: more than noise
MAX_TILT_DEGREES = 3.0  # beyond it the frame is first seen straight down
SCALE_TOLERANCE = 0.06  # of a pixel's side: beyond it the image is resampled


@dataclass(frozen=True)
class DistilledCard:
    """What the network needs besides its weights; `settings` of a model's card."""

    network: NetworkConfig
    votes: VoteSettings


class DistilledSegmenter:
    """Votes of a network, clustered; the number of parts is not given.

    Single-instance depths are the measured ones and poses the visible points' centroid and
    principal axes: hidden parts of a shape are not restored.
    """

    def __init__(
        self, network: VoteNetwork, votes: VoteSettings, bin: Bin | None = None, seed: int = 0
    ) -> None:
        self._network = _fused(network)
        self._device = next(network.parameters()).device
        self._config, self._votes = network.config, votes
        self._tracker = BinTracker(bin, seed)

    def segment(self, frame: DepthFrame) -> Segmentation:
        """Raises: FloorNotFoundError where no bin was given and the frame shows none."""
        bin = self._tracker(frame)
        tilt = np.degrees(np.arccos(np.clip(-bin.floor.normal[2], -1, 1)))
        all_heights = height_map(frame, bin.floor)
        left, top, right, bottom = _window(all_heights, bin.region)
        window = np.s_[top:bottom, left:right]
        labels = np.zeros(frame.depth_m.shape, np.int32)
        if right - left < STRIDE or bottom - top < STRIDE:
            return segmentation_from_labels(frame, labels)
        if tilt > MAX_TILT_DEGREES:
            region = (left, top, right - left, bottom - top)
            view = TopDownView.of(frame.intrinsics, bin.floor, region)
            seen = view.rectify(frame)
            normal = (0.0, 0.0, -1.0)
            heights = height_map(seen, replace(bin.floor, normal=normal))
            pixel = bin.floor.offset / seen.intrinsics.fx
            found, scores, visible = self._instances(heights, pixel)
            restored = view.restore(found.astype(np.float32), 0).astype(np.int32)
            labels[window] = restored[window]
        else:
            heights = all_heights[window]
            pixel = bin.floor.offset / frame.intrinsics.fx
            labels[window], scores, visible = self._instances(heights, pixel)
        ids = np.unique(labels[window])
        ids = ids[ids > 0]
        if not len(ids):
            return segmentation_from_labels(frame, labels)
        scores, visible = scores[ids - 1], visible[ids - 1]
        segmentation = segmentation_from_labels(frame, labels, scores)
        order = np.argsort(-scores, kind='stable')
        return replace(segmentation, visible_fraction=visible[order].astype(np.float32))

    def _instances(
        self, heights: NDArray[np.float32], pixel_m: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """(H, W) heights -> labels, and scores and visible fractions of the instances."""
        shape = heights.shape
        factor = pixel_m / self._config.pixel_m
        if abs(factor - 1) > SCALE_TOLERANCE:
            size = (max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1))
            heights = resize(heights, size)
        seen = heights.shape
        padding = [(0, -side % STRIDE) for side in seen]
        padded = np.pad(heights, padding, constant_values=np.nan)
        image = torch.from_numpy(network_input(padded, self._config)[None])
        image = image.to(self._device, memory_format=torch.channels_last)
        with torch.inference_mode():
            output = self._network(image)[0].float().cpu().numpy()
        output = output[:, : seen[0], : seen[1]]
        found = find_instances(output, self._config, self._votes)
        labels = found.labels if seen == shape else resize(found.labels, shape)
        visible = np.clip(found.visible, 0, 1)
        return labels, found.agreement * np.sqrt(visible), visible


def _window(
    heights: NDArray[np.float32], region: tuple[int, int, int, int] | None
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what stands above the floor in the bin, and a margin."""
    x, y, w, h = region or (0, 0, heights.shape[1], heights.shape[0])
    raised = heights[y : y + h, x : x + w] > MIN_HEIGHT_M  # False where NaN
    columns = np.flatnonzero(raised.sum(axis=0) >= 3)
    rows = np.flatnonzero(raised.sum(axis=1) >= 3)
    if not len(columns) or not len(rows):
        return x, y, x, y
    return (
        max(x + int(columns[0]) - MARGIN, 0),
        max(y + int(rows[0]) - MARGIN, 0),
        min(x + int(columns[-1]) + 1 + MARGIN, heights.shape[1]),
        min(y + int(rows[-1]) + 1 + MARGIN, heights.shape[0]),
    )


def _fused(network: VoteNetwork) -> torch.nn.Module:
    """For inference: batch norms folded into the convolutions before them."""
    network = network.eval()
    for block in list(network.modules()):
        if (
            isinstance(block, torch.nn.Sequential)
            and len(block) == 3
            and isinstance(block[0], torch.nn.Conv2d)
            and isinstance(block[1], torch.nn.BatchNorm2d)
        ):
            block[0] = fuse_conv_bn_eval(block[0], block[1])
            block[1] = torch.nn.Identity()
    return channels_last(network)


def to_card(network: NetworkConfig, votes: VoteSettings) -> dict[str, Any]:
    """Plain values for the card's `settings`."""
    plain = asdict(DistilledCard(network, votes))
    plain['network']['widths'] = list(network.widths)
    return plain


def load(
    settings: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    device: str = 'cpu',
    bin: Bin | None = None,
    seed: int = 0,
) -> DistilledSegmenter:
    """The Segmenter of a card's `settings` and the weights beside it.

    Raises:
        ConfigError: settings that this version does not know.
        RuntimeError: weights that do not fit them.
    """
    card = config.from_mapping(DistilledCard, settings)
    network = VoteNetwork(card.network)
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    )
    network.to(torch.device(device))
    return DistilledSegmenter(network, card.votes, bin, seed)
