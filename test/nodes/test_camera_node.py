"""The camera node on recordings, without a device, and asked for nonsense."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from insegan_ros.data.store import DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(width=848, height=480, fx=422.0, fy=421.0, cx=423.5, cy=239.5)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three frames, whose depth and label say which they are."""
    path = tmp_path / 'bin'
    with DatasetWriter(path, DatasetInfo('nut', CAMERA, 'simulated')) as writer:
        for k in range(3):
            depth = np.full((480, 848), 500 + k, np.uint16)
            depth[0, :10] = 0
            writer.append(depth, np.full((480, 848), k + 1, np.uint8))
    return path


def first_pixels(messages: list[Image]) -> list[int]:
    return [int(np.frombuffer(m.data, '<u2')[-1]) for m in messages]


def test_a_dataset_is_replayed_in_a_loop_with_its_camera_and_truth(
    ros, wait_for, start_node, dataset: Path
) -> None:
    images: list[Image] = []
    infos: list[CameraInfo] = []
    truth: list[Image] = []
    sensor = qos_profile_sensor_data
    ros.create_subscription(Image, 'depth/image', images.append, sensor)
    ros.create_subscription(CameraInfo, 'depth/camera_info', infos.append, sensor)
    ros.create_subscription(Image, 'camera/true_labels', truth.append, sensor)
    node = start_node('camera', path=dataset, rate=20.0)
    assert wait_for(lambda: len(images) >= 8 and len(truth) >= 4), node.log.read_text()
    shown = first_pixels(images)
    steps = {(b - a) % 3 for a, b in pairwise(shown)}
    assert set(shown) == {500, 501, 502}
    assert steps == {1}  # in order, round and round
    assert infos[-1].k[4] == 421.0
    assert images[-1].header.frame_id == 'camera_depth_optical_frame'
    by_stamp = {str(m.header.stamp): m for m in images}
    pairs = [(by_stamp[str(t.header.stamp)], t) for t in truth if str(t.header.stamp) in by_stamp]
    for image, labels in pairs:
        assert first_pixels([labels])[0] == first_pixels([image])[0] - 499


def test_without_loop_it_ends_once_and_stays_alive(ros, wait_for, start_node, dataset) -> None:
    node = start_node('camera', path=dataset, rate=20.0, loop=False)
    assert wait_for(lambda: 'has ended' in node.log.read_text())
    assert node.poll() is None


@pytest.mark.parametrize(('path', 'said'), [('absent', 'there is no'), ('.', 'dataset folder')])
def test_a_wrong_path_is_refused_with_what_is_valid(start_node, path: str, said: str) -> None:
    node = start_node('camera', path=path)
    assert node.wait(timeout=60) != 0
    assert said in node.log.read_text()


def test_without_a_device_it_waits_and_says_so(ros, wait_for, start_node) -> None:
    problems: list[str] = []

    def store(message: DiagnosticArray) -> None:
        problems.extend(s.message for s in message.status if s.name.startswith('camera'))

    ros.create_subscription(DiagnosticArray, '/diagnostics', store, 10)
    node = start_node('camera')
    assert wait_for(lambda: any('RealSense' in p or 'pyrealsense2' in p for p in problems))
    assert node.poll() is None
    assert node.log.read_text().count('trying again') == 1  # throttled


def test_a_live_device_is_sent_in_millimetres_and_waited_for_when_it_is_gone(
    ros, wait_for, software_camera, monkeypatch
) -> None:
    from insegan_ros.data.realsense import CameraError
    from insegan_ros.nodes import camera as module

    plugged: list = [software_camera()]

    def find_device(serial: str):
        if not plugged:
            raise CameraError('no RealSense device is connected')
        return plugged[0].device

    monkeypatch.setattr(module, 'find_device', find_device)
    monkeypatch.setattr(module, 'RETRY_S', 0.05)
    images: list[Image] = []
    ros.create_subscription(Image, 'depth/image', images.append, qos_profile_sensor_data)
    node = module.CameraNode()
    node.trigger_configure()
    node.trigger_activate()

    def sends() -> bool:
        """Whether the plugged device's frames arrive, as millimetres."""
        before = len(images)
        sender = threading.Thread(target=plugged[0].send, args=(40,))
        sender.start()
        arrived = wait_for(lambda: len(images) > before + 3)
        sender.join()
        return arrived and all(500 <= mm <= 520 for mm in first_pixels(images)[before:])

    try:
        assert sends()
        plugged.clear()  # pulled out
        assert wait_for(lambda: 'no RealSense' in node._publisher.problem)
        plugged.append(software_camera())  # and back again
        assert wait_for(lambda: not node._publisher.problem)
        assert sends()
    finally:
        node.trigger_shutdown()
        node.destroy_node()


