"""Shaking trajectories within an arm's limits, and the check that nothing else is ever sent.

A controller interpolates between the points it is sent (quintic where positions, velocities and
accelerations are given, as ros2_control's joint_trajectory_controller does) and enforces no
velocity or acceleration limit itself, so the check evaluates that interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BPoly

FloatArray = NDArray[np.float64]

POINT_RATE_HZ = 25.0
CHECKS_PER_SEGMENT = 8
TOLERANCE = 1e-6  # relative, for comparing against a limit that a trajectory was scaled to


@dataclass(frozen=True)
class JointLimits:
    """What one joint may do; None for a continuous joint's position."""

    name: str
    max_velocity: float  # rad/s
    max_acceleration: float  # rad/s^2
    lower: float | None = None  # rad
    upper: float | None = None  # rad

    def __post_init__(self) -> None:
        for key in ('max_velocity', 'max_acceleration'):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f'{self.name}: {key} is {value}; it must be positive')
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ValueError(f'{self.name}: lower {self.lower} is not below upper {self.upper}')


@dataclass(frozen=True)
class ShakeSpec:
    """A shake: swings about a home pose along directions in joint space.

    Each of `repetitions` swings goes along one of `directions`, chosen at random, at an amplitude
    and frequency drawn from the bounds; it starts and ends at rest in the home pose.
    """

    home: tuple[float, ...]  # (J,) rad
    directions: tuple[tuple[float, ...], ...]  # (K, J) rad at amplitude 1
    amplitude: tuple[float, float] = (0.5, 1.0)  # least, most
    frequency_hz: tuple[float, float] = (0.5, 1.5)  # least, most
    repetitions: int = 3
    cycles: int = 3  # swings to and fro in a repetition

    def __post_init__(self) -> None:
        joints = len(self.home)
        if not self.directions or any(len(d) != joints for d in self.directions):
            raise ValueError(f'shake directions must each have {joints} joints, as home has')
        if not np.isfinite([self.home, *self.directions]).all():
            raise ValueError('home and the shake directions must be finite')
        for key in ('amplitude', 'frequency_hz'):
            low, high = getattr(self, key)
            if not 0 < low <= high < math.inf:
                raise ValueError(f'{key} is [{low}, {high}]; 0 < least <= most is expected')
        if self.repetitions < 1 or self.cycles < 1:
            raise ValueError('repetitions and cycles must be at least 1')

    @property
    def longest(self) -> float:
        """Seconds that the swings take at most, without the way to the home pose."""
        return self.repetitions * self.cycles / self.frequency_hz[0]


@dataclass(frozen=True)
class Trajectory:
    """What is sent to a controller."""

    joints: tuple[str, ...]
    times: FloatArray  # (T,) seconds from the start, increasing, the first above 0
    positions: FloatArray  # (T, J) rad
    velocities: FloatArray  # (T, J) rad/s
    accelerations: FloatArray  # (T, J) rad/s^2

    @property
    def duration(self) -> float:
        """Seconds from the start to the last point."""
        return float(self.times[-1]) if len(self.times) else 0.0


def shake(
    spec: ShakeSpec,
    limits: Sequence[JointLimits],
    start: Sequence[float],
    *,
    rng: np.random.Generator,
    strength: float = 1.0,
    margin: float = 0.9,
) -> Trajectory:
    """From `start` to home, the swings, and home again, using at most `margin` of each limit.

    Args:
        start: (J,) where the arm stands now, rad.
        strength: multiplies the amplitude; above 1 to shake harder, still within the limits.

    Raises:
        ValueError: home, or the way to it, lies outside the position limits.
    """
    home = np.asarray(spec.home, np.float64)
    require_pose(home, limits, 'home')
    require_pose(np.asarray(start, np.float64), limits, 'start')
    pieces = [_move(np.asarray(start, np.float64), home, limits, margin=margin)]
    for _ in range(spec.repetitions):
        direction = np.asarray(spec.directions[rng.integers(len(spec.directions))], np.float64)
        wanted = direction * rng.uniform(*spec.amplitude) * strength * rng.choice([-1.0, 1.0])
        frequency = rng.uniform(*spec.frequency_hz)
        pieces.append(
            _swing(home, wanted, frequency, cycles=spec.cycles, limits=limits, margin=margin)
        )
    ends = np.cumsum([0.0] + [times[-1] for times, *_ in pieces])
    times = np.concatenate([t + end for (t, *_), end in zip(pieces, ends)])
    positions, velocities, accelerations = (
        np.concatenate([piece[k] for piece in pieces]) for k in (1, 2, 3)
    )
    names = tuple(limit.name for limit in limits)
    return Trajectory(names, times, positions, velocities, accelerations)


