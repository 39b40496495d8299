"""The data that passes between parts: frozen dataclasses with shapes on their fields.

Units are metres, radians and nanoseconds; poses are in the camera's optical frame (REP 103: x
right, y down, z forward). NaN marks a missing depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]  # (H, W)


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera without distortion, in pixels; a pixel's centre has integer coordinates."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f'image size {self.width} x {self.height}: both must be at least 1')
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(np.isfinite(values)) or self.fx <= 0 or self.fy <= 0:
            raise ValueError(
                f'fx, fy, cx, cy = {values}: all must be finite and the focal lengths positive; '
                'is the camera calibrated?'
            )

    def crop(self, x: int, y: int, width: int, height: int) -> Intrinsics:
        """Intrinsics of the image's window whose top left pixel is (x, y)."""
        return replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def scaled(self, share: float) -> Intrinsics:
        """Intrinsics of the image resized to `share` of its width and height."""
        width, height = round(self.width * share), round(self.height * share)
        x, y = width / self.width, height / self.height  # pixels' centres are integers
        cx, cy = (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5
        return Intrinsics(width, height, self.fx * x, self.fy * y, cx, cy)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) camera matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)


@dataclass(frozen=True)
class DepthFrame:
    """One depth image and the camera that took it."""

    depth_m: FloatImage  # (H, W) float32, NaN where unmeasured
    intrinsics: Intrinsics
    stamp_ns: int = 0
    frame_id: str = ''

    def __post_init__(self) -> None:
        expected = (self.intrinsics.height, self.intrinsics.width)
        if self.depth_m.shape != expected:
            raise ValueError(
                f'depth is {self.depth_m.shape} (H, W) but the intrinsics are for {expected}'
            )
        if self.depth_m.dtype != np.float32:
            raise ValueError(f'depth is {self.depth_m.dtype}; float32 metres are expected')


@dataclass(frozen=True)
class Segmentation:
    """The instances in one frame, at its native size, best pick first.

    Instance k of `labels` is row k - 1 of every per-instance array.
    """

    labels: NDArray[np.uint16]  # (H, W), 0 background, k = instance k
    masks: NDArray[np.bool_]  # (N, H, W) visible mask of each instance
    depths: NDArray[np.float32]  # (N, H, W) metres, rendered single instances, NaN elsewhere
    rendered_depth: FloatImage  # (H, W) metres, all instances composed, NaN elsewhere
    poses: NDArray[np.float32]  # (N, 4, 4) camera_T_instance
    scores: NDArray[np.float32]  # (N,) in [0, 1], not increasing
    visible_fraction: NDArray[np.float32]  # (N,) in [0, 1]

    @property
    def count(self) -> int:
        return len(self.scores)


class Segmenter(Protocol):
    """What the node, the benchmark and the CLI call: learned models and baselines alike."""

    def segment(self, frame: DepthFrame) -> Segmentation: ...
