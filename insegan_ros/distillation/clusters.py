"""Votes -> instances: pixels that vote for one centre are one part, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from insegan_ros.deadline import check_time
from insegan_ros.distillation.network import OUTPUTS, SPREAD, NetworkConfig

# What a bin never shows, but a floor full of boxes or a room does, is not worked out in full:
MOST_CANDIDATES = 600  # the densest
MOST_CELLS = 2**21  # of the votes' histogram; beyond it cells become larger
MOST_DISTANCES = 2**18  # of votes to centres, held at a time


@dataclass(frozen=True, kw_only=True)
class VoteSettings:
    """How votes become candidates of instances; some of it is chosen on held-out piles."""

    part_probability: float = 0.5  # above it a pixel shows a part
    separation: float = 0.5  # least distance of two centres, of the part's thickness
    min_support: float = 2.0  # sure votes (px) that make a candidate
    min_area: int = 12  # px; of a smaller instance neither centre nor score means anything
    sure: float = 0.2  # spread up to which a vote counts in full, vote units
    least_weight: float = 0.02  # of a vote: many unsure ones together still make a candidate

    def at_pixels(self, share: float) -> VoteSettings:
        """For an image that shows the same with so many times the pixels."""
        area = max(round(self.min_area * share), 1)
        return replace(self, min_support=self.min_support * share, min_area=area)


@dataclass(frozen=True)
class Instances:
    """What one image's votes say."""

    labels: NDArray[np.int32]  # (H, W), 0 background
    centres: NDArray[np.float32]  # (N, 3) image x, y in px, height above the floor in m
    agreement: NDArray[np.float32]  # (N,) in [0, 1]: how well its pixels' votes concur
    visible: NDArray[np.float32]  # (N,) in [0, 1], fraction of the part's outline
    kinds: NDArray[np.int64]  # (N,) 1, 2, ...


class Clusters:
    """The pixels that show parts, each given to the candidate centre nearest to its vote."""

    def __init__(
        self, output: NDArray[np.float32], config: NetworkConfig, settings: VoteSettings
    ) -> None:
        """The candidates are peaks of the votes' density in x, y and height.

        A vote v_p (px) of log spread s_p, which is the scale of its Laplace density (`vote_loss`),
        counts w_p = clip(sure exp(-s_p), least_weight, 1). The density at c is

            rho(c) = sum_p w_p K(c - v_p),

        where K is a Gaussian whose standard deviation is a third of the least distance of two
        centres, and a centre the weighted mean of the votes around a peak of rho. A pixel goes to
        the centre nearest to its vote.

        Args:
            output: (OUTPUTS, H, W) of the network.
        """
        self.config, self._shape = config, output.shape[1:]
        threshold = np.log(settings.part_probability / (1 - settings.part_probability))
        self._pixels = np.nonzero(output[0] > threshold)
        v, u = self._pixels
        unit = config.unit_px
        _, x, y, height, spread, seen = output[:OUTPUTS, v, u]
        self._kinds = output[OUTPUTS:, v, u]  # (K, M) logits; none of one kind
        self._votes = np.stack([u + x * unit, v + y * unit, height * unit], axis=1)
        spread = np.clip(spread, *SPREAD)
        sure = np.clip(settings.sure * np.exp(-spread), settings.least_weight, 1.0)
        seen = 1 / (1 + np.exp(-np.clip(seen, -20, 20)))
        self._told = np.stack([np.ones_like(sure), sure, seen, spread], axis=1)
        self.centres: NDArray[np.float64] = np.zeros((0, 3))  # (N, 3) px
        if len(v) >= settings.min_area:
            apart = settings.separation * config.part_thickness_m / config.pixel_m
            peaks = _peaks(self._votes, sure, apart, least=settings.min_support)
            self.centres = peaks.astype(np.float64)
        self._apart: NDArray[np.floating] | None = None
        self._owner: NDArray[np.integer] = np.zeros(len(v), np.int64)
        # of _told's columns, and of disagreement
        self._sums: NDArray[np.float64] = np.zeros((len(self.centres), 5))
        if len(self.centres):
            self._give(np.arange(len(v)))

    def __len__(self) -> int:
        return len(self.centres)

    def _give(self, pixels: NDArray[np.integer]) -> None:
        """Pixels to the centres nearest to their votes."""
        votes, count = self._votes[pixels], len(self.centres)
        owner = _nearest(votes, self.centres)
        off = np.linalg.norm(votes - self.centres[owner], axis=1) / self.config.unit_px
        self._owner[pixels] = owner
        for column, values in enumerate([*self._told[pixels].T, np.minimum(off, 2.0)]):
            self._sums[:, column] += np.bincount(owner, values, minlength=count)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Only these candidates (N,); the others' pixels go to them."""
        self.centres, self._sums = self.centres[kept], self._sums[kept]
        if self._apart is not None:
            self._apart = self._apart[np.ix_(kept, kept)]
        orphans = np.flatnonzero(~kept[self._owner])
        self._owner = (np.cumsum(kept) - 1)[self._owner]
        if len(self.centres):
            self._give(orphans)

    def drop(self, candidate: int) -> None:
        """Take one candidate away; its pixels go to the others."""
        self.keep(np.arange(len(self)) != candidate)

    @property
    def apart(self) -> NDArray[np.floating]:
        """(N, N) distances of the centres from each other, part lengths."""
        if self._apart is None:
            offset = (self.centres[:, None] - self.centres[None]) / self.config.length_px
            self._apart = np.linalg.norm(offset, axis=2)
        return self._apart

    @property
    def area(self) -> NDArray[np.float64]:
        """(N,) px."""
        return self._sums[:, 0]

    @property
    def support(self) -> NDArray[np.float64]:
        """(N,) sure votes, px."""
        return self._sums[:, 1]

    @property
    def visible(self) -> NDArray[np.float64]:
        """(N,) of the part's outline, as its pixels believe, in [0, 1]."""
        return self._sums[:, 2] / np.maximum(self.area, 1)

    @property
    def spread(self) -> NDArray[np.float64]:
        """(N,) mean log spread of the votes, vote units."""
        return self._sums[:, 3] / np.maximum(self.area, 1)

    @property
    def agreement(self) -> NDArray[np.float64]:
        """(N,) in [0, 1]: 1 where all votes are for the very centre."""
        return np.exp(-self._sums[:, 4] / np.maximum(self.area, 1))

    @property
    def kinds(self) -> NDArray[np.int64]:
        """(N,) the kind that its pixels hold for likeliest, all of them together: 1, 2, ..."""
        if not len(self._kinds):
            return np.ones(len(self), np.int64)
        likely = self._kinds - np.logaddexp.reduce(self._kinds, axis=0)
        sums = [np.bincount(self._owner, some, minlength=len(self)) for some in likely]
        return np.argmax(sums, axis=0) + 1

    @property
    def labels(self) -> NDArray[np.int32]:
        """(H, W), 0 background."""
        labels = np.zeros(self._shape, np.int32)
        if len(self):
            labels[self._pixels] = self._owner + 1
        return labels

    def instances(self) -> Instances:
        """What the candidates that are left say, as plain arrays."""
        centres = self.centres.astype(np.float32)
        centres[:, 2] *= np.float32(self.config.pixel_m)
        agreement, visible = self.agreement.astype(np.float32), self.visible.astype(np.float32)
        return Instances(self.labels, centres, agreement, visible, self.kinds)


