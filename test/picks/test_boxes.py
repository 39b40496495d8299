from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from insegan_ros.picks.boxes import box_of


def some_pose():
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('xyz', [0.3, -0.5, 1.0]).as_matrix()
    pose[:3, 3] = [0.1, -0.05, 0.6]
    return pose


def test_a_template_s_box_keeps_its_size_in_any_pose():
    corners = np.array([[-0.03, -0.02, -0.01], [0.01, 0.02, 0.01]])
    box = box_of(some_pose(), visible=np.zeros((0, 3)), corners=corners)
    np.testing.assert_allclose(box.size_m, [0.04, 0.04, 0.02])
    middle = some_pose()[:3, :3] @ [-0.01, 0, 0] + some_pose()[:3, 3]
    np.testing.assert_allclose(box.pose[:3, 3], middle)


def test_without_a_template_the_box_holds_what_is_seen():
    own = np.random.default_rng(0).uniform([-0.03, -0.02, -0.01], [0.03, 0.02, 0.01], (4000, 3))
    pose = some_pose()
    box = box_of(pose, visible=own @ pose[:3, :3].T + pose[:3, 3])
    np.testing.assert_allclose(box.size_m, [0.06, 0.04, 0.02], rtol=0.06)


def test_an_instance_without_a_point_has_a_box_of_almost_no_size():
    assert (box_of(np.eye(4), visible=np.zeros((0, 3))).size_m > 0).all()
