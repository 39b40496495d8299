"""Where on one part two fingers could close: every place and direction at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.gripper import ParallelJaw

DIRECTIONS = 12  # of closing, evenly over half a turn
PLACES = (-0.5, -0.25, 0.0, 0.25, 0.5)  # along the part, as a share of its half length
FLOOR_GAP_M = 0.002  # the fingertips stay that far above the bin's floor
NEAR_SIDE = 0.15  # of the hold's width: points that belong to a side
FEW = 6  # points between the fingers: too little of the part is seen there
FLYING = 3  # points in a finger's way that may be measured wrongly
ROW_M = 0.001  # of a side, whose outermost point counts


@dataclass(frozen=True, kw_only=True)
class Holds:
    """H holds of one part, straight down. x and y are along the floor, z is above it, metres."""

    closing: NDArray[np.float64]  # (H, 2) unit direction in which the fingers close
    centres: NDArray[np.float64]  # (H, 2) midway between the fingers
    tips: NDArray[np.float64]  # (H,) height of the fingertips
    depths: NDArray[np.float64]  # (H,) of the hold: from the fingertips to the part's top
    widths: NDArray[np.float64]  # (H,) of the part between the fingers
    centred: NDArray[np.float64]  # (H,) 1 above the part's middle, 0 at its rim
    seen: NDArray[np.bool_]  # (H,) whether enough of the part is seen there

    @staticmethod
    def of(part: NDArray[np.float64], jaw: ParallelJaw) -> Holds:
        """All holds of a part, (M, 3) points."""
        part = part[np.argsort(part[:, 2])]
        middle = np.median(part[:, :2], axis=0)
        closing, along = _directions()
        offset = part[:, :2] - middle
        u, v = closing @ offset.T, along @ offset.T  # (D, M)
        at = np.array(PLACES) * np.percentile(np.abs(v), 95, axis=1)[:, None]  # (D, P)
        strip = np.abs(v[:, None] - at[..., None]) < jaw.finger_width_m / 2  # (D, P, M)
        top = part[:, 2][_quantile_index(strip, 0.9)]
        tips = np.maximum(top - jaw.finger_depth_m, FLOOR_GAP_M)
        order = np.argsort(u, axis=1)
        u = np.take_along_axis(u, order, axis=1)
        sideways = np.take_along_axis(strip, order[:, None], axis=2)
        low, high = (
            np.take_along_axis(u, _quantile_index(sideways, share), axis=1)
            for share in (0.01, 0.99)
        )
        aside = np.stack([(low + high) / 2, at], axis=-1)  # (D, P, 2) from the middle
        size = max(float(np.percentile(np.linalg.norm(offset, axis=1), 98)), 1e-3)
        return Holds(
            closing=np.repeat(closing, len(PLACES), axis=0),
            centres=(middle + aside @ np.stack([closing, along], axis=1)).reshape(-1, 2),
            tips=tips.ravel(),
            depths=(top - tips).ravel(),
            widths=(high - low).ravel(),
            centred=np.clip(1 - np.linalg.norm(aside, axis=-1) / size, 0, 1).ravel(),
            seen=(strip.sum(axis=2) >= FEW).ravel(),
        )

    def slope(self, m: int, part: Turned, jaw: ParallelJaw) -> float:
        """How much the sides lean against the fingers' faces: |dx / dy| of outermost points."""
        x, y, _ = part.at(self, m)
        between = np.abs(y) < jaw.finger_width_m / 2
        x, y = x[between], y[between]
        half, reach = self.widths[m] / 2, max(NEAR_SIDE * self.widths[m], 0.002)
        return max(_lean(side * x, y, low=half - reach, high=half + reach) for side in (-1, 1))

    def room(self, m: int, around: Turned, jaw: ParallelJaw) -> float:
        """Metres of free space beyond both open fingers; negative where one would hit something.

        `around` are points of the part and of everything beside it.
        """
        x, y, height = around.at(self, m)
        beside = np.abs(y) < jaw.finger_width_m / 2 + jaw.clearance_m
        beside &= height > self.tips[m]
        aside = np.abs(x[beside])
        aside = aside[aside > (self.widths[m] + jaw.clearance_m) / 2]
        outer = self.widths[m] / 2 + jaw.clearance_m + jaw.finger_thickness_m
        if (aside < outer).sum() > FLYING:
            return -1.0
        aside = aside[aside >= outer]
        free = 2 * jaw.clearance_m
        if len(aside) <= FLYING:
            return free
        return min(free, float(np.partition(aside, FLYING)[FLYING]) - outer)


@dataclass(frozen=True)
class Turned:
    """M points as seen along each direction of closing, so that one hold costs little."""

    sideways: NDArray[np.float64]  # (D, M)
    along: NDArray[np.float64]  # (D, M)
    heights: NDArray[np.float64]  # (M,)

    @staticmethod
    def of(points: NDArray[np.float64]) -> Turned:
        """(M, 3) points: x and y along the floor, z above it."""
        closing, along = _directions()
        return Turned(closing @ points[:, :2].T, along @ points[:, :2].T, points[:, 2].copy())

    def at(self, holds: Holds, m: int) -> tuple[NDArray[np.float64], ...]:
        """(M,) across the fingers and (M,) along them, from a hold's centre, and (M,) heights."""
        d = m // len(PLACES)
        (x, y), centre = holds.closing[m], holds.centres[m]
        return (
            self.sideways[d] - (x * centre[0] + y * centre[1]),
            self.along[d] - (x * centre[1] - y * centre[0]),
            self.heights,
        )


def _directions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(D, 2) unit vectors in which fingers close, and (D, 2) those along the fingers."""
    angles = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
    closing = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return closing, np.stack([-closing[:, 1], closing[:, 0]], axis=1)


def _quantile_index(which: NDArray[np.bool_], share: float) -> NDArray[np.int64]:
    """(..., M) -> (...) index of the element that such a share of those marked come before."""
    count = which.cumsum(axis=-1, dtype=np.int32)
    return np.asarray((count > np.rint(share * (count[..., -1:] - 1))).argmax(axis=-1))


def _lean(x: NDArray[np.float64], y: NDArray[np.float64], *, low: float, high: float) -> float:
    """|dx / dy| of the outermost points near the side of a part on which x is greatest."""
    near = (x > low) & (x < high)
    rows = np.round(y[near] / ROW_M).astype(int)
    if not len(rows):
        return 0.0
    edges = np.full(np.ptp(rows) + 1, -np.inf)
    np.maximum.at(edges, rows - rows.min(), x[near])
    seen = np.flatnonzero(np.isfinite(edges))
    if len(seen) < 3:
        return 0.0
    offset = seen - seen.mean()
    return float(abs(offset @ edges[seen] / (offset @ offset) / ROW_M))
