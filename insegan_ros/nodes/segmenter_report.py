"""What the segmenter says of its work: counts, rate and latency for /diagnostics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

LATENCIES = 300  # kept for the percentiles


@dataclass
class SegmenterReport:
    """Counts since the node was configured, and what has changed since the last `look`."""

    images: int = 0
    pairs: int = 0  # of an image and its camera_info
    segmented: int = 0
    failed: int = 0
    unheard: int = 0  # not segmented: nobody listened
    last_error: str = ''
    rate: float = 0.0  # Hz, between the last two looks
    _latencies_ns: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    _images_before: int = 0
    _pairs_before: int = 0
    _segmented_before: int = 0
    _looked: float = field(default_factory=time.monotonic)
    _paired: float = field(default_factory=time.monotonic)

    def done(self, latency_ns: float) -> None:
        """A frame was segmented, so long after it was taken."""
        self.segmented += 1
        self._latencies_ns.append(latency_ns)

    @property
    def images_arrive(self) -> bool:
        """Whether any came since the last look."""
        return self.images != self._images_before

    def silence(self) -> float:
        """Seconds without a pair, as far as looks tell."""
        now = time.monotonic()
        if self.pairs != self._pairs_before:
            self._paired = now
        return now - self._paired

    def look(self) -> None:
        """Bring `rate` up to date and begin to count changes anew."""
        now = time.monotonic()
        self.rate = (self.segmented - self._segmented_before) / max(now - self._looked, 1e-6)
        self._images_before, self._pairs_before = self.images, self.pairs
        self._segmented_before, self._looked = self.segmented, now

    def figures(self, given: Mapping, dropped: int) -> dict[str, object]:
        """For /diagnostics; `given`: the node's parameters."""
        latency = np.asarray(self._latencies_ns.copy()) / 1e6  # another thread appends
        p50, p95 = np.percentile(latency, [50, 95]) if len(latency) else (np.nan, np.nan)
        return {
            'method': given['model'] or given['method'],
            'device': given['device'] if given['model'] else 'cpu',
            'received': self.pairs,
            'segmented': self.segmented,
            'dropped': dropped,
            'failed': self.failed,
            'without listener': self.unheard,
            'rate (Hz)': f'{self.rate:.1f}',
            'latency p50 (ms)': f'{p50:.1f}',
            'latency p95 (ms)': f'{p95:.1f}',
            'last error': self.last_error,
        }
