"""No trajectory beyond an arm's limits is made, and none passes the check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insegan_ros.collection.trajectory import (
    JointLimits,
    ShakeSpec,
    Trajectory,
    deviation,
    shake,
    violations,
)

LIMITS = (
    JointLimits('pan', max_velocity=1.25, max_acceleration=1.5, lower=-1.6, upper=1.6),
    JointLimits('roll', max_velocity=1.57, max_acceleration=1.5),
)
SPEC = ShakeSpec(home=(0.2, 0.0), directions=((0.2, 0.0), (0.1, -0.3)))


def made(strength: float = 1.0, seed: int = 0) -> Trajectory:
    return shake(SPEC, LIMITS, (0.0, 0.1), rng=np.random.default_rng(seed), strength=strength)


finite = st.floats(-3, 3, allow_nan=False)
positive = st.floats(0.05, 5)
bounds = st.tuples(positive, positive).map(lambda pair: (min(pair), max(pair)))


@settings(max_examples=60, deadline=None)
@given(
    home=st.tuples(st.floats(-1.6, 1.6), finite),
    start=st.tuples(st.floats(-1.6, 1.6), finite),
    directions=st.lists(st.tuples(finite, finite), min_size=1, max_size=3).map(tuple),
    amplitude=bounds,
    frequency=st.tuples(st.floats(0.3, 1), st.floats(1, 5)),
    strength=st.floats(0.1, 20),
    seed=st.integers(0, 99),
)
def test_no_parameters_make_a_trajectory_beyond_the_limits(
    home: tuple[float, float],
    start: tuple[float, float],
    directions: tuple[tuple[float, float], ...],
    amplitude: tuple[float, float],
    frequency: tuple[float, float],
    strength: float,
    seed: int,
) -> None:
    spec = ShakeSpec(home, directions, amplitude, frequency)
    trajectory = shake(spec, LIMITS, start, rng=np.random.default_rng(seed), strength=strength)
    assert violations(trajectory, LIMITS, start, start_tolerance=0.2) == []


def test_a_shake_ends_at_rest_at_home() -> None:
    trajectory = made()
    np.testing.assert_allclose(trajectory.positions[-1], SPEC.home, atol=1e-9)
    np.testing.assert_allclose(trajectory.velocities[-1], 0, atol=1e-9)


def test_the_same_seed_gives_the_same_shake() -> None:
    np.testing.assert_array_equal(made(seed=3).positions, made(seed=3).positions)
    assert made(seed=3).times[-1] != made(seed=4).times[-1]


def test_a_harder_shake_moves_further() -> None:
    def travel(strength: float) -> float:
        spec = replace(SPEC, frequency_hz=(0.3, 0.3))
        rng = np.random.default_rng(0)
        return float(
            np.ptp(
                shake(spec, LIMITS, SPEC.home, rng=rng, strength=strength).positions, axis=0
            ).sum()
        )

    assert travel(1.5) > 1.2 * travel(0.5)


def test_a_home_outside_the_limits_is_refused() -> None:
    with pytest.raises(ValueError, match=r'home: pan at 1\.700 rad is outside'):
        shake(replace(SPEC, home=(1.7, 0.0)), LIMITS, (0, 0), rng=np.random.default_rng(0))


GOOD = made()


@pytest.mark.parametrize(
    ('bad', 'reason'),
    [
        (replace(GOOD, joints=('roll', 'pan')), 'joints are'),
        (replace(GOOD, times=GOOD.times[::-1]), 'times do not increase'),
        (replace(GOOD, times=GOOD.times - GOOD.times[0]), 'times do not increase'),
        (replace(GOOD, times=GOOD.times / 3), 'moves at'),
        (replace(GOOD, times=GOOD.times / 3), 'accelerates at'),
        (replace(GOOD, positions=GOOD.positions * np.nan), 'not finite'),
        (replace(GOOD, positions=GOOD.positions[:-1]), 'are expected'),
        (replace(GOOD, positions=GOOD.positions + 0.3), 'from the first point'),
        (replace(GOOD, velocities=GOOD.velocities + 0.1), 'final velocity is not zero'),
    ],
)
def test_a_bad_trajectory_is_not_let_through(bad: Trajectory, reason: str) -> None:
    assert any(reason in found for found in violations(bad, LIMITS, (0.0, 0.1)))


def test_a_position_beyond_its_limit_between_two_points_is_seen() -> None:
    # both points lie within the limit, but the velocity carries the arm past it
    trajectory = Trajectory(
        ('pan', 'roll'),
        np.array([1.0, 2.0, 3.0]),
        np.array([[1.55, 0.0], [1.55, 0.0], [1.55, 0.0]]),
        np.array([[0.6, 0.0], [-0.6, 0.0], [0.0, 0.0]]),
        np.zeros((3, 2)),
    )
    found = violations(trajectory, LIMITS, (1.55, 0.0))
    assert any('1.6 is the most' in reason for reason in found)


def test_a_home_below_a_lower_limit_is_refused() -> None:
    with pytest.raises(ValueError, match=r'home: pan at -1\.700 rad is outside'):
        shake(replace(SPEC, home=(-1.7, 0.0)), LIMITS, (0, 0), rng=np.random.default_rng(0))


def test_a_position_below_its_lower_limit_between_two_points_is_seen() -> None:
    trajectory = Trajectory(
        ('pan', 'roll'),
        np.array([1.0, 2.0, 3.0]),
        np.array([[-1.55, 0.0], [-1.55, 0.0], [-1.55, 0.0]]),
        np.array([[-0.6, 0.0], [0.6, 0.0], [0.0, 0.0]]),
        np.zeros((3, 2)),
    )
    found = violations(trajectory, LIMITS, (-1.55, 0.0))
    assert any('-1.6 is the least' in reason for reason in found)


@pytest.mark.parametrize('lower', [-1.6, None])
def test_swings_near_a_limit_stay_within_it(lower: float | None) -> None:
    """A home near the lower limit, or near the upper one of a joint that has no lower one."""
    pan = replace(LIMITS[0], lower=lower, upper=1.6 if lower is None else None)
    home = 1.5 if lower is None else -1.5
    spec = ShakeSpec((home, 0.0), ((1.0, 0.0),), frequency_hz=(0.2, 0.2))
    swings = shake(spec, (pan, LIMITS[1]), spec.home, rng=np.random.default_rng(0))
    assert np.abs(swings.positions[:, 0]).max() <= 1.6
    assert np.ptp(swings.positions[:, 0]) > 0.05  # it swings


def test_an_arm_goes_home_as_fast_as_its_limits_let_and_no_faster() -> None:
    for velocity, acceleration in ((0.2, 100.0), (100.0, 0.2)):
        limits = (JointLimits('pan', max_velocity=velocity, max_acceleration=acceleration),)
        spec = ShakeSpec(home=(0.0,), directions=((0.0,),))
        way = shake(spec, limits, (1.0,), rng=np.random.default_rng(0), margin=0.9)
        used = max(
            np.abs(way.velocities).max() / velocity,
            np.abs(way.accelerations).max() / acceleration,
        )
        assert used == pytest.approx(0.9, rel=0.02)


@pytest.mark.parametrize(
    ('velocity', 'acceleration', 'count'),
    [(1.9, 5.8, 0), (1.8, 5.8, 1), (1.9, 5.0, 1)],
)
def test_what_an_arm_does_between_two_points_counts(
    velocity: float, acceleration: float, count: int
) -> None:
    # a radian from rest to rest in a second: at most 15/8 rad/s and 10/sqrt(3) rad/s^2
    still = np.zeros((2, 1))
    step = Trajectory(('pan',), np.array([1.0, 2.0]), np.array([[0.0], [1.0]]), still, still)
    limits = (JointLimits('pan', max_velocity=velocity, max_acceleration=acceleration),)
    found = violations(step, limits, (0.0,))
    assert len(found) == count, found


def test_velocities_and_accelerations_are_those_of_the_positions() -> None:
    spec = replace(SPEC, frequency_hz=(0.5, 0.5), repetitions=1)
    made = shake(spec, LIMITS, SPEC.home, rng=np.random.default_rng(0))
    for values, slopes in (
        (made.positions, made.velocities),
        (made.velocities, made.accelerations),
    ):
        seen = np.gradient(values, made.times, axis=0)[2:-2]
        assert np.abs(seen - slopes[2:-2]).max() < 0.05 * np.abs(slopes).max()


WIDE = JointLimits('pan', max_velocity=1e3, max_acceleration=1e4)


@pytest.mark.parametrize(
    'tight',
    [
        {'max_velocity': 0.5},
        {'max_acceleration': 3.0},
        {'lower': -0.05},
        {'upper': 0.05},
        {},
    ],
)
def test_a_swing_is_as_wide_as_asked_or_as_the_tightest_limit_lets(tight: dict) -> None:
    limits = (replace(WIDE, **tight),)
    spec = ShakeSpec(
        home=(0.0,), directions=((0.4,),), amplitude=(1.0, 1.0), frequency_hz=(1.0, 1.0),
        repetitions=4, cycles=5,
    )  # fmt: skip
    made = shake(spec, limits, (0.0,), rng=np.random.default_rng(0), margin=0.8)
    peaks = {
        'max_velocity': np.abs(made.velocities).max(),
        'max_acceleration': np.abs(made.accelerations).max(),
        'lower': made.positions.min(),
        'upper': made.positions.max(),
    }
    if tight:
        ((name, limit),) = tight.items()
        # a swing of 0.4 rad is bounded by its middle, where the envelope is 1
        assert peaks[name] == pytest.approx(0.8 * limit, rel=0.04)
    else:
        assert max(-peaks['lower'], peaks['upper']) == pytest.approx(0.4, rel=0.04)
    swings = made.positions[made.times > 0.21]  # without the way home, which is none
    crossings = np.count_nonzero(np.diff(np.sign(swings[:, 0])) != 0)
    assert crossings == pytest.approx(2 * 5 * 4, abs=8)  # to and fro, a second each


@pytest.mark.parametrize('value', [0.0, -1.0, float('inf'), float('nan')])
def test_a_limit_that_is_none_is_named(value: float) -> None:
    with pytest.raises(ValueError, match='pan: max_velocity is'):
        JointLimits('pan', max_velocity=value, max_acceleration=1.0)


def test_limits_between_which_nothing_lies_are_named() -> None:
    with pytest.raises(ValueError, match=r'pan: lower 1\.0 is not below upper 1\.0'):
        JointLimits('pan', max_velocity=1.0, max_acceleration=1.0, lower=1.0, upper=1.0)


def ramp() -> Trajectory:
    """One joint that goes by 0.1 rad at each of the seconds 1 to 9."""
    times = np.arange(1.0, 10.0)
    positions = 0.1 * times[:, None]
    return Trajectory(('pan',), times, positions, np.full_like(positions, 0.1), 0 * positions)


@pytest.mark.parametrize('turns', [-1, 0, 1])
def test_an_arm_on_its_way_does_not_deviate_whatever_its_turns(turns: int) -> None:
    arm = 0.5 + 2 * np.pi * turns
    assert deviation(ramp(), 5.0, (arm,), lag=0.0) == pytest.approx(0, abs=1e-9)
    assert deviation(ramp(), 5.0, (arm + 1.0,), lag=0.0) == pytest.approx(1.0)
    assert deviation(ramp(), 5.0, (arm - 1.0,), lag=0.0) == pytest.approx(0.9)  # from 0.4 at 4 s


@pytest.mark.parametrize(('lag', 'expected'), [(0.0, 0.2), (1.0, 0.1), (2.0, 0.0), (5.0, 0.0)])
def test_an_arm_may_lag_behind_its_way_by_so_much_and_no_more(lag: float, expected: float) -> None:
    assert deviation(ramp(), 6.0, (0.3,), lag=lag) == pytest.approx(expected, abs=1e-9)


def test_an_arm_ahead_of_its_way_deviates_and_after_the_end_it_has_to_be_there() -> None:
    assert deviation(ramp(), 3.0, (0.8,), lag=2.0) == pytest.approx(0.5)
    assert deviation(ramp(), np.inf, (0.9,), lag=0.0) == pytest.approx(0)
    assert deviation(ramp(), np.inf, (0.5,), lag=0.0) == pytest.approx(0.4)
    assert deviation(ramp(), 0.2, (0.1,), lag=1.0) == pytest.approx(0)


def test_the_joint_that_is_farthest_off_counts() -> None:
    times = np.array([1.0, 2.0])
    still = np.zeros((2, 2))
    way = Trajectory(('pan', 'roll'), times, still, still, still)
    assert deviation(way, 1.5, (0.1, -0.4), lag=0.0) == pytest.approx(0.4)
