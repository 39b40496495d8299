"""The simulated bin as a camera: pairs, rate, truth, and how it ends."""

from __future__ import annotations

import signal

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, JointState


def stamp_of(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, '<u2').reshape(message.height, message.width)


def test_it_looks_like_a_d435_whose_truth_fits_its_images(ros, wait_for, start_node) -> None:
    got: dict[str, list] = {'image': [], 'info': [], 'joints': [], 'truth': []}
    topics = {
        'image': (Image, 'depth/image'),
        'info': (CameraInfo, 'depth/camera_info'),
        'joints': (JointState, 'joint_states'),
        'truth': (Image, 'bin_simulator/true_labels'),
    }
    for key, (kind, topic) in topics.items():
        ros.create_subscription(kind, topic, got[key].append, qos_profile_sensor_data)
    node = start_node('bin_simulator', part='bolt', instances=4, scene_period=0.5, seed=3)
    assert wait_for(lambda: len(got['image']) >= 60 and got['truth']), node.log.read_text()

    image, info = got['image'][-1], got['info'][-1]
    assert (image.width, image.height, image.encoding) == (848, 480, '16UC1')
    assert (info.width, info.height) == (848, 480)
    assert info.k[0] > 400
    assert len(got['joints'][-1].position) == 7
    stamps = np.array([stamp_of(m) for m in got['image']])
    assert (np.diff(stamps) > 0).all()
    assert 25 < 1e9 / np.median(np.diff(stamps)) < 35
    infos = {stamp_of(m) for m in got['info']}
    assert len(infos.intersection(stamps.tolist())) >= len(stamps) - 2

    images = {stamp_of(m): pixels(m) for m in got['image']}
    pairs = [(images[stamp_of(m)], pixels(m)) for m in got['truth'] if stamp_of(m) in images]
    for depth, labels in pairs:
        assert labels.max() <= 4
        floor = np.median(depth[depth > 0])
        parts = (labels > 0) & (depth > 0)
        assert np.median(depth[parts]) < floor - 4  # parts lie on the floor: nearer by some mm
    assert len({labels.tobytes() for _, labels in pairs}) > 1  # the bin was filled anew
    same = [d for d, labels in pairs if (labels == pairs[0][1]).all()]
    assert any((same[0] != other).any() for other in same[1:])  # the noise is alive


def test_an_interrupt_ends_it_cleanly(ros, wait_for, start_node) -> None:
    got: list[CameraInfo] = []
    ros.create_subscription(CameraInfo, 'depth/camera_info', got.append, qos_profile_sensor_data)
    node = start_node('bin_simulator')
    assert wait_for(lambda: len(got) > 3), node.log.read_text()
    node.send_signal(signal.SIGINT)
    assert node.wait(timeout=10) == 0
    assert 'Traceback' not in node.log.read_text()


@pytest.mark.parametrize(
    ('parameter', 'value', 'said'),
    [('part', 'banana', 'nut'), ('rate', 0.0, 'range'), ('bin_width', 0.01, '0.05')],
)
def test_a_wrong_parameter_is_refused_with_what_is_valid(
    start_node, parameter: str, value: object, said: str
) -> None:
    node = start_node('bin_simulator', **{parameter: value})
    assert node.wait(timeout=20) != 0
    assert said in node.log.read_text()
