"""The folder of a run: what the run is made of, what its stages found, whose it is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml

from insegan_ros import __version__
from insegan_ros.data.cad import content_hash
from insegan_ros.data.store import Dataset, DatasetError, read_yaml
from insegan_ros.files import FolderClaim, write_atomically
from insegan_ros.learn.config import FREE, LearnConfig, dump_settings

CONFIG, RUN, REPORT = 'config.yaml', 'run.yaml', 'report.yaml'
UNSET = 'not set'  # a setting that an earlier version, or the method, does not have


class Report:
    """Figures of the stages, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content: dict[str, Any] = {}
        if path.exists():
            self.content = _read(path)

    def __contains__(self, stage: str) -> bool:
        return stage in self.content

    def of(self, stage: str) -> Mapping[str, Any]:
        """A stage's figures; none before it has ended."""
        return self.content.get(stage) or {}

    def add(self, stage: str, **figures: Any) -> None:
        """Write the figures of a stage."""
        self.content[stage] = figures
        write_atomically(self._path, yaml.safe_dump(self.content, sort_keys=False).encode())
        print(f'{stage}: ' + ', '.join(f'{k} {v}' for k, v in figures.items()), flush=True)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is learned from, where to, and how."""

    frames: Dataset | None  # None: a CAD model alone
    out: Path
    config: LearnConfig
    seed: int
    device: str  # cpu or cuda[:index]
    workers: int  # processes that make piles

    @property
    def dataset(self) -> Dataset:
        """The frames.

        Raises:
            DatasetError: there are none.
        """
        if self.frames is None:
            raise DatasetError('--dataset is needed: a folder of depth frames to learn from')
        return self.frames

    @property
    def part(self) -> str:
        """The part's name: the dataset's, or that of the CAD model's file."""
        return self.frames.info.part if self.frames is not None else Path(self.mesh).stem

    @property
    def mesh(self) -> str:
        """The file of the CAD model.

        Raises:
            DatasetError: there is none.
        """
        if self.config.mesh is None:
            raise DatasetError('--mesh is needed: the file of a CAD model')
        return self.config.mesh

    @cached_property
    def report(self) -> Report:
        """The figures of the stages that are done."""
        return Report(self.out / REPORT)

    @property
    def indices(self) -> list[int]:
        """The frames that are learned from: those of a train split where there is one."""
        return self.dataset.split('train' if 'train' in self.dataset.splits() else 'all')

    @property
    def model(self) -> Path:
        """The folder of the model that the run makes."""
        return self.out / 'model'


def claim(job: Job) -> FolderClaim:
    """Write what the run is made of; refuse a folder that holds another run.

    No other process can claim the folder until the result is closed.

    Raises:
        ValueError: the folder's run has other settings, data, mesh or seed, or is of an earlier
            version of insegan_ros; the message says what differs. Or another process learns there.
    """
    held = FolderClaim(job.out)
    try:
        _write_provenance(job)
    except BaseException:
        held.close()
        raise
    return held


def _write_provenance(job: Job) -> None:
    out, described = job.out, provenance(job)
    if (out / RUN).exists():
        before = _read(out / RUN)
        settings = _changed_settings(out / CONFIG, job.config)
        differ = settings + [
            f'{key} was {before.get(key)}, is {described.get(key)}'
            for key in ('dataset_hash', 'mesh_hash', 'seed')
            if before.get(key) != described.get(key)
        ]
        if differ:
            raise ValueError(
                f'{out} holds another run: {"; ".join(differ)}. Choose another --out, or the '
                f'dataset, seed and settings it was begun with{_older(settings, before)}'
            )
        described = before
    elif (out / REPORT).exists():
        raise ValueError(
            f'{out} holds a run of an earlier version of insegan_ros, which did not write down '
            'its dataset, seed and settings; choose another --out'
        )
    write_atomically(out / CONFIG, dump_settings(job.config).encode())
    write_atomically(out / RUN, yaml.safe_dump(described, sort_keys=False).encode())


def provenance(job: Job) -> dict[str, Any]:
    """Of a run, for run.yaml."""
    frames = job.frames
    return {
        'dataset': None if frames is None else str(frames.path.resolve()),
        'dataset_hash': None if frames is None else frames.content_hash(),
        **({} if job.config.mesh is None else {'mesh_hash': content_hash(job.mesh)}),
        'part': job.part,
        'seed': job.seed,
        'insegan_ros': __version__,
        'git_revision': git_revision(),
        'torch': str(torch.__version__),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores',
        'command': ' '.join(sys.argv),
    }


def _changed_settings(file: Path, settings: LearnConfig) -> list[str]:
    """What says otherwise in a run's file than now."""
    theirs, ours = _flat(_read(file)), _flat(yaml.safe_load(dump_settings(settings)))
    return [
        f'{key} was {theirs.get(key, UNSET)}, is {ours.get(key, UNSET)}'
        for key in sorted(theirs.keys() | ours.keys())
        if key.split('.')[0] not in FREE and theirs.get(key) != ours.get(key)
    ]


def _older(differ: list[str], before: Mapping[str, Any]) -> str:
    """Which version has the settings that this one lacks, or lacks those of this one."""
    if any(text.startswith('method was ') for text in differ) or UNSET not in ' '.join(differ):
        return ''
    revision = f', revision {known}' if (known := before.get('git_revision')) else ''
    return (
        f'. What is {UNSET} differs between versions: it was begun with insegan_ros '
        f'{before.get("insegan_ros")}{revision}'
    )


def _read(file: Path) -> dict[str, Any]:
    """Raises: DatasetError, for a file of a run that is damaged."""
    loaded = read_yaml(file)
    if not isinstance(loaded, dict):
        raise DatasetError(f'{file} is damaged, and says nothing of the run: choose another --out')
    return loaded


def _flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping)
        flat.update(_flat(value, f'{prefix}{key}.') if nested else {prefix + key: value})
    return flat


def git_revision() -> str | None:
    """Of the sources, with a + where they were changed; None for an installed package."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ['git', *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
        ).stdout.strip()

    try:
        revision = git('rev-parse', 'HEAD')
        return f'{revision}{"+" if git("status", "--porcelain") else ""}' if revision else None
    except OSError:
        return None