@pytest.fixture
def live(ros, software_camera, monkeypatch):
    """live(...) makes a camera node of these parameters in this process, and its device."""
    from rclpy.parameter import Parameter

    from insegan_ros.nodes import camera as module

    software = software_camera(finer=True)
    monkeypatch.setattr(module, 'find_device', lambda serial: software.device)
    monkeypatch.setattr(module, 'RETRY_S', 0.05)
    nodes = []

    def make(**parameters: object):
        node = module.CameraNode()
        node.set_parameters([Parameter(name, value=v) for name, v in parameters.items()])
        node.trigger_configure()
        node.trigger_activate()
        nodes.append(node)
        return node, software

    yield make
    for node in nodes:
        node.trigger_shutdown()
        node.destroy_node()


def received_size(ros, wait_for, software, size: tuple[int, int]) -> Image | None:
    """The first image of this (height, width) among those of some seconds."""
    images: list[Image] = []
    subscription = ros.create_subscription(
        Image, 'depth/image', images.append, qos_profile_sensor_data
    )
    sender = threading.Thread(target=software.send, args=(60,))
    sender.start()
    fitting = lambda: [m for m in images if (m.height, m.width) == size]  # noqa: E731
    wait_for(lambda: bool(fitting()), seconds=20.0)
    sender.join()
    ros.destroy_subscription(subscription)
    return next(iter(fitting()), None)


def test_settings_of_a_device_change_while_it_runs(ros, wait_for, live) -> None:
    from rclpy.parameter import Parameter

    node, software = live(depth_units=1e-4, encoding='32FC1')
    image = received_size(ros, wait_for, software, (480, 848))
    assert image is not None
    metres = np.frombuffer(image.data, '<f4')[0]
    assert 0.0999 < metres < 0.1061  # 1000 and some units of 0.1 mm
    (done,) = node.set_parameters([Parameter('decimation', value=2)])
    assert done.successful
    assert received_size(ros, wait_for, software, (240, 424)) is not None


def test_settings_that_cannot_be_are_refused_with_those_that_can(live) -> None:
    from rclpy.parameter import Parameter

    node, _ = live()
    for name, value, said in (
        ('preset', 'sharp', "'high_accuracy'"),
        ('hole_filling', 'everything', "'nearest'"),
        ('encoding', 'mono8', 'unconfigured'),
        ('path', '/elsewhere', 'unconfigured'),
    ):
        (done,) = node.set_parameters([Parameter(name, value=value)])
        assert not done.successful
        assert said in done.reason
        assert node.get_parameter(name).value != value


@pytest.mark.parametrize(
    ('name', 'value', 'said'),
    [
        ('emitter', 'maybe', "'auto'"),
        ('emitter', 'on', 'enabled, disabled or auto'),  # YAML's word for true
        ('decimation', 9, 'Max: 8'),
    ],
)
def test_a_wrong_setting_at_the_start_is_told_with_the_valid_ones(
    start_node, name: str, value: object, said: str
) -> None:
    node = start_node('camera', **{name: value})
    assert node.wait(timeout=60) == 1
    assert said in node.log.read_text()
    assert 'Traceback' not in node.log.read_text()


def test_what_the_device_lacks_is_on_diagnostics_and_images_come(ros, wait_for, live) -> None:
    node, software = live(preset='high_density')
    assert received_size(ros, wait_for, software, (480, 848)) is not None
    assert 'preset high_density is ignored' in node._publisher.problem


def test_a_node_that_was_cleaned_up_can_be_configured_again(ros, wait_for, dataset: Path) -> None:
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    from insegan_ros.nodes.camera import CameraNode

    node, done = CameraNode(), TransitionCallbackReturn.SUCCESS
    try:
        for path in (dataset, dataset.parent / 'elsewhere', dataset):
            node.set_parameters([Parameter('path', value=str(path))])
            expected = done if path == dataset else TransitionCallbackReturn.FAILURE
            assert node.trigger_configure() == expected
            if expected == done:
                assert node.trigger_activate() == done
                assert ros.count_publishers('depth/image') <= 1
                assert node.trigger_deactivate() == done
                assert node.trigger_cleanup() == done
    finally:
        node.trigger_shutdown()
        node.destroy_node()
