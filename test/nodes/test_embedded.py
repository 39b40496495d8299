"""What the nodes use of sensor_msgs_py, real or stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from sensor_msgs.msg import PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header


def test_a_cloud_is_read_back_as_it_was_made() -> None:
    fields = [
        PointField(name='x', offset=0, datatype=PointField.FLOAT32, count=1),
        PointField(name='label', offset=4, datatype=PointField.UINT32, count=1),
    ]
    points = np.array([(1.5, 7), (np.nan, 8)], [('x', 'f4'), ('label', 'u4')])
    cloud = point_cloud2.create_cloud(Header(), fields, points)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.row_step) == (2, 1, 8, 16)
    read = point_cloud2.read_points(cloud)
    for name in ('x', 'label'):
        np.testing.assert_array_equal(read[name], points[name])
    assert point_cloud2.read_points(cloud, ['label']).dtype.names == ('label',)


def test_a_cloud_of_no_points_is_one() -> None:
    fields = [PointField(name='x', offset=0, datatype=PointField.FLOAT32, count=1)]
    cloud = point_cloud2.create_cloud(Header(), fields, np.zeros(0, [('x', 'f4')]))
    assert (cloud.width, len(cloud.data)) == (0, 0)


def test_points_of_another_type_than_their_fields_or_scattered_in_memory_are_refused() -> None:
    fields = [PointField(name='x', offset=0, datatype=PointField.FLOAT32, count=1)]
    with pytest.raises(AssertionError):
        point_cloud2.create_cloud(Header(), fields, np.zeros(3, [('x', 'f8')]))
    with pytest.raises(TypeError):
        point_cloud2.create_cloud(Header(), fields, np.zeros(4, [('x', 'f4')])[::2])


def test_without_a_path_in_the_environment_it_is_found_too(tmp_path: Path) -> None:
    link = Path(sysconfig.get_path('purelib')) / 'insegan_ros_embedded.pth'
    if not link.is_file():
        pytest.skip('this environment was not made by `make`')
    without = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    command = [sys.executable, '-c', 'import sensor_msgs_py.point_cloud2']
    assert subprocess.run(command, env=without, cwd=tmp_path, check=False).returncode == 0
