"""What the collector says of its progress: a line in the log, and figures for /diagnostics."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field

from insegan_ros.collection.machine import Machine
from insegan_ros.collection.settings import CollectorSettings


def beginning(settings: CollectorSettings, reason: str) -> str:
    """The first line for the log; `reason`: why nothing is done yet, or empty."""
    return (
        f'collecting {settings.count} frames of {settings.part} in {settings.dataset}'
        + (' (dry run: the arm will not move)' if settings.dry_run else '')
        + (f'; {reason}' if reason else '')
    )


@dataclass
class CollectorReport:
    """Counts what was rejected and why, and knows the pace since it was made."""

    stored_before: int = 0  # frames that the folder held already
    began: float = field(default_factory=time.monotonic)  # s
    rejected: Counter[str] = field(default_factory=Counter)  # by reason

    def reject(self, reason: str) -> None:
        """Count a frame by its reason's first words: what follows a colon differs every time."""
        self.rejected[reason.split(':')[0]] += 1

    def rate(self, machine: Machine) -> float:
        """Frames stored a second."""
        elapsed = time.monotonic() - self.began
        return (machine.stored - self.stored_before) / max(elapsed, 1e-6)

    def seconds_left(self, machine: Machine) -> float:
        """NaN before the first frame."""
        rate = self.rate(machine)
        return (machine.wanted - machine.stored) / rate if rate > 0 else math.nan

    def line(self, machine: Machine, reason: str) -> str:
        """A line for the log; `reason`: why it waits or has stopped, empty if it does neither."""
        left = self.seconds_left(machine)
        ends = '' if math.isnan(left) else f', {left / 60:.0f} min left'
        rejected = ', '.join(f'{n} {why}' for why, n in self.rejected.items()) or 'none'
        return (
            f'{machine.state.value}: {machine.stored} of {machine.wanted} stored, '
            f'{60 * self.rate(machine):.1f} a minute{ends}; '
            f'rejected: {rejected}' + (f'; {reason}' if reason else '')
        )

    def figures(self, machine: Machine, settings: CollectorSettings) -> dict[str, object]:
        """For /diagnostics."""
        return {
            'state': machine.state.value,
            'stored': machine.stored,
            'wanted': machine.wanted,
            'rejected': sum(self.rejected.values()),
            'frames per minute': f'{60 * self.rate(machine):.2f}',
            'seconds left': f'{self.seconds_left(machine):.0f}',
            'strength of the next shake': f'{machine.strength:.2f}',
            'dataset': settings.dataset,
            'dry run': settings.dry_run,
            **{f'rejected, {why}': count for why, count in self.rejected.items()},
        }
