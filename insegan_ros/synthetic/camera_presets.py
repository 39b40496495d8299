"""Depth cameras by name: what `config/cameras/*.yaml` says, for simulation and teaching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from insegan_ros import config
from insegan_ros.config import ConfigError
from insegan_ros.depth_camera import (
    D435,
    D435_DEPTH_SCALE,
    D435_NOISE,
    D435_STRONG_NOISE,
    EXACT_DEPTH_SCALE,
    StereoNoise,
)
from insegan_ros.shipped import shipped
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.depth_noise import DepthNoise, measure
from insegan_ros.types import FloatImage, Intrinsics

FOLDER = 'config/cameras'
# errors that are no preset's: how the camera errs, and metres a unit of its 16-bit images
OF_SENSORS: dict[str, tuple[StereoNoise | None, float]] = {
    'none': (None, EXACT_DEPTH_SCALE),
    'd435': (D435_NOISE, D435_DEPTH_SCALE),
    'd435_strong': (D435_STRONG_NOISE, D435_DEPTH_SCALE),
}


@dataclass(frozen=True, kw_only=True)
class SimulatedCamera:
    """One camera, as its file describes it."""

    noise: DepthNoise
    depth_scale: float  # metres a unit of its 16-bit images
    intrinsics: Intrinsics  # of its whole image

    def __post_init__(self) -> None:
        if not 0 < self.depth_scale < 1:
            raise ValueError(f'depth_scale is {self.depth_scale}; metres a unit, e.g. 0.0001')
        if self.noise.sigma_m < 0 or self.noise.depth_step_m <= 0:
            raise ValueError('noise: sigma_m of 0 or more and a depth_step_m are expected')


def preset_names() -> list[str]:
    """Those that come with the package."""
    return sorted({file.stem for folder in shipped(FOLDER) for file in folder.glob('*.yaml')})


@cache
def find_camera(name_or_path: str) -> SimulatedCamera:
    """A camera by the name of one that comes with the package, or by its file.

    Raises:
        ConfigError: there is none, or the file is no camera; the message says what is expected.
    """
    places = (folder / f'{name_or_path}.yaml' for folder in shipped(FOLDER))
    for path in (Path(name_or_path).expanduser(), *places):
        if path.is_file():
            return _loaded(path)
    raise ConfigError(
        f'no camera {name_or_path!r}: neither a YAML file nor one that comes with the package '
        f'({", ".join(preset_names())})'
    )


def _loaded(path: Path) -> SimulatedCamera:
    """Raises: ConfigError."""
    try:
        values = yaml.safe_load(path.read_text())
        if not isinstance(values, Mapping):
            raise ValueError('a mapping of noise, depth_scale and intrinsics is expected')
        return config.from_mapping(SimulatedCamera, values)
    except OSError as error:
        raise ConfigError(f'camera file {path}: {error.strerror or error}') from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f'camera file {path}: {error}') from None


def errors_of(noise: str) -> tuple[StereoNoise | DepthNoise | None, float]:
    """How a camera errs, and metres a unit of its images, by a name of OF_SENSORS or a preset.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if noise in OF_SENSORS:
        return OF_SENSORS[noise]
    try:
        preset = find_camera(noise)
    except ConfigError as error:
        raise ConfigError(f'{error}; also: {", ".join(OF_SENSORS)}') from None
    return preset.noise, preset.depth_scale


def intrinsics_of(camera: str) -> Intrinsics:
    """Of the whole image of 'd435' or of a preset.

    Raises:
        ConfigError: there is none.
    """
    return D435 if camera == 'd435' else find_camera(camera).intrinsics


def as_measured(
    depth_m: FloatImage, intrinsics: Intrinsics, rng: np.random.Generator, *, noise: str
) -> FloatImage:
    """A true depth image, (H, W) metres, as a camera that errs so would give it."""
    errors = errors_of(noise)[0]
    if errors is None:
        return depth_m
    if isinstance(errors, StereoNoise):
        return add_noise(depth_m, intrinsics, rng, noise=errors)
    return measure(depth_m, intrinsics, rng, noise=errors)
