"""A limit on the time that one frame may take, kept by whoever works on it.

    with Deadline(seconds=2.0):
        segmenter.segment(frame)  # calls `check_time` between its steps

It holds for the thread that entered it. Another thread may cancel it.
"""

from __future__ import annotations

import math
import threading
import time

_of_thread = threading.local()


class FrameGivenUpError(RuntimeError):
    """A frame that takes too long, or that nobody waits for any more."""


class Deadline:
    """A context within which `check_time` raises once the time is over."""

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._cancelled = False
        self._before: Deadline | None = None

    def cancel(self) -> None:
        """Give the work up at its next step, from whichever thread."""
        self._cancelled = True

    def check(self) -> None:
        """Raises: FrameGivenUpError, when the time is over or the work was cancelled."""
        if self._cancelled:
            raise FrameGivenUpError('the frame was given up: nobody waits for it any more')
        if time.monotonic() > self._end:
            raise FrameGivenUpError(
                f'the frame was given up after {self._seconds:g} s: does it show the bin alone? '
                'A bin_file with its region makes the work smaller, max_seconds the limit larger'
            )

    def __enter__(self) -> Deadline:
        self._before = getattr(_of_thread, 'deadline', None)
        _of_thread.deadline = self
        return self

    def __exit__(self, *_: object) -> None:
        _of_thread.deadline = self._before


def check_time() -> None:
    """Called between the steps of long work; does nothing where no limit was set.

    Raises:
        FrameGivenUpError: the time of this thread's deadline is over.
    """
    deadline = getattr(_of_thread, 'deadline', None)
    if deadline is not None:
        deadline.check()
