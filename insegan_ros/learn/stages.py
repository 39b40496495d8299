"""A run is a list of stages, each of which is done, goes on, or begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from insegan_ros.learn.run_folder import Report

Figures = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of learning; what it found lies in the run's folder and in its report."""

    name: str
    share: float  # of the run's time
    done: Callable[[float], bool]  # by the folder alone; given the seconds that it may take
    run: Callable[[float], Figures]  # in so many seconds, about; its figures
    takes_spare: bool = False  # also gets what the stages before it left of their time


def allowed_seconds(stages: Sequence[Stage], total: float, report: Report) -> dict[str, float]:
    """What each stage may take of the run's seconds; what those before spent is in the report."""
    spare, allowed = 0.0, {}
    for stage in stages:
        own = stage.share * total
        allowed[stage.name] = own + (spare if stage.takes_spare else 0.0)
        if stage.name in report:
            spare += max(own - report.of(stage.name).get('seconds', own), 0)
    return allowed


def run_stages(stages: Sequence[Stage], total: float, report: Report) -> None:
    """Run those that are not done, in order.

    Args:
        total: seconds of the whole run.
    """
    for stage in stages:
        seconds = allowed_seconds(stages, total, report)[stage.name]
        if stage.done(seconds):
            continue
        begun = time.monotonic()
        figures = stage.run(seconds)
        spent = round(time.monotonic() - begun, 1)
        report.add(stage.name, **{'seconds': spent, **figures})


def plan(stages: Sequence[Stage], total: float, report: Report) -> str:
    """A line a stage: how long it may take, and what is done already."""
    allowed = allowed_seconds(stages, total, report)
    lines = []
    for stage in stages:
        seconds = allowed[stage.name]
        limit = f'up to {seconds / 60:.1f} min' if seconds < float('inf') else 'no time limit'
        lines.append(f'{stage.name:12} {"done" if stage.done(seconds) else limit}')
    return '\n'.join(lines)
