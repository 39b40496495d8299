"""The settings of a run: files and options over the defaults, and what method and dataset know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from insegan_ros import config
from insegan_ros.baselines.learned import registry as learned
from insegan_ros.config import ConfigError
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.learn.config import BASELINES, METHODS, BaselineConfig, LearnConfig, sections
from insegan_ros.learn.insegan_start import InSeGANStart
from insegan_ros.training.descent import DescentConfig


def resolve(
    files: Sequence[Path], overrides: Sequence[str], dataset: Dataset | None
) -> LearnConfig:
    """The settings of a run; the method and the dataset fill in what they know.

    Args:
        files: YAML, later ones override earlier ones.
        overrides: 'key=value' strings, which override the files.

    Raises:
        ConfigError: unknown keys, or settings of another method.
        ValueError: values that cannot be.
        DatasetError: the number of instances does not fit.
    """
    given = config.merged(files, overrides)  # what differs because somebody said so
    settings = config.from_mapping(LearnConfig, given)
    for key in given:
        if key not in sections(settings.method):
            methods = ', '.join(m for m in METHODS if key in sections(m))
            raise ConfigError(f'{key} is not for the method {settings.method}, but for {methods}')
    if settings.method == 'distilled':
        if settings.camera is not None and dataset is None:
            raise ConfigError(
                f'camera is {settings.camera!r}, that of the frames, and there are none: a mesh '
                'alone is learned under all cameras; leave it out, or give --dataset'
            )
        return settings
    if dataset is None:
        raise ConfigError(f'the method {settings.method} learns from frames: --dataset is needed')
    if settings.method in BASELINES:
        return _of_baseline(settings, dataset)
    start = InSeGANStart.find(settings.start, settings.method)
    if start is None:
        return _counted(settings, 'instances' in (given.get('model') or {}), dataset)
    return _gone_on_with(start, settings, given, dataset=dataset)


def _of_baseline(settings: LearnConfig, dataset: Dataset) -> LearnConfig:
    """With the method's own settings filled in, and the number of instances."""
    method, given = learned.METHODS[settings.method], settings.baseline
    sizes = dict(given.model)
    count = known_count(dataset, sizes.get('instances'), settings, key='baseline.model.instances')
    whole = {
        'model': (method.sizes, {**sizes, 'instances': count}),
        'step': (DescentConfig, {**method.training, **given.step}),
        'course': (learned.Course, {**method.course, **given.course}),
    }
    filled = {
        name: dataclasses.asdict(config.from_mapping(kind, values, f'baseline.{name}.'))
        for name, (kind, values) in whole.items()
    }
    return replace(settings, baseline=BaselineConfig(**filled))


def known_count(dataset: Dataset, told: int | None, settings: LearnConfig, *, key: str) -> int:
    """Parts in a frame, by the dataset or as given.

    Raises:
        DatasetError: neither says, or they disagree and that is not allowed.
    """
    count = dataset.info.instances
    if count is None and told is None:
        raise DatasetError(
            f'{dataset.path}: the number of parts in a frame varies or is unknown, and '
            f'{settings.method} needs it; set it: --set {key}=5'
        )
    if None not in (count, told) and count != told and not settings.data.allow_other_count:
        raise DatasetError(
            f'{dataset.path} has {count} parts in a frame and {key} is {told}; leave it out, or '
            'set data.allow_other_count=true'
        )
    return told or count or 0


def _counted(settings: LearnConfig, given: bool, dataset: Dataset) -> LearnConfig:
    """InSeGAN's with the number of instances, which the dataset may know."""
    kind: Literal['2d', '3d'] = '2d' if settings.method == 'insegan2d' else '3d'
    model = replace(settings.model, kind=kind)
    told = model.instances if given else None
    model = replace(model, instances=known_count(dataset, told, settings, key='model.instances'))
    return replace(settings, model=model)


def _gone_on_with(
    start: InSeGANStart, settings: LearnConfig, given: Mapping[str, Any], *, dataset: Dataset
) -> LearnConfig:
    """With the sizes and the coding of the model that is begun with; its encoder learns first."""
    theirs = start.settings
    if 'model' in given and settings.model != theirs.model:
        raise ConfigError(
            f'model differs from that of {start.folder}, which training begins with; leave out '
            'model, or start'
        )
    if settings.step.generator_steps < 1:
        raise ConfigError(
            'step.generator_steps is 0, all networks together; with a start the encoder learns '
            'first, alone: leave it out'
        )
    known_count(dataset, theirs.model.instances, settings, key='model.instances')
    return replace(
        settings,
        model=theirs.model,
        data=replace(settings.data, coding=theirs.crop.coding),
        step=replace(settings.step, real_after=0),  # it has seen what it makes
    )
