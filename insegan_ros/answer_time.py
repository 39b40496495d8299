"""How much of an answer's time may be spent on segmenting: the rest is for what follows.

Poses take as long as they are let. What comes after them, planning picks above all, takes as long
as it did in the frames before.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

KEPT = 30  # frames whose time after segmentation is remembered
SHARE = 90  # percentile of them that is set aside: one hiccup costs no poses
FIRST_S = 0.1  # what is set aside before there was a frame: 20 parts, two grippers


class AnswerTime:
    """What of a frame's seconds is left for its segmentation.

    Several threads may answer frames, each its own.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """From a frame to its whole answer."""
        self.seconds = seconds
        self._clock = clock
        self._after: deque[float] = deque(maxlen=KEPT)
        self._of_thread = threading.local()

    @property
    def left(self) -> float:
        """Seconds that a segmentation may take; 0 where what follows takes all of them."""
        aside = float(np.percentile(self._after, SHARE)) if self._after else FIRST_S
        return max(self.seconds - aside, 0.0)

    def segmented(self) -> None:
        """This thread's frame is segmented; what follows begins."""
        self._of_thread.segmented = self._clock()

    def answered(self) -> None:
        """The frame that this thread segmented last is answered; not called where that failed."""
        self._after.append(self._clock() - self._of_thread.segmented)
