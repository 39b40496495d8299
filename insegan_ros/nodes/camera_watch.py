"""The newest depth image as the collector needs it: is it new, and has the scene come to rest?"""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from insegan_ros.collection.quality import changed_fraction
from insegan_ros.data.depth_messages import depth_from_message
from insegan_ros.nodes.cameras import scales

CALM_LOOKS = 3  # that must find the scene unchanged
STRIDE = 4  # pixels skipped when two frames are compared


class CameraWatch:
    """Callbacks store into it; `look` is called a few times a second."""

    def __init__(self, max_still_fraction: float, depth_unit: float = 0.0) -> None:
        """Of a bin at rest at most this share of the pixels changes between two frames."""
        self.image: Image | None = None
        self.info: CameraInfo | None = None
        self._limit = max_still_fraction
        self._scales = scales(depth_unit)
        self._seen: Image | None = None  # the image looked at last
        self._depth: np.ndarray | None = None  # of that, (h, w) metres
        self._changed_at = -math.inf  # when an image with new content last came, s
        self._calm = 0

    def store(self, image: Image, info: CameraInfo) -> None:
        """Keep the newest pair."""
        self.image, self.info = image, info

    def look(self, now: float) -> None:
        """Compare the newest image with the one looked at before.

        Raises:
            ValueError: it is no depth image; it counts as none.
        """
        image = self.image
        if image is None or image is self._seen:
            return
        frozen = self._seen is not None and image.data == self._seen.data
        self._seen = image
        if frozen:  # a sensor is never without noise: the same bytes again are the same frame
            return
        self._changed_at = -math.inf
        depth = depth_from_message(image, **self._scales)[::STRIDE, ::STRIDE]
        self._changed_at = now
        previous, self._depth = self._depth, depth
        calm = previous is not None and changed_fraction(depth, previous) <= self._limit
        self._calm = self._calm + 1 if calm else 0

    def stirred(self) -> None:
        """The scene is about to be moved: stillness seen until now does not count."""
        self._calm = 0

    def age(self, now: float) -> float:
        """Seconds since the newest frame with new content; inf before the first."""
        return now - self._changed_at

    @property
    def still(self) -> bool:
        """Whether the scene has been at rest for some looks."""
        return self._calm >= CALM_LOOKS
