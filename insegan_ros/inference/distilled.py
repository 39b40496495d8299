"""The distilled network as a Segmenter: depth frame -> instances at native size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from insegan_ros import config
from insegan_ros.bin_tracker import BinTracker
from insegan_ros.camera import TopDownView, height_map, segmentation_from_labels
from insegan_ros.distillation.clusters import Instances, VoteSettings, find_instances
from insegan_ros.distillation.network import (
    STRIDE,
    VoteNetwork,
    fused,
    interpolate,
    resize,
)
from insegan_ros.inference.bin_window import ids_inside, lifted, raised_window
from insegan_ros.inference.distilled_card import DistilledCard, Scoring, scaled, template_name
from insegan_ros.inference.existence import Existence
from insegan_ros.inference.found import Found
from insegan_ros.inference.network_scale import magnification, network_output
from insegan_ros.inference.poses import (
    PoseEstimator,
    PoseFit,
    fit_kinds,
    posed_cues,
    with_poses,
)
from insegan_ros.inference.template_fit import TemplateFit
from insegan_ros.model.template import Template
from insegan_ros.parts_bin import DEFAULT, Bin, FindingConfig, foreground, lowest_part
from insegan_ros.types import DepthFrame, InstanceImages, Segmentation

MAX_TILT_DEGREES = 3.0  # beyond it the frame is first seen straight down
WHOLE_VISIBLE, WHOLE_AGREEMENT = 0.9, 0.6  # above both an instance counts as seen whole


class DistilledSegmenter:
    """Votes of a network, clustered; the number of parts is not given.

    With seconds for poses and a template beside the weights, each instance gets the
    template's pose and its rendering, hidden parts included. Without, single-instance depths are
    the measured ones and poses the visible points' centroid and principal axes.
    """

    def __init__(
        self,
        network: VoteNetwork,
        votes: VoteSettings,
        parts_bin: Bin | None = None,
        *,
        seed: int = 0,
        templates: Sequence[Template] = (),
        scoring: Scoring | None = None,
        lengths_px: tuple[float, float] | None = None,
        existence: Existence | None = None,
        finding: FindingConfig = DEFAULT,
        usual_misfit: float | None = None,
    ) -> None:
        self.network = fused(network)
        self._device = next(network.parameters()).device
        self._config, self._votes = network.config, votes
        self._tracker = BinTracker(parts_bin, seed, config=finding)
        self._scoring, self._existence = scoring, existence
        self._lengths_px = lengths_px
        self.template_fit = TemplateFit(usual_misfit)
        self.poses = tuple(PoseEstimator(template, seed=seed) for template in templates)

    @property
    def any_length(self) -> bool:
        """Whether it was trained for parts of any length."""
        return self._lengths_px is not None

    @property
    def part_length_m(self) -> float:
        """Of the part's longest side."""
        return self._config.part_length_m

    def set_part_length(self, metres: float) -> None:
        """Of a network that was trained for parts of any length.

        Raises:
            ValueError: it knows one part alone, or that is no length.
        """
        if self._lengths_px is None:
            raise ValueError('this model knows one part; a part length is for models of any part')
        self._config = scaled(self._config, metres)

    @property
    def parts_bin(self) -> Bin | None:
        """Where the bin was in the frame segmented last."""
        return self._tracker.last

    @property
    def misfit(self) -> float | None:
        """As types.Segmenter says."""
        return self.template_fit.misfit

    def bin_in(self, frame: DepthFrame) -> Bin:
        """Where the bin is; a frame asked for twice is looked at once.

        Raises:
            FloorNotFoundError: no bin was given and the frame shows none.
        """
        return self._tracker(frame)

    def segment(
        self,
        frame: DepthFrame,
        *,
        pose_seconds: float = 0.0,
        answer_seconds: float = float('inf'),
    ) -> Segmentation:
        """As types.Segmenter says.

        Raises:
            FloorNotFoundError: no bin was given and the frame shows none.
        """
        begun = PoseEstimator.clock()
        found = self.find(frame)
        scores = self.scores(found)
        plain = segmentation_from_labels(frame, found.labels, scores)
        order = np.argsort(-np.asarray(scores), kind='stable')
        kinds = found.kinds[order].astype(np.uint16) if self._config.kinds > 1 else None
        visible = found.visible[order].astype(np.float32)
        plain = replace(plain, visible_fraction=visible, kinds=kinds)
        if not self.poses or not plain.count:
            return plain

        def fit(best: int, seconds: float) -> list[PoseFit | None]:
            some = np.arange(min(best, plain.count))
            left = max(begun + answer_seconds - PoseEstimator.clock(), 0.0)
            masks, seconds = plain.masks.take(some), min(seconds, left)
            return self.fit_poses(frame, masks, found, order=order[some], seconds=seconds)

        if pose_seconds <= 0:
            self.template_fit.look(fit)
            return plain
        fits = fit(plain.count, pose_seconds)
        self.template_fit.note(fits)
        if self._scoring is not None:
            cues = posed_cues(found.cues[order], fits)
            fitted = self._scoring.posed(cues)
            known = np.array([fit is not None for fit in fits])
            scores = np.where(known, fitted, plain.scores)
        else:
            scores = plain.scores
        return with_poses(frame, plain, fits, scores=scores, estimators=self.poses)

    def scores(self, found: Found) -> NDArray[np.floating]:
        """(N,) of what was found, poses aside: how likely a mask is right, if calibrated."""
        if self._scoring is not None:
            return self._scoring.plain(found.cues)
        return found.agreement * np.sqrt(found.visible)

    def fit_poses(
        self,
        frame: DepthFrame,
        masks: NDArray[np.bool_] | InstanceImages,
        found: Found,
        *,
        order: NDArray[np.integer],
        seconds: float = float('inf'),
    ) -> list[PoseFit | None]:
        """The pose of each instance by its kind's template; `masks` are in this order."""
        return fit_kinds(
            self.poses,
            frame,
            masks,
            centres=found.centres[order],
            kinds=found.kinds[order],
            seconds=seconds,
        )

    def find(self, frame: DepthFrame, parts_bin: Bin | None = None) -> Found:
        """Instances in no order; `parts_bin` None: tracked.

        Raises:
            FloorNotFoundError: no bin was given and the frame shows none.
        """
        parts_bin = self.bin_in(frame) if parts_bin is None else parts_bin
        tilt = np.degrees(np.arccos(np.clip(-parts_bin.floor.normal[2], -1, 1)))
        all_heights = height_map(frame, parts_bin.floor)
        left, top, right, bottom = raised_window(
            all_heights, parts_bin.region, 1.5 * lowest_part(frame, parts_bin, all_heights)
        )
        window = np.s_[top:bottom, left:right]
        labels = np.zeros(frame.depth_m.shape, np.int32)
        none = np.zeros(0, np.float32)
        if right - left < STRIDE or bottom - top < STRIDE:
            return Found(labels, np.zeros((0, 3)), none, none, np.zeros(0, np.int64))
        if tilt > MAX_TILT_DEGREES:
            region = (left, top, right - left, bottom - top)
            view = TopDownView.of(frame.intrinsics, parts_bin.floor, region)
            seen = view.rectify(frame)
            normal = (0.0, 0.0, -1.0)
            heights = height_map(seen, replace(parts_bin.floor, normal=normal))
            instances = self._instances(heights, parts_bin.floor.offset / seen.intrinsics.fx)
            restored = view.restore(instances.labels.astype(np.float32), 0).astype(np.int32)
            labels[window] = restored[window]
            centres = lifted(instances.centres, seen.intrinsics, parts_bin.floor.offset)
            centres = centres @ np.asarray(view.rotation)  # camera_R_view, as rows
        else:
            pixel = parts_bin.floor.offset / frame.intrinsics.fx
            instances = self._instances(all_heights[window], pixel)
            labels[window] = instances.labels
            k = frame.intrinsics.crop(left, top, right - left, height=bottom - top)
            centres = lifted(instances.centres, k, parts_bin.floor.offset)
        known = replace(parts_bin, part_length_m=self.part_length_m)
        part, measured = foreground(frame, known)[window], np.isfinite(frame.depth_m[window])
        ids = ids_inside(labels[window], part, measured)
        renumbered = np.zeros(labels[window].max(initial=0) + 1, np.int32)
        renumbered[ids] = np.arange(1, len(ids) + 1)
        labels[window] = renumbered[labels[window]]
        return Found(
            labels,
            centres[ids - 1],
            instances.agreement[ids - 1],
            np.clip(instances.visible[ids - 1], 0, 1),
            instances.kinds[ids - 1],
        )

    def whole_parts(self, frame: DepthFrame, parts_bin: Bin) -> NDArray[np.int32]:
        """(H, W) labels of those instances that the network holds for seen whole, 0 elsewhere."""
        found = self.find(frame, parts_bin)
        whole = (found.visible > WHOLE_VISIBLE) & (found.agreement > WHOLE_AGREEMENT)
        kept = np.concatenate([[0], np.where(whole, np.arange(1, len(whole) + 1), 0)])
        return kept[found.labels].astype(np.int32)

    def _instances(self, heights: NDArray[np.float32], pixel_m: float) -> Instances:
        """Of (H, W) heights, at their pixels."""
        shape = heights.shape
        factor = self.magnification(pixel_m, shape)
        config = self._config
        if self.any_length:
            config = replace(config, pixel_m=pixel_m / factor)
        if factor != 1:
            size = (max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1))
            heights = resize(heights, size)
        seen = heights.shape
        output = network_output(self.network, heights, config, device=self._device)
        if seen == shape:
            return find_instances(output, config, self._votes, prune=self._existence)
        # votes, not labels, go back to the image's own pixels: edges are then no stairs
        output = interpolate(output, shape)
        votes = self._votes.at_pixels(shape[0] * shape[1] / (seen[0] * seen[1]))
        return find_instances(
            output, replace(config, pixel_m=pixel_m), votes, prune=self._existence
        )

    def magnification(self, pixel_m: float, shape: tuple[int, ...] = (1, 1)) -> float:
        """By how much an image of such pixels is resampled; see `network_scale`.

        Raises:
            ValueError: no bin and no camera of this model's kind gives such an image.
        """
        return magnification(self._config, pixel_m, shape, lengths_px=self._lengths_px)


def load(
    settings: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    device: str = 'cpu',
    *,
    parts_bin: Bin | None = None,
    seed: int = 0,
) -> DistilledSegmenter:
    """The Segmenter of a card's `settings` and the weights beside it.

    Raises:
        ConfigError: settings that this version does not know.
        RuntimeError, ValueError: weights that do not fit them.
    """
    card = config.from_mapping(DistilledCard, settings)
    weights = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    names = [template_name(kind) for kind in range(1, card.network.kinds + 1)]
    logits = [weights.pop(name) for name in names if name in weights]
    sides = card.voxels_m
    if len(logits) != len(sides):
        raise ValueError('the card and the weights differ on how many templates there are')
    templates = [Template(some.numpy(), side) for some, side in zip(logits, sides)]
    network = VoteNetwork(card.network)
    network.load_state_dict(weights)
    network.to(torch.device(device))
    return DistilledSegmenter(
        network,
        card.votes,
        parts_bin,
        seed=seed,
        templates=templates,
        scoring=card.scoring,
        lengths_px=card.lengths_px,
        existence=card.existence,
        finding=card.finding,
        usual_misfit=card.usual_misfit,
    )
