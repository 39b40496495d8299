"""What a network sees in a frame, before it is scored and put in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Found:
    """Instances and what their scores are made of."""

    labels: NDArray[np.int32]  # (H, W), 0 background, k = instance k
    centres: NDArray[np.float64]  # (N, 3) camera frame, metres: the template's centre of mass
    agreement: NDArray[np.float32]  # (N,) of an instance's votes, in [0, 1]
    visible: NDArray[np.float32]  # (N,) in [0, 1]
    kinds: NDArray[np.int64]  # (N,) 1, 2, ...

    @property
    def cues(self) -> NDArray[np.float32]:
        """(N, 2)."""
        return np.stack([self.agreement, self.visible], axis=1)
