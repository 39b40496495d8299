"""What a collection is given: a dataclass whose fields are the collector's ROS parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from insegan_ros.collection.machine import Timing
from insegan_ros.collection.quality import Gates
from insegan_ros.collection.trajectory import JointLimits, ShakeSpec, require_pose


@dataclass(frozen=True)
class ArmSettings:
    """The arm: a Fetch by default. Lists are in the order of `joints`; limits in rad, s."""

    interface: Literal['action', 'topic'] = 'action'
    action: str = 'arm_controller/follow_joint_trajectory'
    topic: str = 'arm_controller/joint_trajectory'
    joints: tuple[str, ...] = (
        'shoulder_pan_joint',
        'shoulder_lift_joint',
        'upperarm_roll_joint',
        'elbow_flex_joint',
        'forearm_roll_joint',
        'wrist_flex_joint',
        'wrist_roll_joint',
    )
    # NaN: continuous
    lower: tuple[float, ...] = (-1.6056, -1.221, math.nan, -2.251, math.nan, -2.16, math.nan)
    upper: tuple[float, ...] = (1.6056, 1.518, math.nan, 2.251, math.nan, 2.16, math.nan)
    max_velocity: tuple[float, ...] = (1.256, 1.0, 1.57, 1.5, 1.57, 2.26, 2.26)
    max_acceleration: tuple[float, ...] = (1.5, 1.0, 1.5, 1.5, 1.5, 2.5, 2.5)

    def __post_init__(self) -> None:
        for name in ('lower', 'upper', 'max_velocity', 'max_acceleration'):
            count = len(getattr(self, name))
            if count != len(self.joints):
                raise ValueError(f'arm.{name} has {count} values for {len(self.joints)} joints')
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f'arm.joints names a joint twice: {", ".join(self.joints)}')

    @property
    def limits(self) -> tuple[JointLimits, ...]:
        """Raises: ValueError for a limit that is not positive, or bounds the wrong way round."""
        rows = zip(self.joints, self.max_velocity, self.max_acceleration, self.lower, self.upper)
        return tuple(
            JointLimits(name, v, a, *(None if math.isnan(bound) else bound for bound in bounds))
            for name, v, a, *bounds in rows
        )


@dataclass(frozen=True)
class ShakeSettings:
    """The shake; directions one after another, each with a value for every joint."""

    home: tuple[float, ...] = (0.0, 0.6, 0.0, 1.2, 0.0, -0.23, 0.0)
    directions: tuple[float, ...] = (
        *(0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8),  # sideways, and rolled by the wrist
        *(0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 0.0),  # pitched by the wrist
        *(0.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.6),
    )
    amplitude: tuple[float, float] = (0.9, 1.4)
    frequency_hz: tuple[float, float] = (0.2, 0.25)  # parts slide by tilt: no arm jerks enough
    repetitions: int = 1
    cycles: int = 2

    @property
    def spec(self) -> ShakeSpec:
        """Raises: ValueError for directions that do not fit the joints."""
        joints = len(self.home)
        if len(self.directions) % joints:
            raise ValueError(
                f'shake.directions has {len(self.directions)} values; '
                f'a multiple of the {joints} joints is expected'
            )
        rows = [self.directions[k : k + joints] for k in range(0, len(self.directions), joints)]
        return ShakeSpec(
            self.home,
            tuple(rows),
            self.amplitude,
            self.frequency_hz,
            self.repetitions,
            self.cycles,
        )


@dataclass(frozen=True)
class CollectorSettings:
    """Everything, with the defaults of a Fetch that only rehearses (`dry_run`)."""

    dataset: str = ''  # folder; required
    part: str = ''  # required
    instances: int = 0  # parts in the bin; 0: unknown
    count: int = 1000  # frames wanted in all
    dry_run: bool = True  # everything but motion
    start: bool = False  # begin when activated, without a person's ~/start
    require_run_stop: bool = False  # wait until the run-stop's state was heard of
    seed: int = 0
    depth_unit: float = 0.0  # metres a unit of the images; 0: 16-bit millimetres, float metres
    arm: ArmSettings = field(default_factory=ArmSettings)
    shake: ShakeSettings = field(default_factory=ShakeSettings)
    timing: Timing = field(default_factory=Timing)
    gates: Gates = field(default_factory=Gates)

    def __post_init__(self) -> None:
        if self.count < 1 or self.instances < 0 or self.seed < 0:
            raise ValueError('count must be at least 1, instances and seed at least 0')
        if not 0 <= self.depth_unit <= 1:
            raise ValueError(f'depth_unit is {self.depth_unit}; 0 to 1 metres is expected')
        if len(self.shake.home) != len(self.arm.joints):
            raise ValueError(
                f'shake.home has {len(self.shake.home)} values for {len(self.arm.joints)} joints'
            )
        require_pose(np.asarray(self.shake.home), self.arm.limits, 'shake.home')
        longest = self.shake.spec.longest
        if longest >= self.timing.motion_timeout:
            raise ValueError(
                f'a shake takes up to {longest:g} s, which timing.motion_timeout = '
                f'{self.timing.motion_timeout:g} s would cut short'
            )
