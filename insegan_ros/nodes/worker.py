"""One thread that works on the newest thing it was given and drops what came between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar('T')


class NewestWorker(Generic[T]):
    """Calls `work(item)` with the newest item, one at a time, outside the caller's thread."""

    def __init__(self, work: Callable[[T], None]) -> None:
        self._work = work
        self._slot: T | None = None
        self._changed = threading.Condition()
        self._closed = False
        self.offered = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> None:
        """Returns at once; an item that still waits is replaced and counts as dropped."""
        with self._changed:
            self.offered += 1
            self.dropped += self._slot is not None
            self._slot = item
            self._changed.notify()

    def close(self, timeout_s: float = 2.0) -> bool:
        """Finish the item in work and stop; False: it is still in work after that time."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot is not None or self._closed)
                if self._closed:
                    return
                item, self._slot = self._slot, None
            self._work(item)