Piece = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _move(a: FloatArray, b: FloatArray, limits: Sequence[JointLimits], *, margin: float) -> Piece:
    """Rest to rest along 10 u^3 - 15 u^4 + 6 u^5, as fast as `margin` of the limits lets."""
    step = b - a
    # the polynomial's largest slope is 15/8, its largest second derivative 10/sqrt(3)
    duration = 0.2
    for distance, limit in zip(np.abs(step), limits):
        duration = max(
            duration,
            distance * 15 / 8 / (margin * limit.max_velocity),
            math.sqrt(distance * 10 / math.sqrt(3) / (margin * limit.max_acceleration)),
        )
    times = _instants(duration)
    u = (times / duration)[:, None]
    return (
        times,
        a + step * (10 * u**3 - 15 * u**4 + 6 * u**5),
        step / duration * (30 * u**2 - 60 * u**3 + 30 * u**4),
        step / duration**2 * (60 * u - 180 * u**2 + 120 * u**3),
    )


def _swing(
    home: FloatArray,
    wanted: FloatArray,
    frequency: float,
    *,
    cycles: int,
    limits: Sequence[JointLimits],
    margin: float,
) -> Piece:
    """Swings about home under a sin^2 envelope, the amplitude reduced until all limits hold."""
    duration = cycles / frequency
    times = _instants(duration)
    shape, slope, curve = _windowed_sine(times, frequency, duration)
    # the peaks of the curve itself, so that nothing between two points exceeds a limit
    fine = np.linspace(0, duration, 200 * cycles, dtype=np.float64)
    peaks = [np.abs(values).max() for values in _windowed_sine(fine, frequency, duration)]
    share = 1.0  # everything is linear in the amplitude, so one factor makes it fit
    for k, limit in enumerate(limits):
        size = abs(wanted[k])
        if size < 1e-9:  # rad: no motion
            continue
        share = min(
            share,
            margin * limit.max_velocity / (size * peaks[1]),
            margin * limit.max_acceleration / (size * peaks[2]),
        )
        if limit.upper is not None:
            share = min(share, margin * (limit.upper - home[k]) / size)
        if limit.lower is not None:
            share = min(share, margin * (home[k] - limit.lower) / size)
    step = wanted * max(share, 0.0)
    return times, home + step * shape, step * slope, step * curve


def _windowed_sine(times: FloatArray, frequency: float, duration: float) -> list[FloatArray]:
    """(T, 1) each: sin(w t) sin^2(e t), e = pi / duration, and its two derivatives."""
    w, e = 2 * np.pi * frequency, np.pi / duration
    s, c = np.sin(w * times), np.cos(w * times)
    window = np.sin(e * times) ** 2
    window1, window2 = e * np.sin(2 * e * times), 2 * e**2 * np.cos(2 * e * times)
    values = (
        s * window,
        w * c * window + s * window1,
        -(w**2) * s * window + 2 * w * c * window1 + s * window2,
    )
    return [value[:, None] for value in values]


def _instants(duration: float) -> FloatArray:
    """(T,) equally spaced, the last at `duration`, none at 0: pieces join without doubling."""
    count = max(2, math.ceil(duration * POINT_RATE_HZ))
    return np.linspace(0, duration, count + 1, dtype=np.float64)[1:]


