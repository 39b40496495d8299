"""What is chosen on piles not trained on: how votes are read, and what scores mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from insegan_ros.bin_tracker import BinTracker
from insegan_ros.camera import Plane
from insegan_ros.data.store import Dataset
from insegan_ros.distillation.clusters import VoteSettings, candidates, find_instances
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.network import NetworkConfig, VoteNetwork, fused, network_input
from insegan_ros.distillation.train import predict
from insegan_ros.evaluation.metrics import count_is_right, false_positives, iou_matrix, strict_miou
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference.confidence import Confidence
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.inference.distilled_card import Scoring
from insegan_ros.inference.existence import Existence, fit_existence
from insegan_ros.inference.found import Found
from insegan_ros.inference.poses import posed_cues
from insegan_ros.parts_bin import DEFAULT as FINDING
from insegan_ros.parts_bin import Bin, FindingConfig
from insegan_ros.types import DepthFrame


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """What decides how votes are read: what is tried, and by what a way is chosen."""

    votes: VoteSettings = field(default_factory=VoteSettings)  # what is not tried
    # how generously candidates are taken, the least first: separation and least support
    generosity: tuple[tuple[float, float], ...] = tuple(product((0.7, 0.5, 0.35), (4.0, 2.0, 1.0)))
    thresholds: tuple[float, ...] = (0.5, 0.8, 0.95)  # how likely a part has to be
    count_weight: float = 0.5  # of the share of right counts, against the mean IoU
    false_weight: float = 0.5  # of false instances for each true one, likewise
    small: float = 0.25  # share of the larger instances' area below which an instance is small
    # small instances in a frame, for one in a pile: real bins are not quite like piles
    expected: float = 1.5
    # percentiles of the frames' counts: piles between them are as crowded as most frames
    crowded: tuple[float, float] = (10.0, 90.0)
    least_piles: int = 20  # so crowded; where there are fewer, all piles are compared with frames
    read_frames: int = 60  # real ones that piles are compared with: more take more time
    own_iou: float = 0.02  # with a true part of which no other candidate has more: it is its own
    scored_piles: int = 40  # on which scores are calibrated
    right_iou: float = 0.75  # of a mask with a true one, for an instance to count as right


DEFAULT = ReadingConfig()

# reads unlabelled frames: (H, W) labels of each
Frames = Callable[[VoteSettings, Existence | None], list[NDArray[np.integer]]]


@dataclass(frozen=True)
class VoteReading:
    """How a network's votes are read, chosen on held-out piles, and how well that does."""

    votes: VoteSettings
    existence: Existence | None  # None: the network finds nothing
    strict_miou: float
    count_accuracy: float
    false_instances: float  # a pile


def learn_to_read(
    network: VoteNetwork,
    parts: Sequence[tuple[Piles, NetworkConfig]],
    seed: int,
    *,
    frames: Frames | None = None,
    config: ReadingConfig = DEFAULT,
) -> VoteReading:
    """Chosen on every other pile, judged on the rest.

    Chosen is the way that maximises

        J = mIoU + a C - b F / n - a max(s_frames - e s_piles - sigma, 0),

    where mIoU is the strict one, C the share of piles whose count is right, F the mean number of
    instances of a pile that match no part, n the mean number of parts of a pile, s the mean number
    of small instances in a frame and in a pile, sigma the standard error of their difference, a
    `count_weight`, b `false_weight` and e `expected`.

    Where real frames clearly show more small instances than piles as crowded, what piles lack is
    taken for parts: each counts as a wrong count, so that less is then taken for a part.
    """
    network.eval()
    cases: list[tuple[NDArray[np.float32], NetworkConfig, NDArray[np.integer]]] = []
    for piles, scale in parts:
        for index in range(len(piles)):
            rng = np.random.default_rng([seed, len(cases)])  # noise of its own
            output = predict(network, network_input(piles.heights(index, rng), scale))
            cases.append((output, scale, piles.labels[index]))
    chosen_on, judged_on = cases[::2], cases[1::2]
    true = [labels for _, _, labels in chosen_on]
    best = -np.inf
    chosen: tuple[VoteSettings, Existence | None] = (config.votes, None)
    for separation, support in tqdm(config.generosity, desc='reading', unit='way'):
        votes = replace(config.votes, separation=separation, min_support=support)
        taken = ((candidates(o, c, votes), t) for o, c, t in chosen_on)
        fitted = fit_existence(taken, own_iou=config.own_iou)
        for threshold in config.thresholds:
            rule = fitted and replace(fitted, threshold=threshold)
            found = [find_instances(o, c, votes, prune=rule).labels for o, c, _ in chosen_on]
            worth = value(found, true, config)
            if frames is not None:
                seen = frames(votes, rule)
                alike = [found[k] for k in as_crowded(found, seen, config)]
                worth -= config.count_weight * surplus_of_small(seen, alike, config)
            if worth > best:
                best, chosen = worth, (votes, rule)
    found = [find_instances(o, c, chosen[0], prune=chosen[1]).labels for o, c, _ in judged_on]
    true = [labels for _, _, labels in judged_on]
    return VoteReading(*chosen, *judge(found, true), mean_false(found, true))


