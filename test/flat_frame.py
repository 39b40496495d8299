"""A floor that is seen straight down."""

from __future__ import annotations

import numpy as np

from insegan_ros.camera import Plane
from insegan_ros.types import DepthFrame, Intrinsics

FLOOR = Plane((0.0, 0.0, -1.0), 0.5)


def flat(distance: float) -> DepthFrame:
    return DepthFrame(
        np.full((60, 80), distance, np.float32), Intrinsics(80, 60, 200.0, 200.0, 39.5, 29.5)
    )
