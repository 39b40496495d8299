"""The simulated arm does what a trajectory says, and nothing beyond its limits."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.collection.trajectory import JointLimits, ShakeSpec, Trajectory, shake
from insegan_ros.synthetic.arm import SimulatedArm

LIMITS = (JointLimits('pan', 1.2, 1.5, -1.6, 1.6), JointLimits('roll', 1.5, 1.5))
LEVERS = np.array([[0.0, 0.0], [0.7, 0.0], [0.0, 0.1]])
HOME = (0.1, 0.0)


@pytest.fixture
def arm() -> SimulatedArm:
    return SimulatedArm(LIMITS, HOME, LEVERS, tilts=np.array([[0.0, 1.0], [0.0, 0.0]]))


@pytest.fixture
def trajectory() -> Trajectory:
    spec = ShakeSpec(HOME, ((0.2, 0.3),))
    return shake(spec, LIMITS, HOME, rng=np.random.default_rng(0))


def test_it_rests_at_home_before_and_after_a_shake(
    arm: SimulatedArm, trajectory: Trajectory
) -> None:
    np.testing.assert_allclose(arm.state(3.0)[0], HOME)
    assert arm.follow(trajectory, 5.0) == []
    end = 5.0 + trajectory.duration
    assert arm.moving(5.1)
    assert not arm.moving(end)
    np.testing.assert_allclose(arm.state(end)[0], HOME, atol=1e-9)
    np.testing.assert_allclose(arm.bin_displacement(end), 0, atol=1e-9)


def test_it_passes_through_the_points(arm: SimulatedArm, trajectory: Trajectory) -> None:
    arm.follow(trajectory, 5.0)
    for k in (3, 17):
        position, velocity, _ = arm.state(5.0 + trajectory.times[k])
        np.testing.assert_allclose(position, trajectory.positions[k], atol=1e-9)
        np.testing.assert_allclose(velocity, trajectory.velocities[k], atol=1e-9)


def test_the_bin_accelerates_as_its_displacement_says(
    arm: SimulatedArm, trajectory: Trajectory
) -> None:
    arm.follow(trajectory, 0.0)
    t, h = 1.21, 1e-3
    before, at, after = (arm.bin_displacement(s) for s in (t - h, t, t + h))
    np.testing.assert_allclose(
        arm.bin_acceleration(t), (before - 2 * at + after) / h**2, atol=0.02
    )


def test_a_trajectory_beyond_the_limits_is_refused(
    arm: SimulatedArm, trajectory: Trajectory
) -> None:
    fast = Trajectory(
        trajectory.joints,
        trajectory.times / 4,
        trajectory.positions,
        trajectory.velocities * 4,
        trajectory.accelerations * 16,
    )
    assert any('accelerates at' in reason for reason in arm.follow(fast, 0.0))
    assert not arm.moving(0.1)


def test_braking_stops_within_the_acceleration_limit(
    arm: SimulatedArm, trajectory: Trajectory
) -> None:
    arm.follow(trajectory, 0.0)
    fastest = max(np.linspace(0, trajectory.duration, 300), key=lambda t: abs(arm.state(t)[1][0]))
    arm.brake(fastest)
    times = np.linspace(fastest, fastest + 2, 400)
    assert max(abs(arm.state(t)[2]).max() for t in times) <= 1.5 + 1e-6
    assert not arm.moving(fastest + 2)


def test_parts_in_a_tilted_bin_at_rest_feel_gravity_from_the_side() -> None:
    arm = SimulatedArm(LIMITS, (0.1, 0.5), LEVERS, tilts=np.array([[0.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(arm.felt_acceleration(0.0), 0, atol=1e-12)
    tilted = SimulatedArm(LIMITS, (0.1, 0.5), LEVERS, tilts=np.array([[0.0, 1.0], [0.0, 0.0]]))
    tilted._home = np.array([0.1, 0.0])  # it stands half a radian from where it is upright
    felt = np.array([0, 0, -9.81]) - tilted.felt_acceleration(0.0)
    np.testing.assert_allclose(np.linalg.norm(felt), 9.81)
    np.testing.assert_allclose(felt, [0, -9.81 * np.sin(0.5), -9.81 * np.cos(0.5)], atol=1e-9)