def deviation(
    trajectory: Trajectory, seconds: float, positions: Sequence[float], *, lag: float
) -> float:
    """How far an arm is from its way, rad: from the nearest of the last `lag` seconds' points.

    Args:
        seconds: since the trajectory began.
        positions: (J,) where the arm is.
    """
    first = max(int(np.searchsorted(trajectory.times, seconds - lag)) - 1, 0)
    last = int(np.searchsorted(trajectory.times, seconds)) + 1
    errors = trajectory.positions[first:last] - np.asarray(positions)
    errors = (errors + np.pi) % (2 * np.pi) - np.pi  # continuous joints may be given modulo a turn
    return float(np.abs(errors).max(axis=1).min())


def require_pose(pose: FloatArray, limits: Sequence[JointLimits], what: str) -> None:
    """Raises: ValueError for a pose (J,) that is outside the limits; `what` names it."""
    if pose.shape != (len(limits),):
        raise ValueError(f'{what} has {pose.shape} joints; {len(limits)} are expected')
    for position, limit in zip(pose, limits):
        outside = (limit.lower is not None and position < limit.lower) or (
            limit.upper is not None and position > limit.upper
        )
        if outside or not math.isfinite(position):
            raise ValueError(
                f'{what}: {limit.name} at {position:.3f} rad is outside '
                f'[{limit.lower}, {limit.upper}]'
            )


def violations(
    trajectory: Trajectory,
    limits: Sequence[JointLimits],
    start: Sequence[float],
    *,
    start_tolerance: float = 0.05,
) -> list[str]:
    """Every reason not to send a trajectory; an empty list lets it through.

    Checks joint names and their order, finite values, increasing times, rest at the end, the
    distance of the start pose from where the arm stands (`start`, rad), and position, velocity and
    acceleration limits along the controller's own quintic interpolation.
    """
    names = tuple(limit.name for limit in limits)
    if trajectory.joints != names:
        return [f'joints are {trajectory.joints}; the arm has {names}']
    arrays = (trajectory.positions, trajectory.velocities, trajectory.accelerations)
    shape = (len(trajectory.times), len(names))
    if not len(trajectory.times) or any(a.shape != shape for a in arrays):
        return [f'points are {[a.shape for a in arrays]}; {shape} are expected']
    if not all(np.isfinite(a).all() for a in (trajectory.times, *arrays)):
        return ['a time, position, velocity or acceleration is not finite']
    times = np.concatenate([[0.0], trajectory.times])
    if (np.diff(times) <= 0).any():
        return ['times do not increase from 0']
    found = []
    if np.abs(trajectory.velocities[-1]).max() > 1e-9:
        found.append('the final velocity is not zero')
    at_rest = np.zeros((1, len(names)))
    positions, velocities, accelerations = (
        np.concatenate([first, rest])
        for first, rest in zip((np.asarray([start], np.float64), at_rest, at_rest), arrays)
    )
    far = np.abs(positions[1] - positions[0])
    fine = np.unique(
        np.concatenate([np.linspace(a, b, CHECKS_PER_SEGMENT + 1) for a, b in pairwise(times)])
    )
    for k, limit in enumerate(limits):
        if far[k] > start_tolerance:
            found.append(
                f'{limit.name} stands {far[k]:.3f} rad from the first point; '
                f'at most {start_tolerance} is allowed'
            )
            continue
        derivatives = np.stack([positions[:, k], velocities[:, k], accelerations[:, k]], axis=1)
        curve = BPoly.from_derivatives(times, derivatives)
        q, v, a = curve(fine), np.abs(curve(fine, 1)).max(), np.abs(curve(fine, 2)).max()
        slack = 1 + TOLERANCE
        if limit.upper is not None and q.max() > limit.upper + TOLERANCE:
            found.append(f'{limit.name} reaches {q.max():.3f} rad; {limit.upper} is the most')
        if limit.lower is not None and q.min() < limit.lower - TOLERANCE:
            found.append(f'{limit.name} reaches {q.min():.3f} rad; {limit.lower} is the least')
        if v > limit.max_velocity * slack:
            found.append(f'{limit.name} moves at {v:.3f} rad/s; {limit.max_velocity} is the most')
        if a > limit.max_acceleration * slack:
            most = limit.max_acceleration
            found.append(f'{limit.name} accelerates at {a:.3f} rad/s^2; {most} is the most')
    return found
