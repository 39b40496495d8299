"""What the nodes use of message_filters and sensor_msgs_py, real or stand-in."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from message_filters import ApproximateTimeSynchronizer, SimpleFilter
from sensor_msgs.msg import Image, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header


def stamped(milliseconds: int) -> Image:
    image = Image()
    image.header.stamp.sec, rest = divmod(milliseconds, 1000)
    image.header.stamp.nanosec = rest * 10**6
    return image


@pytest.fixture
def synchronised() -> tuple:
    a, b, pairs = SimpleFilter(), SimpleFilter(), []
    both = ApproximateTimeSynchronizer([a, b], 4, 0.02)
    both.registerCallback(lambda x, y: pairs.append((x, y)))
    return a, b, pairs


def test_messages_of_nearly_one_stamp_come_as_a_pair(synchronised: tuple) -> None:
    a, b, pairs = synchronised
    first, second = stamped(1000), stamped(1010)
    a.signalMessage(first)
    assert pairs == []
    b.signalMessage(second)
    assert pairs == [(first, second)]


def test_messages_further_apart_than_the_slop_do_not(synchronised: tuple) -> None:
    a, b, pairs = synchronised
    a.signalMessage(stamped(1000))
    b.signalMessage(stamped(1030))
    assert pairs == []


@pytest.mark.parametrize(('slop', 'pairs'), [(0.0, 0), (0.01, 0), (0.0101, 1)])
def test_stamps_must_differ_by_less_than_the_slop(slop: float, pairs: int) -> None:
    a, b, found = SimpleFilter(), SimpleFilter(), []
    both = ApproximateTimeSynchronizer([a, b], 4, slop)
    both.registerCallback(lambda x, y: found.append((x, y)))
    a.signalMessage(stamped(1000))
    b.signalMessage(stamped(1000 if slop == 0 else 1010))
    assert len(found) == pairs


def test_a_message_without_partner_does_not_block_later_pairs(synchronised: tuple) -> None:
    a, b, pairs = synchronised
    for k in range(20):
        a.signalMessage(stamped(1000 + 33 * k))
    b.signalMessage(stamped(1000 + 33 * 19))
    assert len(pairs) == 1


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
