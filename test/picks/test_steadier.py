from __future__ import annotations

from dataclasses import replace

import numpy as np
from scenes import as_posed, boxes
from scipy.spatial.transform import Rotation

from insegan_ros.picks.symmetry import HALF_TURNS, Steadier

QUARTERS = Rotation.from_rotvec(np.outer(np.arange(4) * np.pi / 2, [0, 0, 1])).as_matrix()


def scene(turn_degrees, moved=0.0, *, template=True):
    """A part whose pose is turned about z; by its template unless only measured."""
    frame, found, _ = boxes((moved, 0, 0.04, 0.03, 0.02), (0.09, 0.02, 0.02, 0.04, 0.03))
    poses = found.poses.copy()
    poses[0, :3, :3] = Rotation.from_euler('z', turn_degrees, degrees=True).as_matrix()
    if template:
        found = as_posed(found)
    return frame, replace(found, poses=poses)


def turn(found):
    return float(Rotation.from_matrix(found.poses[0, :3, :3]).as_euler('zyx', degrees=True)[0])


def test_an_equal_orientation_near_the_last_frame_s_is_taken():
    steady = Steadier([QUARTERS])
    np.testing.assert_allclose(turn(steady(*scene(10))), 10, atol=1e-4)
    np.testing.assert_allclose(turn(steady(*scene(103, 0.002))), 13, atol=1e-4)
    np.testing.assert_allclose(turn(steady(*scene(195))), 15, atol=1e-4)


def test_a_part_that_looks_different_from_there_keeps_its_turn():
    steady = Steadier([np.eye(3)[None]])
    steady(*scene(10))
    np.testing.assert_allclose(turn(steady(*scene(103))), 103, atol=1e-4)


def test_another_part_in_another_place_takes_nothing_over():
    steady = Steadier([QUARTERS])
    steady(*scene(10))
    np.testing.assert_allclose(turn(steady(*scene(103, -0.03))), 103, atol=1e-4)


def test_principal_axes_do_not_change_their_signs_from_frame_to_frame():
    steady = Steadier([])
    steady(*scene(20, template=False))
    np.testing.assert_allclose(turn(steady(*scene(-158, template=False))), 22, atol=1e-4)
    assert len(HALF_TURNS) == 4
    np.testing.assert_allclose(np.linalg.det(HALF_TURNS), 1)