def judge(
    found: Sequence[NDArray[np.integer]], true: Sequence[NDArray[np.integer]]
) -> tuple[float, float]:
    """Mean strict mIoU and share of right counts."""
    pairs = list(zip(found, true, strict=True))
    miou = float(np.nanmean([strict_miou(*pair) for pair in pairs]))
    return miou, float(np.mean([count_is_right(*pair) for pair in pairs]))


def mean_false(found: Sequence[NDArray[np.integer]], true: Sequence[NDArray[np.integer]]) -> float:
    """Instances of a pile that match no true one."""
    return float(np.mean([false_positives(*pair) for pair in zip(found, true, strict=True)]))


def value(
    found: Sequence[NDArray[np.integer]],
    true: Sequence[NDArray[np.integer]],
    config: ReadingConfig = DEFAULT,
) -> float:
    """What readings are compared by: masks, counts, and no instances that are none."""
    miou, count = judge(found, true)
    parts = float(np.mean([len(np.unique(labels[labels > 0])) for labels in true]))
    false = mean_false(found, true) / max(parts, 1)
    return miou + config.count_weight * count - config.false_weight * false


def small_instances(labels: NDArray[np.integer], config: ReadingConfig = DEFAULT) -> int:
    """How many are much smaller than the larger ones."""
    areas = np.bincount(labels[labels > 0])
    areas = areas[areas > 0]
    return int((areas < config.small * np.quantile(areas, 0.8)).sum()) if len(areas) else 0


def surplus_of_small(
    frames: Sequence[NDArray[np.integer]],
    piles: Sequence[NDArray[np.integer]],
    config: ReadingConfig = DEFAULT,
) -> float:
    """How many small instances a frame shows beyond what piles and chance explain."""
    theirs, ours = (
        np.array([small_instances(x, config) for x in images]) for images in (frames, piles)
    )
    error = np.sqrt(theirs.var() / len(theirs) + ours.var() / len(ours))
    return max(float(theirs.mean() - config.expected * ours.mean() - error), 0.0)


def as_crowded(
    piles: Sequence[NDArray[np.integer]],
    frames: Sequence[NDArray[np.integer]],
    config: ReadingConfig = DEFAULT,
) -> list[int]:
    """In which piles as many instances are found as in most frames; all, if those are few."""
    in_piles, in_frames = (
        [len(np.unique(x[x > 0])) for x in images] for images in (piles, frames)
    )
    low, high = np.percentile(in_frames, config.crowded)
    alike = [k for k, count in enumerate(in_piles) if low <= count <= high]
    return alike if len(alike) >= config.least_piles else list(range(len(piles)))


