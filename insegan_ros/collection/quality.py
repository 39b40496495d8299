"""Which captured frames are worth storing: pure functions of depth images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from insegan_ros.camera import Plane, height_map
from insegan_ros.types import DepthFrame, FloatImage

CHANGED_BY_M = 0.01  # a pixel has changed when its depth has, by more than sensor noise


@dataclass(frozen=True)
class Gates:
    """What a frame must satisfy to be stored."""

    min_valid_fraction: float = 0.5
    max_still_fraction: float = 0.02  # changed pixels between two frames of a bin at rest
    min_changed_fraction: float = 0.2  # of what stands on the floor, since the last stored frame
    floor_tolerance_m: float = 0.01  # how far the bin's floor may seem to have moved
    min_floor_fraction: float = 0.02  # measured pixels that must lie on the floor

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}; 0 to 1 is expected')


def changed_fraction(a: FloatImage, b: FloatImage) -> float:
    """Share of the pixels measured in both (H, W) images whose depth differs; 1 if none is."""
    if a.shape != b.shape:
        return 1.0
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return 1.0
    return float((np.abs(a[both] - b[both]) > CHANGED_BY_M).mean())


def rearranged_fraction(a: DepthFrame, b: FloatImage, floor: Plane | None) -> float:
    """Share of what stands on the floor in either image, walls included, whose depth differs.

    Without a floor, of all measured pixels.
    """
    if floor is None or a.depth_m.shape != b.shape:
        return changed_fraction(a.depth_m, b)
    before = height_map(replace(a, depth_m=b), floor)
    standing = (height_map(a, floor) > CHANGED_BY_M) | (before > CHANGED_BY_M)
    return changed_fraction(a.depth_m[standing], b[standing])


def rejection(
    frame: DepthFrame, last_stored: FloatImage | None, floor: Plane | None, *, gates: Gates
) -> str | None:
    """Why not to store a frame, in words, or None for a good one.

    Args:
        last_stored: (H, W) depth of the frame stored before, metres.
        floor: where the bin's floor was when collection began.
    """
    valid = float(np.isfinite(frame.depth_m).mean())
    if valid < gates.min_valid_fraction:
        return f'only {valid:.0%} of the pixels are measured'
    if floor is not None:
        heights = height_map(frame, floor)
        measured = max(int(np.isfinite(heights).sum()), 1)
        near = (np.abs(heights) < gates.floor_tolerance_m).sum() / measured
        below = (heights < -gates.floor_tolerance_m).sum() / measured
        if near < gates.min_floor_fraction or below > near:
            return 'the bin floor is not where it was: the bin or the camera has moved'
    if last_stored is not None:
        changed = rearranged_fraction(frame, last_stored, floor)
        if changed < gates.min_changed_fraction:
            return f'too like the last one: {changed:.1%} of the bin has changed'
    return None
