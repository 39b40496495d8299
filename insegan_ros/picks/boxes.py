"""The oriented box around an instance: the template's where there is one, else what is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class OrientedBox:
    """A box in the camera's frame."""

    pose: NDArray[np.float64]  # (4, 4) camera_T_box, the origin in the box's middle
    size_m: NDArray[np.float64]  # (3,) along the box's own axes


def box_of(
    pose: NDArray[np.floating], *, visible: NDArray[np.floating], corners: NDArray | None = None
) -> OrientedBox:
    """The box along an instance's own axes.

    Args:
        pose: (4, 4) camera_T_instance.
        visible: (M, 3) the instance's measured points, camera frame.
        corners: (2, 3) least and greatest coordinates of the template in its own frame; None: the
            box holds the middle 96 % of the visible points along each axis.
    """
    at: NDArray[np.float64] = np.asarray(pose, np.float64)
    if corners is not None:
        low, high = np.asarray(corners, np.float64)
    elif len(visible):
        own = (np.asarray(visible, np.float64) - at[:3, 3]) @ at[:3, :3]
        low, high = np.percentile(own, [2, 98], axis=0)
    else:
        low = high = np.zeros(3)
    box = at.copy()
    box[:3, 3] += at[:3, :3] @ ((low + high) / 2)
    return OrientedBox(box, np.maximum(high - low, 1e-3))
