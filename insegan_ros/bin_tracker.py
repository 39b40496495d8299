"""The bin of a camera that rarely moves, frame after frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from insegan_ros.bin_finding import find_bin
from insegan_ros.camera import pixel_rays
from insegan_ros.deadline import check_time
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.floor import FloorNotFoundError, levelled
from insegan_ros.parts_bin import DEFAULT, Bin, FindingConfig
from insegan_ros.types import DepthFrame


class BinTracker:
    """The bin of a camera that rarely moves: found again when it no longer fits.

    Parts hide the walls' feet in some frames, so it is looked for in the first few, and what most
    of them agree on is kept. The floor's distance is each frame's own: mounts give by millimetres.
    """

    STRIDE = 8  # pixels skipped when the fit is checked

    def __init__(
        self, parts_bin: Bin | None = None, seed: int = 0, *, config: FindingConfig = DEFAULT
    ) -> None:
        """A given bin is kept whatever the frames show; None finds one in the frames."""
        self._config = config
        self._given = parts_bin
        self._looks: list[tuple[Bin, float]] = []  # with the share of points on the floor
        self._rng = np.random.default_rng(seed)
        self._frame: DepthFrame | None = None  # looked at last
        self.last: Bin | None = parts_bin  # in that frame

    def __call__(self, frame: DepthFrame) -> Bin:
        """Raises: FloorNotFoundError, as `find_bin`."""
        if self.last is None or frame is not self._frame:
            self.last = self._in(frame)
            self._frame = frame
        return self.last

    def _in(self, frame: DepthFrame) -> Bin:
        if self._given is not None:
            return self._given
        if self._looks and not self._fits(frame):
            self._looks = []
        check_time()
        if len(self._looks) < self._config.looks:
            try:
                seen = find_bin(frame, self._rng, config=self._config)
                self._looks.append((seen, self._shares(frame, seen)[0]))
            except FloorNotFoundError:
                if not self._looks:
                    raise
        found = self._agreed()[0]
        floor = levelled(frame, found.floor, self._config.floor.level_within_m)
        lift = (found.floor.offset - floor.offset) * np.asarray(floor.normal)
        corners = found.corners and tuple(tuple((c + lift).tolist()) for c in found.corners)
        return replace(found, floor=floor, corners=corners)

    def _agreed(self) -> tuple[Bin, float]:
        """The look whose window overlaps most with all others'; of two, the first."""
        windows = [look[0].region for look in self._looks]
        return self._looks[int(np.argmax([sum(_overlap(a, b) for b in windows) for a in windows]))]

    def _fits(self, frame: DepthFrame) -> bool:
        agreed, then = self._agreed()
        on, below = self._shares(frame, agreed)
        return below < self._config.most_below and on > self._config.least_on * then

    def _shares(self, frame: DepthFrame, parts_bin: Bin) -> tuple[float, float]:
        """Of the measured points: the share on the floor, the share below it."""
        rays = pixel_rays(frame.intrinsics)[:: self.STRIDE, :: self.STRIDE]
        depth = frame.depth_m[:: self.STRIDE, :: self.STRIDE]
        heights = parts_bin.floor.heights(rays * depth[..., None])
        measured = np.isfinite(heights)
        if not measured.any():
            return 0.0, 0.0
        heights, config = heights[measured], self._config
        sigma = D435_NOISE.depth_sigma(depth[measured], frame.intrinsics)  # large far away
        on = np.abs(heights) < np.maximum(config.on_floor_m, config.floor.on_sigma * sigma)
        under = np.maximum(config.below_floor_m, config.floor.under_sigma * sigma)
        return float(on.mean()), float((heights < -under).mean())


def _overlap(a: tuple[int, int, int, int] | None, b: tuple[int, int, int, int] | None) -> float:
    """Intersection over union of two windows x, y, width, height."""
    if a is None or b is None:
        return float(a is b)
    sides = [min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]) for k in (0, 1)]
    both = max(sides[0], 0) * max(sides[1], 0)
    return both / max(a[2] * a[3] + b[2] * b[3] - both, 1)
