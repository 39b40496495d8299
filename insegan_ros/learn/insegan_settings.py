"""The settings of an InSeGAN run, and the folder that they claim."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from insegan_ros import __version__, config
from insegan_ros.data.frames import (
    AugmentConfig,
)
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.files import write_atomically
from insegan_ros.inference.insegan import FilterConfig
from insegan_ros.model.insegan import InSeGANConfig
from insegan_ros.training.loop import LoopConfig
from insegan_ros.training.step import StepConfig

KINDS: dict[str, Literal['3d', '2d']] = {'insegan3d': '3d', 'insegan2d': '2d'}
FREE = ('loop', 'precision')  # settings that a resumed run may change


@dataclass(frozen=True)
class DataConfig:
    """What of the dataset is learned from."""

    validation: int = 100  # frames held out where the dataset has no val split
    limit: int | None = None  # at most so many training frames (paper Fig. 4a)
    allow_other_count: bool = False  # a model of another number of instances (paper Fig. 4b)
    threshold_from: Literal['foreground', 'labels'] = 'foreground'  # labels: the paper's way
    # `gap`: parts lie well apart from the floor; `linear`: heights begin at the floor's value
    coding: Literal['gap', 'linear'] = 'gap'
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class RescueConfig:
    """When a run that fails begins anew or goes back, by itself."""

    examine_at: int = 500  # iterations; a run that draws whole scenes then begins anew; 0: never
    restarts: int = 3  # at most
    falls: int = 3  # losses that exploded, before a run gives up


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of a run; `--config` and `--set` override them."""

    model: InSeGANConfig = field(default_factory=InSeGANConfig)
    step: StepConfig = field(default_factory=StepConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    data: DataConfig = field(default_factory=DataConfig)
    filters: FilterConfig = field(
        default_factory=lambda: FilterConfig(owner='measured')
    )  # the threshold is chosen
    rescue: RescueConfig = field(default_factory=RescueConfig)
    refine_steps: int = 40  # on each frame's codes, of the finished model
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto'  # auto: bfloat16 where it is fast


def resolve(args: argparse.Namespace, dataset: Dataset) -> TrainingConfig:
    """The settings of a run; the method and the dataset fill in what they know.

    Raises:
        ConfigError: unknown keys or values; DatasetError: the number of instances does not fit.
    """
    files, overrides = args.config or [], args.set or []
    settings = config.load(TrainingConfig, files, overrides)
    model = replace(settings.model, kind=KINDS[args.method])
    given = any('instances' in text for text in overrides) or any(
        'instances' in (yaml.safe_load(Path(f).read_text()) or {}).get('model', {}) for f in files
    )
    count = dataset.info.instances
    if count is None and not given:
        raise DatasetError(
            f'{dataset.path}: the number of parts in a frame varies or is unknown, and InSeGAN '
            'needs it; set it: --set model.instances=5'
        )
    if count is not None and not given:
        model = replace(model, instances=count)
    elif count not in (None, model.instances) and not settings.data.allow_other_count:
        raise DatasetError(
            f'{dataset.path} has {count} parts in a frame and model.instances is '
            f'{model.instances}; leave it out, or set data.allow_other_count=true'
        )
    return replace(settings, model=model)


def claim(out: Path, settings: Any, dataset: Dataset, seed: int) -> None:
    """Write what the run is made of; refuse a folder that holds another run.

    Raises:
        ValueError: the folder's run has other settings, data or seed; the message lists them.
    """
    out.mkdir(parents=True, exist_ok=True)
    described = {
        'dataset': str(dataset.path.resolve()),
        'dataset_hash': dataset.content_hash(),
        'part': dataset.info.part,
        'seed': seed,
        'insegan_ros': __version__,
        'git_revision': git_revision(),
        'torch': str(torch.__version__),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores',
        'command': ' '.join(sys.argv),
    }
    if (out / 'run.yaml').exists():
        before = yaml.safe_load((out / 'run.yaml').read_text())
        theirs = _flat(yaml.safe_load((out / 'config.yaml').read_text()))
        ours = _flat(yaml.safe_load(config.dump(settings)))
        differ = [
            f'{key} was {theirs.get(key)}, is {ours.get(key)}'
            for key in sorted(theirs.keys() | ours.keys())
            if key.split('.')[0] not in FREE and theirs.get(key) != ours.get(key)
        ]
        differ += [
            f'{key} was {before.get(key)}, is {described[key]}'
            for key in ('dataset_hash', 'seed')
            if before.get(key) != described[key]
        ]
        if differ:
            raise ValueError(
                f'{out} holds another run: {"; ".join(differ)}. Choose another --out, or the '
                'settings it was begun with'
            )
        described = before
    write_atomically(out / 'config.yaml', config.dump(settings).encode())
    run = yaml.safe_dump(described, sort_keys=False)
    write_atomically(out / 'run.yaml', run.encode())


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
