"""The methods by which a part is learned."""

from __future__ import annotations

import importlib
from typing import Protocol

from insegan_ros.data.store import DatasetError
from insegan_ros.learn.config import Method, dump_settings
from insegan_ros.learn.run_folder import Job

# imported when one is chosen: each needs libraries of its own
MODULES: dict[Method, str] = {
    'distilled': 'insegan_ros.learn.distilled',
    'insegan3d': 'insegan_ros.learn.insegan',
    'insegan2d': 'insegan_ros.learn.insegan',
    'slot_attention': 'insegan_ros.learn.baseline',
    'bo_qsa': 'insegan_ros.learn.baseline',
    'iodine': 'insegan_ros.learn.baseline',
    'wu': 'insegan_ros.learn.baseline',
}


class Way(Protocol):
    """How a method learns: one of the modules."""

    @staticmethod
    def train(job: Job) -> int:
        """Learn; the exit code of the command."""

    @staticmethod
    def describe(job: Job) -> str:
        """What it would do, and how long each stage may take."""


def way_of(job: Job) -> Way:
    """The module that learns by the configured method."""
    return importlib.import_module(MODULES[job.config.method])  # type: ignore[return-value]


def learn(job: Job) -> int:
    """Begin, or go on; what is done already is not done again.

    Raises:
        ValueError: a dataset without frames, or a folder that holds another run.
    """
    if job.config.mesh is None and len(job.dataset) == 0:
        raise DatasetError(f'{job.dataset.path} has no frames; collect or generate some')
    return way_of(job).train(job)


def describe(job: Job) -> str:
    """The resolved configuration as YAML, and the plan with its times."""
    return f'{dump_settings(job.config)}\n{way_of(job).describe(job)}'
