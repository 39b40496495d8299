"""The bin that a fixed camera sees, as it is stored, and which pixels in it show parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insegan_ros import config
from insegan_ros.camera import Plane, height_map, pixel_rays
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.floor import FloorConfig
from insegan_ros.types import DepthFrame


@dataclass(frozen=True, kw_only=True)
class PartLimits:
    """What decides which pixels in a bin show parts: those above the floor and inside the walls.

    The height from which on a part is seen follows the camera's noise, whose standard deviation
    sigma is measured on the floor (`lowest_part`).
    """

    least_height_m: float = 0.0012  # of a part above the floor, however quiet the camera is
    usual_height_m: float = 0.004  # enough for a D435 over a bin, though its noise has long tails
    usual_sigma: float = 4.0  # from so many sigma on, where that is less than the usual height
    least_sigma: float = 3.0  # and never from less, however noisy the camera is
    noise_within_m: float = 0.02  # under the floor: what lies lower is a flying pixel, no noise
    wall_margin_m: float = 0.004  # from the walls' inner faces: measured walls waver by as much
    wall_margin_px: float = 3.1  # but not by more than this: a near camera sees small bins sharply
    wall_margin_lengths: float = 0.025  # nor by more than this share of a part's length, if known
    wall_lean: float = 0.06  # they waver by so much more for each metre above the floor


@dataclass(frozen=True, kw_only=True)
class FindingConfig:
    """What decides where the bin is in a frame, and when it has to be sought again."""

    floor: FloorConfig = field(default_factory=FloorConfig)
    limits: PartLimits = field(default_factory=PartLimits)

    # heights, of the tallest thing in sight
    tall: float = 0.5  # what is taller may be a wall
    low: float = 0.3  # what is lower is the bin's floor, or lies on it
    rim: float = 0.85  # what is taller, and outside, is the walls' rim
    # whether walls stand around what is surrounded
    least_inside: float = 0.05  # share of a bin's area in the image that is lower than its walls
    # share of the walls' own area in the image that they surround: holes in parts make up less
    least_enclosed: float = 0.3
    box_share: float = 0.9  # of the hull around it that a bin fills, and scattered parts do not
    corner: float = 0.04  # of a hull's length: what is less blunt is no corner
    tallest: float = 98.0  # percentile of raised heights that is the tallest thing in sight
    raised_m: float = 0.01  # above the floor: how much of the image is floor is the camera's

    # of the rectangle that the bin's floor is
    least_floor_px: int = 100  # of low points; fewer do not show where the floor ends
    floor_end: float = 0.3  # percentile of low points at either end of a side: less are stray ones
    least_rim_px: int = 400  # of the rim, by which the rectangle is turned: it is straight
    rim_middle: float = 0.6  # of half a side: beyond it the rim is that of the next wall
    least_beyond_px: int = 20  # of the rim beyond the floor's end; fewer are flying pixels
    rim_edge: float = 3.0  # percentile of the rim's points across it that is its inner edge
    # a rim so much farther out than the floor's end means that parts hide the floor before it:
    # walls that lean outwards make less, and low ones less still
    hidden_m: float = 0.008
    hidden_lean: float = 0.15  # of the walls' height, where that is less: walls lean by 8 degrees

    # of a camera that rarely moves (`BinTracker`)
    looks: int = 5  # frames in which the bin is sought: parts hide the walls' feet in some
    on_floor_m: float = (
        0.004  # from the floor: a point is on it; far away `floor.on_sigma` is more
    )
    below_floor_m: float = (
        0.008  # under it by more than noise; far away `floor.under_sigma` is more
    )
    most_below: float = 0.02  # share of the points; with more below the camera has moved
    # of the share on the floor when it was found; with less there the camera has moved
    least_on: float = 0.3


DEFAULT = FindingConfig()


@dataclass(frozen=True)
class Bin:
    """Where the bin is for a camera that does not move."""

    floor: Plane
    region: tuple[int, int, int, int] | None = None  # x, y, width, height of its window, px
    corners: tuple[tuple[float, float, float], ...] | None = None  # of its floor, camera frame, m
    limits: PartLimits = DEFAULT.limits  # which of its pixels show parts
    # how far each wall lies further out for each metre above the floor, from the corner of the
    # same number to the next: walls lean, and parts hide the floor before them
    opening: tuple[float, float, float, float] | None = None
    # of the parts in it, their longest side, for models that need it; None: not known
    part_length_m: float | None = None

    def __post_init__(self) -> None:
        if self.part_length_m is not None and not 0.001 <= self.part_length_m <= 2:
            raise ValueError(
                f'part_length_m is {self.part_length_m}; 0.001 to 2 metres are expected'
            )

    @property
    def in_words(self) -> str:
        """Where the camera is, and where the bin."""
        tilt = np.degrees(np.arccos(np.clip(-self.floor.normal[2], -1, 1)))
        size = 'no walls were found: all that is seen counts as inside'
        if self.corners is not None:
            a, b, c, _ = np.asarray(self.corners)
            sides = np.linalg.norm(b - a) * 1000, np.linalg.norm(c - b) * 1000
            size = f'its floor measures {sides[0]:.0f} x {sides[1]:.0f} mm'
        return (
            f'the camera is {self.floor.offset:.3f} m above the floor, tilted {tilt:.1f} degrees; '
            f'the bin lies in x, y, width, height = {self.region} px; {size}'
        )

    def within(self, region: tuple[int, int, int, int] | None) -> Bin:
        """The same, its window no larger than x, y, width, height."""
        if region is None or self.region is None:
            return self if region is None else replace(self, region=region)
        low = [max(self.region[k], region[k]) for k in (0, 1)]
        high = [
            min(self.region[k] + self.region[k + 2], region[k] + region[k + 2]) for k in (0, 1)
        ]
        size = [max(b - a, 1) for a, b in zip(low, high, strict=True)]
        return replace(self, region=(low[0], low[1], size[0], size[1]))


NOISE_STRIDE = 3  # px skipped where noise is measured
LEAST_NOISE = 200  # points under the floor that show its noise


def lowest_part(frame: DepthFrame, parts_bin: Bin, heights: NDArray[np.floating]) -> float:
    """Metres above the floor from which on a part, and not the camera's noise, is seen.

    They are

        max(h_least, min(h_usual, k_usual sigma), k_least sigma),    sigma = 1.4826 median(d),

    where d are the depths below the floor of the points under it (m): parts lie above the floor,
    so that what is measured under it is noise. Where too few points show it, sigma is what a D435
    has at that distance. h_least, h_usual (m), k_usual and k_least are those of `PartLimits`.

    Args:
        heights: (H, W) of the frame above the floor, NaN where unmeasured.
    """
    limits = parts_bin.limits
    some = heights[::NOISE_STRIDE, ::NOISE_STRIDE]
    under = -some[(some < 0) & (some > -limits.noise_within_m)]
    if len(under) >= LEAST_NOISE:
        sigma = 1.4826 * float(np.median(under))
    else:
        distance = np.array(parts_bin.floor.offset)
        sigma = float(D435_NOISE.depth_sigma(distance, frame.intrinsics))
    usual = min(limits.usual_height_m, limits.usual_sigma * sigma)
    return max(limits.least_height_m, usual, limits.least_sigma * sigma)


def foreground(frame: DepthFrame, parts_bin: Bin) -> NDArray[np.bool_]:
    """(H, W) measured pixels of parts: above the floor by more than noise, inside the walls."""
    heights = height_map(frame, parts_bin.floor)
    least = lowest_part(frame, parts_bin, heights)
    x, y, width, height = parts_bin.region or (0, 0, *heights.shape[::-1])
    window = np.s_[y : y + height, x : x + width]
    above = np.zeros(heights.shape, bool)
    above[window] = heights[window] > least  # False where NaN
    if parts_bin.corners is not None:
        above[window] &= _within_walls(frame, heights, parts_bin, window=window)
    return above


def _within_walls(
    frame: DepthFrame, heights: NDArray, parts_bin: Bin, *, window: tuple[slice, slice]
) -> NDArray[np.bool_]:
    """(h, w) points of the window inside each of the four walls.

    By a margin that grows with the height.
    """
    rays, depth_m = pixel_rays(frame.intrinsics)[window], frame.depth_m[window]
    corners = np.asarray(parts_bin.corners)
    centre = corners.mean(axis=0)
    limits = parts_bin.limits
    pixel_m = parts_bin.floor.offset / frame.intrinsics.fx
    beside = min(limits.wall_margin_m, limits.wall_margin_px * pixel_m)
    if parts_bin.part_length_m is not None:
        beside = min(beside, limits.wall_margin_lengths * parts_bin.part_length_m)
    margin = beside + limits.wall_lean * heights[window]
    inside = np.ones(depth_m.shape, bool)
    opening = parts_bin.opening or (0.0,) * len(corners)
    for a, b, open_by in zip(corners, np.roll(corners, -1, axis=0), opening, strict=True):
        inward = np.cross(parts_bin.floor.normal, b - a)
        inward *= np.sign((centre - a) @ inward) / np.linalg.norm(inward)
        distance = (rays @ inward.astype(np.float32)) * depth_m - np.float32(inward @ a)
        inside &= distance > margin - open_by * heights[window]
    return inside


def save_bin(path: Path, parts_bin: Bin) -> None:
    """Write what `insegan calibrate` found, as YAML."""
    path.write_text(config.dump(parts_bin))


def load_bin(path: Path) -> Bin:
    """Raises: ConfigError, for a file that is absent or holds something else."""
    return config.load(Bin, [path])
