"""The segmenter answers every good frame and no bad message ends it."""

from __future__ import annotations

import os
import signal
import threading
import time
from array import array
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.nodes import segmenter
from insegan_ros.nodes.depth_publisher import to_camera_info, to_image
from insegan_ros.nodes.lifecycle import autostart
from insegan_ros.nodes.segmenter import SegmenterNode, make_segmenter
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation

CAMERA = Intrinsics(64, 48, 60.0, 60.0, 32.0, 24.0)


class NearIsPart:
    """A Segmenter whose answer is known: what is nearer than half a metre is one part."""

    delay_s = 0.0

    def segment(self, frame: DepthFrame) -> Segmentation:
        time.sleep(self.delay_s)
        with np.errstate(invalid='ignore'):
            return segmentation_from_labels(frame, (frame.depth_m < 0.5).astype(np.uint8))


class Bench:
    """The node in a thread of its own, a camera and a listener in the test's."""

    def __init__(self) -> None:
        self.method = NearIsPart()
        self.node = SegmenterNode(self._make)
        assert autostart(self.node)
        self.user = rclpy.create_node(f'user_{os.getpid()}')
        self.images = self.user.create_publisher(Image, 'depth/image', 1)
        self.infos = self.user.create_publisher(CameraInfo, 'depth/camera_info', 1)
        self.labels: list[Image] = []
        self.user.create_subscription(
            Image, 'segmenter/label_image', self.labels.append, QoSProfile(depth=50)
        )
        self.status: dict[str, str] = {}
        self.user.create_subscription(DiagnosticArray, '/diagnostics', self._on_status, 10)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.user)
        self.node_executor = SingleThreadedExecutor()
        self.node_executor.add_node(self.node)
        self.thread = threading.Thread(target=self.node_executor.spin)
        self.thread.start()
        self.stamp_ns = 10**12
        assert self.spin_until(
            lambda: self.images.get_subscription_count() and self.infos.get_subscription_count()
        )
        # and the node knows of its listener
        assert self.spin_until(lambda: self.node.count_subscribers('segmenter/label_image') == 1)

    def _make(self, given: dict) -> NearIsPart:
        make_segmenter(given)  # refuses what the real one refuses
        return self.method

    def _on_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'segmenter: segmentation':
                self.status = {v.key: v.value for v in status.values} | {'message': status.message}

    def spin_until(self, condition: Callable[[], object], seconds: float = 8.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)
        return bool(condition())

    def depth(self, near_columns: int = 10) -> np.ndarray:
        depth = np.full((48, 64), 600, np.uint16)
        depth[10:30, 5 : 5 + near_columns] = 450
        return depth

    def send(self, image: Image | None = None, info: CameraInfo | None = None) -> int:
        """Send a pair with a fresh stamp; returns the stamp in nanoseconds."""
        self.stamp_ns += 33_000_000
        image = to_image(self.depth()) if image is None else image
        info = to_camera_info(CAMERA) if info is None else info
        for message in (image, info):
            message.header.frame_id = 'optical'
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(self.stamp_ns, 10**9)
        self.infos.publish(info)
        self.images.publish(image)
        return self.stamp_ns

    def answered(self, stamp: int) -> bool:
        return any(stamp_of(m) == stamp for m in list(self.labels))

    def segments_correctly(self) -> bool:
        """A good frame sent now is answered with the right labels."""
        stamp = self.send()
        if not self.spin_until(lambda: self.answered(stamp)):
            return False
        message = next(m for m in self.labels if stamp_of(m) == stamp)
        labels = np.frombuffer(message.data, '<u2').reshape(48, 64)
        return bool(np.array_equal(labels > 0, self.depth() == 450))

    def close(self) -> None:
        self.node_executor.shutdown()
        self.thread.join()
        self.node.trigger_shutdown()
        self.executor.shutdown()
        self.node.destroy_node()
        self.user.destroy_node()


