"""The simulated bin as a camera: pairs, rate, truth, and how it ends."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from rclpy.qos import QoSProfile, QoSReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, JointState


def stamp_of(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, '<u2').reshape(message.height, message.width)


class Audience:
    """What one who listens to everything has heard, by its stamp; on a busy machine, not all."""

    def __init__(self, ros) -> None:
        topics = {
            'image': (Image, 'depth/image'),
            'info': (CameraInfo, 'depth/camera_info'),
            'joints': (JointState, 'joint_states'),
            'truth': (Image, 'bin_simulator/true_labels'),
        }
        self.heard: dict[str, dict[int, Any]] = {key: {} for key in topics}
        self.shown: dict[int, list[int]] = {}  # the stamps of each scene, by its labels' hash
        many = QoSProfile(depth=30, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        for key, (kind, topic) in topics.items():
            ros.create_subscription(kind, topic, partial(self._hear, key), many)

    def _hear(self, key: str, message) -> None:
        stamp = stamp_of(message)
        self.heard[key][stamp] = message
        if key == 'truth':
            self.shown.setdefault(hash(message.data.tobytes()), []).append(stamp)

    def both(self, a: str, b: str) -> list[int]:
        """The stamps of which both came."""
        return sorted(self.heard[a].keys() & self.heard[b].keys())

    def twice_shown(self) -> list[int]:
        """Stamps of images with their truth, of a scene of which there are several."""
        pairs = set(self.both('image', 'truth'))
        scenes = (pairs.intersection(stamps) for stamps in self.shown.values())
        return next((sorted(stamps) for stamps in scenes if len(stamps) > 1), [])


def test_it_looks_like_a_d435_whose_truth_fits_its_images(ros, wait_for, start_node) -> None:
    audience = Audience(ros)
    node = start_node('bin_simulator', part='bolt', instances=4, scene_period=0.5, seed=3)
    assert wait_for(lambda: len(audience.both('image', 'info')) >= 20), node.log.read_text()
    assert wait_for(lambda: len(audience.shown) > 1)  # the bin was filled anew
    assert wait_for(lambda: audience.twice_shown() and audience.heard['joints'])

    images, truth = audience.heard['image'], audience.heard['truth']
    image, info = (list(audience.heard[key].values())[-1] for key in ('image', 'info'))
    assert (image.width, image.height, image.encoding) == (848, 480, '16UC1')
    assert (info.width, info.height) == (848, 480)
    assert info.k[0] > 400
    assert all(len(joints.position) == 7 for joints in audience.heard['joints'].values())
    stamps = np.array(list(images))
    assert (np.diff(stamps) > 0).all()
    assert np.ptp(stamps) / (len(stamps) - 1) > 1e9 / 35  # 30 Hz, or less on a busy machine

    for stamp in audience.both('image', 'truth'):
        depth, labels = pixels(images[stamp]), pixels(truth[stamp])
        assert labels.max() <= 4
        floor = np.median(depth[depth > 0])
        parts = (labels > 0) & (depth > 0)
        assert np.median(depth[parts]) < floor - 4  # parts lie on the floor: nearer by some mm
    first, second = (pixels(images[stamp]) for stamp in audience.twice_shown()[:2])
    assert (first != second).any()  # the noise is alive


def test_an_interrupt_ends_it_cleanly(ros, wait_for, start_node) -> None:
    got: list[CameraInfo] = []
    ros.create_subscription(CameraInfo, 'depth/camera_info', got.append, qos_profile_sensor_data)
    node = start_node('bin_simulator')
    assert wait_for(lambda: len(got) > 3), node.log.read_text()
    node.send_signal(signal.SIGINT)
    assert node.wait(timeout=60) == 0
    assert 'Traceback' not in node.log.read_text()


@pytest.mark.parametrize(
    ('parameter', 'value', 'said'),
    [('part', 'banana', 'nut'), ('rate', 0.0, 'range'), ('bin_width', 0.01, '0.05')],
)
def test_a_wrong_parameter_is_refused_with_what_is_valid(
    start_node, parameter: str, value: object, said: str
) -> None:
    node = start_node('bin_simulator', **{parameter: value})
    assert node.wait(timeout=60) != 0
    assert said in node.log.read_text()
