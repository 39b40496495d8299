"""What a gripper is: its geometry in metres, read from `config/grippers/*.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from insegan_ros import config
from insegan_ros.config import ConfigError
from insegan_ros.picks.chance import UNCALIBRATED, Chance
from insegan_ros.shipped import shipped

STEEPEST = 5.0  # friction coefficient: rubber on glass has less


@dataclass(frozen=True, kw_only=True)
class SuctionCup:
    """A round suction cup at the end of a straight tube."""

    cup_radius_m: float = 0.006  # of the lip: the surface under it has to be closed
    tube_radius_m: float = 0.008  # of everything above the cup; nothing may stand in its way
    tube_length_m: float = 0.080  # of the straight tube above the cup
    lip_gap_m: float = 0.0008  # unevenness (standard deviation) that the lip takes up
    max_tilt_degrees: float = 50.0  # of the approach from the vertical
    chance: Chance = UNCALIBRATED  # of success, from a pick's cues

    def __post_init__(self) -> None:
        _check_lengths(self)
        if self.tube_radius_m < self.cup_radius_m / 2:
            raise ValueError(
                f'tube_radius_m {self.tube_radius_m} is less than half of cup_radius_m '
                f'{self.cup_radius_m}; give the radius of the widest thing above the cup'
            )
        if not 0 <= self.max_tilt_degrees <= 80:
            raise ValueError(f'max_tilt_degrees {self.max_tilt_degrees}: 0 to 80 is expected')

    @property
    def widest_m(self) -> float:
        """Its largest extent across the approach, in metres."""
        return 2 * max(self.cup_radius_m, self.tube_radius_m)


@dataclass(frozen=True, kw_only=True)
class ParallelJaw:
    """Two flat fingers that close towards each other."""

    finger_width_m: float = 0.010  # across the closing direction
    finger_thickness_m: float = 0.006  # along the closing direction
    finger_depth_m: float = 0.020  # how far the fingertips may reach below a part's top
    min_depth_m: float = 0.004  # with less the part slips out
    stroke_m: float = 0.060  # between the open fingers' inner faces
    clearance_m: float = 0.002  # beside each finger while it goes down
    max_slope: float = 0.4  # of a side against the finger's face; the friction coefficient
    chance: Chance = UNCALIBRATED  # of success, from a pick's cues

    def __post_init__(self) -> None:
        _check_lengths(self)
        if not 0 < self.max_slope <= STEEPEST:
            raise ValueError(
                f'max_slope {self.max_slope}: more than 0 and at most {STEEPEST:g} is expected, '
                'the friction coefficient between a finger and the part'
            )
        if self.min_depth_m > self.finger_depth_m:
            raise ValueError(
                f'min_depth_m {self.min_depth_m} is more than finger_depth_m '
                f'{self.finger_depth_m}: the fingers could never hold anything'
            )

    @property
    def widest_m(self) -> float:
        """Its largest extent across the approach when it is open, in metres."""
        return self.stroke_m + 2 * self.finger_thickness_m


Gripper = SuctionCup | ParallelJaw
KINDS: dict[str, type[SuctionCup] | type[ParallelJaw]] = {
    'suction': SuctionCup,
    'parallel': ParallelJaw,
}


def _check_lengths(gripper: Gripper) -> None:
    for field in fields(gripper):
        value = getattr(gripper, field.name)
        if field.name.endswith('_m') and not 1e-5 <= value <= 1:
            raise ValueError(
                f'{field.name} is {value} m; 0.00001 to 1 m is expected. Are these millimetres?'
            )


def find_gripper(name_or_path: str) -> Gripper:
    """A gripper by the name of one that comes with the package, or by its file.

    Raises:
        ConfigError: there is none; the message lists those that come with the package.
    """
    folders = shipped('config/grippers')
    for path in (Path(name_or_path).expanduser(), *(f / f'{name_or_path}.yaml' for f in folders)):
        if path.is_file():
            return load_gripper(path)
    names = sorted({path.stem for folder in folders for path in folder.glob('*.yaml')})
    raise ConfigError(
        f'no gripper {name_or_path!r}: neither a YAML file nor one that comes with the package '
        f'({", ".join(names)})'
    )


def load_gripper(path: Path) -> Gripper:
    """A gripper from YAML: `type: suction` or `type: parallel`, and its lengths in metres.

    Raises:
        ConfigError: the file is absent, is no YAML, or holds what is no gripper.
    """
    try:
        loaded = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f'gripper file {path}: {error.strerror or error}') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'gripper file {path} is not YAML: {error}') from None
    try:
        return gripper_from(loaded)
    except ValueError as error:
        raise ConfigError(f'gripper file {path}: {error}') from None


def gripper_from(values: Any) -> Gripper:
    """The gripper that a mapping with a `type` describes.

    Raises:
        ValueError: an unknown type or key, or a length that cannot be.
    """
    known = list(KINDS)  # a list compares with anything, a mapping only with what has a hash
    if not isinstance(values, Mapping) or values.get('type') not in known:
        raise ValueError(f'a mapping with a type is expected; types: {", ".join(KINDS)}')
    given = {key: value for key, value in values.items() if key != 'type'}
    made: Gripper = config.from_mapping(KINDS[values['type']], given)
    return made