class Remembering(VoteNetwork):
    """A copy of a network that sees an image once, however often the image is shown to it."""

    def __init__(self, network: VoteNetwork) -> None:
        super().__init__(network.config)
        self.load_state_dict(network.state_dict())
        self.to(next(network.parameters()).device)
        self._seen: dict[bytes, Tensor] = {}

    def forward(self, image: Tensor) -> Tensor:
        """Answer as the network does; an image seen before is answered from memory."""
        key = image.cpu().numpy().tobytes()
        if key not in self._seen:
            self._seen[key] = super().forward(image)
        return self._seen[key]


def frames_of(
    network: VoteNetwork,
    dataset: Dataset,
    seed: int,
    *,
    config: ReadingConfig = DEFAULT,
    finding: FindingConfig = FINDING,
) -> Frames | None:
    """Some unlabelled frames of a dataset; None where none shows a bin."""
    usable = dataset.split('train' if 'train' in dataset.splits() else 'all')
    some = np.random.default_rng([seed, 4]).permutation(usable)[: config.read_frames]
    tracker, seen = BinTracker(None, seed, config=finding), []
    for index in some:
        frame = dataset[int(index)].frame
        try:
            seen.append((frame, tracker(frame)))
        except FloorNotFoundError:
            continue

    remembering = fused(Remembering(network))

    def read(votes: VoteSettings, rule: Existence | None) -> list[NDArray[np.integer]]:
        segmenter = DistilledSegmenter(remembering, votes, existence=rule)
        return [segmenter.find(frame, parts_bin).labels for frame, parts_bin in seen]

    return read if seen else None


@dataclass(frozen=True)
class Case:
    """A pile as a camera measures it, what the network sees in it, and what it is."""

    frame: DepthFrame
    found: Found
    true: NDArray[np.integer]  # (H, W)


def look(
    segmenter: DistilledSegmenter,
    piles: Piles,
    indices: Sequence[int],
    *,
    seed: int,
    finding: FindingConfig = FINDING,
) -> list[Case]:
    """What a segmenter sees in piles."""
    cases = []
    for index in indices:
        height = piles.camera_height[index]
        rng = np.random.default_rng([seed, index])
        frame = DepthFrame(height - piles.heights(index, rng), piles.intrinsics)
        floor = Plane((0.0, 0.0, -1.0), float(height))
        found = segmenter.find(frame, Bin(floor, limits=finding.limits))
        cases.append(Case(frame, found, piles.labels[index]))
    return cases


def cases_of(
    segmenter: DistilledSegmenter,
    parts: Sequence[tuple[Piles, NetworkConfig]],
    seed: int,
    *,
    config: ReadingConfig = DEFAULT,
    finding: FindingConfig = FINDING,
) -> list[Case]:
    """What a segmenter sees in some piles of each."""
    cases: list[Case] = []
    for piles, _ in parts:
        some = range(len(piles))[: config.scored_piles - len(cases)]
        cases += look(segmenter, piles, some, seed=seed + len(cases), finding=finding)
    return cases


def calibrate_scores(
    segmenter: DistilledSegmenter, cases: Sequence[Case], right_iou: float = DEFAULT.right_iou
) -> Scoring | None:
    """What an instance's cues say about its mask being right, from piles not trained on.

    None where the network finds no part in them.
    """
    plain, posed, right = [], [], []
    for case in tqdm(cases, desc='scores', unit='pile'):
        found = case.found
        if not len(found.centres):
            continue
        masks = found.labels == np.arange(1, len(found.centres) + 1)[:, None, None]
        order = np.arange(len(found.centres))
        fits = segmenter.fit_poses(case.frame, masks, found, order=order)
        plain.append(found.cues)
        posed.append(posed_cues(found.cues, fits))
        ious = iou_matrix(found.labels, case.true)
        right.append(ious.max(axis=1, initial=0) >= right_iou)
    if not right:
        return None
    correct = np.concatenate(right)
    return Scoring(
        Confidence.fit(np.concatenate(plain), correct),
        Confidence.fit(np.concatenate(posed), correct),
    )