def stamp_of(message: Image) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture
def bench(ros_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(segmenter, 'REPORT_S', 0.1)
    monkeypatch.setattr(segmenter, 'SILENT_S', 0.5)
    rclpy.init()
    made = Bench()
    yield made
    made.close()
    rclpy.try_shutdown()


def test_labels_carry_the_stamp_and_frame_of_their_image(bench: Bench) -> None:
    assert bench.segments_correctly()
    assert bench.labels[-1].header.frame_id == 'optical'
    assert bench.labels[-1].encoding == 'mono16'


def changed(**changes: object) -> Image:
    image = to_image(np.full((48, 64), 600, np.uint16))
    for key, value in changes.items():
        setattr(image, key, value)
    return image


def big_endian() -> Image:
    image = to_image(np.full((48, 64), 600, np.uint16).byteswap())
    image.is_bigendian = 1
    return image


def padded() -> Image:
    rows = np.full((48, 64), 600, np.uint16).view(np.uint8).reshape(48, 128)
    image = changed(step=140)
    image.data = array('B', np.pad(rows, ((0, 0), (0, 12))).tobytes())
    return image


def floats(value: float) -> Image:
    image = changed(encoding='32FC1', step=256)
    image.data = array('B', np.full((48, 64), value, np.float32).tobytes())
    return image


@pytest.mark.parametrize(
    ('image', 'reason'),
    [
        (changed(encoding='rgb8'), "encoding is 'rgb8'"),
        (changed(data=array('B', [0] * 100)), 'carries 100 bytes'),
        (changed(height=40), 'the depth image is 64 x 40 px'),
        (to_image(np.full((60, 80), 600, np.uint16)), 'camera_info is for 64 x 48'),
        (to_image(np.zeros((48, 64), np.uint16)), 'no pixel is measured'),
        (floats(np.nan), 'no pixel is measured'),
        (floats(np.inf), 'no pixel is measured'),
        (floats(550.0), 'millimetres published as 32FC1'),
        (to_image(np.full((48, 64), 1, np.uint16)), 'metres published as millimetres'),
    ],
    ids=[
        'unknown encoding',
        'wrong length',
        'wrong height',
        'another size',
        'all zero',
        'all NaN',
        'all infinite',
        'millimetres as metres',
        'metres as millimetres',
    ],
)
def test_a_bad_image_is_named_and_the_next_good_one_segmented(
    bench: Bench, image: Image, reason: str
) -> None:
    bench.send(image)
    assert bench.spin_until(lambda: reason in bench.status.get('last error', '')), bench.status
    assert bench.segments_correctly()


def test_a_warning_is_not_repeated_for_every_frame(
    bench: Bench, capfd: pytest.CaptureFixture
) -> None:
    for k in range(1, 21):
        bench.send(changed(encoding='rgb8'))
        assert bench.spin_until(lambda: bench.node._failed == k)  # noqa: B023
    assert capfd.readouterr().err.count("encoding is 'rgb8'; valid: 16UC1") == 1
    assert bench.segments_correctly()


def test_impossible_depth_is_suspected_even_where_the_method_fails_on_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: DepthFrame) -> Segmentation:
        raise ValueError('no floor')

    with monkeypatch.context() as patch:
        patch.setattr(bench.method, 'segment', fail)
        bench.send(to_image(np.full((48, 64), 1, np.uint16)))
        expected = 'metres published as millimetres? (ValueError: no floor)'
        assert bench.spin_until(lambda: expected in bench.status.get('last error', ''))
    assert bench.segments_correctly()


def test_a_fixed_parameter_changes_once_the_node_is_cleaned_up(bench: Bench) -> None:
    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    assert bench.node.set_parameters([Parameter('slop', value=0.5)])[0].successful
    assert autostart(bench.node)
    assert bench.spin_until(lambda: bench.node.count_subscribers('segmenter/label_image'))
    assert bench.spin_until(bench.images.get_subscription_count)
    assert bench.spin_until(bench.infos.get_subscription_count)
    assert bench.segments_correctly()


@pytest.mark.parametrize('image', [big_endian(), padded(), floats(0.6)])
def test_every_valid_layout_is_read(bench: Bench, image: Image) -> None:
    stamp = bench.send(image)
    assert bench.spin_until(lambda: bench.answered(stamp))
    assert bench.segments_correctly()


def test_the_size_may_change_in_mid_stream(bench: Bench) -> None:
    assert bench.segments_correctly()
    larger = Intrinsics(80, 60, 60.0, 60.0, 40.0, 30.0)
    stamp = bench.send(to_image(np.full((60, 80), 600, np.uint16)), to_camera_info(larger))
    assert bench.spin_until(lambda: bench.answered(stamp))
    assert bench.segments_correctly()


def test_a_camera_without_focal_length_is_named(bench: Bench) -> None:
    bench.send(info=CameraInfo(width=64, height=48))
    assert bench.spin_until(lambda: 'calibrated' in bench.status.get('last error', ''))
    assert bench.segments_correctly()


def test_a_missing_camera_info_is_named_with_its_topic(bench: Bench) -> None:
    bench.user.destroy_publisher(bench.infos)

    def images_alone() -> bool:
        bench.images.publish(to_image(bench.depth()))
        time.sleep(0.02)
        return 'nobody publishes /depth/camera_info' in bench.status.get('message', '')

    assert bench.spin_until(images_alone), bench.status
    bench.infos = bench.user.create_publisher(CameraInfo, 'depth/camera_info', 1)
    assert bench.spin_until(bench.infos.get_subscription_count)
    assert bench.segments_correctly()


def test_a_silent_camera_is_named_with_its_topic(bench: Bench) -> None:
    assert bench.spin_until(
        lambda: 'nothing arrives on /depth/image' in bench.status.get('message', '')
    )
    assert bench.segments_correctly()


def test_stamps_that_go_backwards_are_answered(bench: Bench) -> None:
    assert bench.segments_correctly()
    bench.stamp_ns -= 10**11
    assert bench.segments_correctly()


def test_a_method_that_raises_is_said_and_survived(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: DepthFrame) -> Segmentation:
        raise RuntimeError('out of luck')

    with monkeypatch.context() as patch:
        patch.setattr(bench.method, 'segment', fail)
        bench.send()
        assert bench.spin_until(lambda: 'out of luck' in bench.status.get('last error', ''))
    assert bench.segments_correctly()