def candidates(
    output: NDArray[np.float32], config: NetworkConfig, settings: VoteSettings
) -> Clusters:
    """All that may be parts in one image; those of too few pixels are none.

    Args:
        output: (OUTPUTS, H, W) of the network.
    """
    found = Clusters(output, config, settings)
    large = (found.area >= settings.min_area) & (found.support >= settings.min_support / 2)
    if not large.all():
        found.keep(large)
    return found


def find_instances(
    output: NDArray[np.float32],
    config: NetworkConfig,
    settings: VoteSettings,
    *,
    prune: Callable[[Clusters], None] | None = None,
) -> Instances:
    """The parts in one image.

    Args:
        output: (OUTPUTS, H, W) of the network.
        prune: takes away candidates that are no parts; None: all are.
    """
    found = candidates(output, config, settings)
    if prune is not None:
        prune(found)
    return found.instances()


def _peaks(
    votes: NDArray[np.floating], weights: NDArray[np.floating], apart: float, *, least: float
) -> NDArray[np.floating]:
    """(M, 3) votes -> (N, 3) centres at least `apart` px from each other, densest first."""
    cell = max(apart / 3, 1.0)
    cells = float(np.prod(np.ptp(votes, axis=0) / cell + 7))
    cell *= max(1.0, float(np.cbrt(cells / MOST_CELLS)))
    low = votes.min(axis=0) - 3 * cell
    index = ((votes - low) / cell).astype(np.int64)
    size = tuple(index.max(axis=0) + 4)
    flat = np.ravel_multi_index(tuple(index.T), size)

    def summed(values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Of the votes in each cell."""
        return np.bincount(flat, values, minlength=int(np.prod(size))).reshape(size)

    mass = summed(weights)
    moments = np.stack([summed(weights * votes[:, axis]) for axis in range(3)], axis=-1)
    density = ndimage.gaussian_filter(mass.astype(np.float32), 1.0, mode='constant')
    top = ndimage.maximum_filter(density, size=3, mode='constant')
    # a peak's own votes, blurred: sigma of one cell leaves (2 pi)^-1.5 of them in its middle
    candidates = np.argwhere((density == top) & (density > 0.0635 * least * 0.5))
    order = np.argsort(-density[tuple(candidates.T)], kind='stable')
    centres = np.zeros((min(len(order), MOST_CANDIDATES), 3))
    count = 0
    for candidate in candidates[order[: 8 * MOST_CANDIDATES]]:
        if count == len(centres):
            break
        check_time()
        near = tuple(slice(max(k - 1, 0), k + 2) for k in candidate)  # its cell and those around
        support = mass[near].sum()
        if support < least * 0.5:
            continue
        place = moments[near].sum(axis=(0, 1, 2)) / support
        if np.linalg.norm(place - centres[:count], axis=1).min(initial=np.inf) >= apart:
            centres[count] = place
            count += 1
    return centres[:count]


def _nearest(votes: NDArray[np.floating], centres: NDArray[np.floating]) -> NDArray[np.integer]:
    """(M, 3) votes and (N, 3) centres -> (M,) index of the nearest centre."""
    # |v - c|^2 less |v|^2, which is the same for all centres
    size, twice = (centres**2).sum(axis=1), 2 * centres.T
    rows = max(MOST_DISTANCES // len(centres), 1)
    blocks = [
        (size - votes[k : k + rows] @ twice).argmin(axis=1) for k in range(0, len(votes), rows)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)
