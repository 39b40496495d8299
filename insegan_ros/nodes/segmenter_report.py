"""What the segmenter says of its work: counts, rate, latency and health for /diagnostics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

LATENCIES = 300  # kept for the percentiles
LONGEST_S = 60.0  # a stamp older than this is of another clock


@dataclass
class SegmenterReport:
    """Counts since the node was configured, and what has changed since the last `look`."""

    pairs: int = 0  # of an image and its camera_info
    segmented: int = 0
    failed: int = 0
    unheard: int = 0  # not segmented: nobody listened
    last_error: str = ''
    failing: bool = False  # the newest frame was not answered in full
    camera: str = ''  # what is noteworthy of it
    doubts: tuple[str, ...] = ()  # of the newest frame, which was answered
    verdict: str = 'not judged'  # on the newest frame: trusted, doubtful
    odd_stamps: bool = False
    rate: float = 0.0  # Hz, between the last two looks
    _latencies_ns: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    _newest_ns: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    _pairs_before: int = 0
    _segmented_before: int = 0
    _failed_before: int = 0
    _looked: float = field(default_factory=time.monotonic)
    _paired: float = field(default_factory=time.monotonic)

    def done(self, since_stamp_ns: int, since_arrival_ns: int, doubts: Sequence[str] = ()) -> None:
        """A frame was answered, so long after its stamp and after its arrival.

        A stamp of 0, of the future or of another clock says nothing; then arrival counts.
        """
        self.odd_stamps = not 0 <= since_stamp_ns < LONGEST_S * 1e9
        latency = since_arrival_ns if self.odd_stamps else since_stamp_ns
        self.segmented += 1
        self.failing, self.doubts = False, tuple(doubts)
        self._latencies_ns.append(latency)
        self._newest_ns.append(latency)

    def fail(self, reason: str) -> None:
        """A frame was not answered, or not in full."""
        self.failed += 1
        self.failing, self.last_error = True, reason

    def silence(self) -> float:
        """Seconds since a new pair was seen, by the times at which this was asked."""
        now = time.monotonic()
        if self.pairs != self._pairs_before:
            self._paired = now
        return now - self._paired

    def look(self, silent: str, max_latency_s: float) -> tuple[bytes, str]:
        """A level and a message for /diagnostics; begins to count changes anew.

        Args:
            silent: why no frames arrive, in words; empty while they do.
            max_latency_s: of the frames since the last look, in their median.
        """
        now = time.monotonic()
        self.rate = (self.segmented - self._segmented_before) / max(now - self._looked, 1e-6)
        failed = self.failed - self._failed_before
        self._pairs_before, self._failed_before = self.pairs, self.failed
        self._segmented_before, self._looked = self.segmented, now
        newest_s = np.asarray(self._newest_ns.copy()) / 1e9
        self._newest_ns.clear()
        if silent:
            return DiagnosticStatus.WARN, silent
        if self.failing:
            return DiagnosticStatus.ERROR, f'frames fail: {self.last_error}'
        if failed:
            return DiagnosticStatus.WARN, f'{failed} frames have failed: {self.last_error}'
        if len(newest_s) and (latency := float(np.median(newest_s))) > max_latency_s:
            return (
                DiagnosticStatus.WARN,
                f'answers come {latency:.2f} s after their images; max_latency is '
                f'{max_latency_s:g} s',
            )
        if self.doubts:
            return DiagnosticStatus.WARN, '; '.join(self.doubts)
        return DiagnosticStatus.OK, f'{self.rate:.1f} Hz'

    def figures(
        self, given: Mapping, dropped: int, part_length_m: float | None = None
    ) -> dict[str, object]:
        """For /diagnostics; `given`: the node's parameters."""
        latency = np.asarray(self._latencies_ns.copy()) / 1e6  # another thread appends
        p50, p95 = np.percentile(latency, [50, 95]) if len(latency) else (np.nan, np.nan)
        return {
            'method': given['method'] or given['model'],
            'device': 'cpu' if given['method'] else given['device'],
            'part length (mm)': 'unknown'
            if part_length_m is None
            else f'{1e3 * part_length_m:.0f}',
            'received': self.pairs,
            'segmented': self.segmented,
            'dropped': dropped,
            'failed': self.failed,
            'without listener': self.unheard,
            'rate (Hz)': f'{self.rate:.1f}',
            'latency p50 (ms)': f'{p50:.1f}',
            'latency p95 (ms)': f'{p95:.1f}',
            'latency since': 'arrival: the stamps are of another clock'
            if self.odd_stamps
            else 'stamp',
            'verdict': self.verdict,
            'camera': self.camera or 'plain',
            'last error': self.last_error,
        }