def test_an_empty_bin_gives_an_answer_without_instances(bench: Bench) -> None:
    stamp = bench.send(to_image(np.full((48, 64), 600, np.uint16)))
    assert bench.spin_until(lambda: bench.answered(stamp))
    assert not any(bench.labels[-1].data)


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('method', 'kmean', 'valid: kmeans, spectral'),
        ('model', '/no/such/model', "no model '/no/such/model'"),
        ('instances', 300, 'range'),
        ('bin_file', '/no/such/bin.yaml', 'no configuration file'),
        ('slop', 0.5, 'while the node is unconfigured'),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_the_reason(
    bench: Bench, name: str, value: object, reason: str
) -> None:
    result = bench.node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert reason in result.reason
    assert bench.segments_correctly()


def test_the_method_changes_while_it_runs(bench: Bench) -> None:
    result = bench.node.set_parameters([Parameter('method', value='felzenszwalb')])[0]
    assert result.successful
    assert bench.segments_correctly()
    assert bench.spin_until(lambda: bench.status.get('method') == 'felzenszwalb')


def test_a_busy_node_answers_the_newest_of_1000_frames_and_counts_the_dropped(
    bench: Bench,
) -> None:
    bench.method.delay_s = 0.05
    process = psutil.Process()
    assert bench.segments_correctly()
    before = process.memory_info().rss
    start = time.monotonic()
    for k in range(1000):
        last = bench.send()
        time.sleep(max(0.0, start + k / 200 - time.monotonic()))
    assert bench.spin_until(lambda: bench.answered(last))
    assert process.memory_info().rss - before < 20e6
    received = bench.node._pairs
    assert bench.spin_until(lambda: int(bench.status['segmented']) == bench.node._segmented)
    figures = {k: int(bench.status[k]) for k in ('received', 'segmented', 'dropped', 'failed')}
    assert figures['received'] == received > 500
    assert figures['received'] == figures['segmented'] + figures['dropped']
    assert figures['dropped'] > figures['segmented']


def test_a_trigger_segments_one_frame_where_nothing_is_continuous(bench: Bench) -> None:
    bench.node.set_parameters([Parameter('continuous', value=False)])
    client = bench.user.create_client(Trigger, 'segmenter/segment')
    assert bench.spin_until(client.service_is_ready)

    def call() -> Trigger.Response:
        future = client.call_async(Trigger.Request())
        assert bench.spin_until(future.done)
        return future.result()

    assert not call().success
    stamp = bench.send()
    bench.spin_until(lambda: bench.node._newest is not None)
    bench.spin_until(lambda: False, seconds=0.2)
    assert not bench.answered(stamp)
    answer = call()
    assert (answer.success, answer.message) == (True, '1 instances')
    assert bench.spin_until(lambda: bench.answered(stamp))


def test_nothing_is_computed_without_a_listener(bench: Bench) -> None:
    for subscription in list(bench.user.subscriptions):
        if subscription.topic_name.endswith('label_image'):
            bench.user.destroy_subscription(subscription)
    assert bench.spin_until(lambda: not bench.node.count_subscribers('segmenter/label_image'))
    calls = []
    bench.method.segment = calls.append  # type: ignore[method-assign]
    bench.send()
    bench.spin_until(lambda: bench.status.get('received') == '1')
    assert calls == []


def test_a_subscriber_that_never_reads_does_not_hold_the_node_up(bench: Bench) -> None:
    deaf = rclpy.create_node('deaf')
    deaf.create_subscription(
        Image, 'segmenter/instance_depths', lambda _: None, qos_profile_sensor_data
    )
    assert bench.spin_until(lambda: bench.node.count_subscribers('segmenter/instance_depths'))
    assert all(bench.segments_correctly() for _ in range(5))
    deaf.destroy_node()


def answers(process, bench: Bench, topic: str) -> bool:
    """Feed the process until it answers on the topic."""
    answered: list[Image] = []
    bench.user.create_subscription(Image, topic, answered.append, 1)

    def feed() -> bool:
        bench.send()
        time.sleep(0.02)
        return bool(answered) or process.poll() is not None

    return bench.spin_until(feed, seconds=30) and process.poll() is None


def test_an_interrupt_amid_frames_ends_it_cleanly(start_node: Callable, bench: Bench) -> None:
    process = start_node('segmenter', '-r', '__node:=other')
    assert answers(process, bench, 'other/overlay'), process.log.read_text()
    bench.send()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    assert 'Traceback' not in process.log.read_text()


@pytest.mark.parametrize('moment_s', [0.2, 1.0])
def test_an_interrupt_while_it_starts_ends_it(start_node: Callable, moment_s: float) -> None:
    process = start_node('segmenter')
    time.sleep(moment_s)
    process.send_signal(signal.SIGINT)
    code = process.wait(timeout=20)
    # until Python has come to the node's own code, the interrupt is Python's
    assert code == 0 or 'KeyboardInterrupt' in process.log.read_text() or code == -signal.SIGINT
