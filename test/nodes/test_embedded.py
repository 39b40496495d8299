"""What the nodes use of message_filters, cv_bridge and sensor_msgs_py, real or stand-in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from cv_bridge import CvBridge
from message_filters import ApproximateTimeSynchronizer, SimpleFilter
from sensor_msgs.msg import Image, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from insegan_ros.nodes.messages import to_image


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


@pytest.mark.parametrize('convert', [CvBridge().cv2_to_imgmsg, to_image])
@pytest.mark.parametrize(
    ('shape', 'dtype', 'encoding', 'step'),
    [
        ((3, 4), np.uint16, 'mono16', 8),
        ((3, 4), np.float32, '32FC1', 16),
        ((3, 4, 3), np.uint8, 'rgb8', 12),
        ((3, 4, 5), np.uint8, '8UC5', 20),
        ((3, 4, 7), np.float32, '32FC7', 112),
    ],
)
def test_an_array_becomes_an_image_of_its_encoding(
    convert: Callable, shape: tuple, dtype: type, encoding: str, step: int
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    header = Header(frame_id='f')
    image = convert(array, encoding, header)
    assert (image.height, image.width, image.encoding) == (3, 4, encoding)
    assert (image.step, image.header.frame_id) == (step, 'f')
    np.testing.assert_array_equal(np.frombuffer(image.data, dtype).reshape(shape), array)


def test_an_array_of_another_type_than_its_encoding_is_refused() -> None:
    with pytest.raises(Exception, match='mono16'):
        CvBridge().cv2_to_imgmsg(np.zeros((3, 4), np.uint8), 'mono16')
