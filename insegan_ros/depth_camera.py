"""What depth cameras are like: a D435's constants, in one place, and how stereo cameras err."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.types import Intrinsics


@dataclass(frozen=True, kw_only=True)
class StereoNoise:
    """How a stereo depth camera errs; the defaults are typical of a D435.

    Depth z is made of disparity d, z = f B / d, so that an error of s px of disparity is an error
    sigma_z = z^2 s / (f B) of depth.
    """

    baseline: float = 0.050  # m
    disparity_sigma: float = 0.08  # px, subpixel noise of the matcher
    correlation: float = 2.0  # px: the matcher's window makes neighbours err alike
    disparity_step: float = 1 / 32  # px
    depth_step: float = 0.001  # m
    edge_sigma: float = 0.5  # px, edges waver by this much
    flying: float = 0.3  # share of edge pixels between both sides' depths
    edge_jump: float = 0.006  # m between neighbours: more is a depth edge
    holes: float = 1.5  # random holes a 100 x 100 px area
    hole_radius: tuple[float, float] = (0.5, 2.0)  # px
    shadow_side: int = -1  # -1: the second imager sees less left of near objects; 1: right

    def depth_sigma(
        self, depth_m: NDArray[np.floating], intrinsics: Intrinsics
    ) -> NDArray[np.floating]:
        """Standard deviation of depth in metres, for each depth in metres."""
        return depth_m**2 * (self.disparity_sigma / (intrinsics.fx * self.baseline))


# Intel RealSense D435, depth mode 848 x 480 at 30 Hz.
D435 = Intrinsics(width=848, height=480, fx=422.0, fy=422.0, cx=423.5, cy=239.5)
D435_NOISE = StereoNoise()
# the same camera where its matcher fares badly: dim light, bare wood
D435_STRONG_NOISE = StereoNoise(
    disparity_sigma=0.16, edge_sigma=1.0, flying=0.5, holes=5.0, hole_radius=(0.5, 3.0)
)
D435_DEPTH_SCALE = 0.001  # metres a unit of its 16-bit images
EXACT_DEPTH_SCALE = 0.0001  # metres a unit of simulated images without noise
