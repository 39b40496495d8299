"""The methods by which a part is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from insegan_ros.data.store import DatasetError
from insegan_ros.learn import distilled, insegan
from insegan_ros.learn.config import Method, dump
from insegan_ros.learn.run_folder import Job


@dataclass(frozen=True)
class Way:
    """How a method learns."""

    train: Callable[[Job], int]  # the command's exit code
    describe: Callable[[Job], str]  # what it would do, and how long each stage may take


WAYS: dict[Method, Way] = {
    'distilled': Way(distilled.train, distilled.describe),
    'insegan3d': Way(insegan.train, insegan.describe),
    'insegan2d': Way(insegan.train, insegan.describe),
}


def learn(job: Job) -> int:
    """Begin, or go on; what is done already is not done again.

    Raises:
        ValueError: a dataset without frames, or a folder that holds another run.
    """
    if len(job.dataset) == 0:
        raise DatasetError(f'{job.dataset.path} has no frames; collect or generate some')
    return WAYS[job.config.method].train(job)


def describe(job: Job) -> str:
    """The resolved configuration as YAML, and the plan with its times."""
    return f'{dump(job.config)}\n{WAYS[job.config.method].describe(job)}'
