"""No bad message, camera or method ends the segmenter: it says what is wrong and goes on."""

from __future__ import annotations

import threading
import time
from array import array
from dataclasses import replace

import numpy as np
import psutil
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, qos_profile_sensor_data
from segmenter_bench import CAMERA, Bench, changed, floats
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation


@pytest.mark.parametrize(
    ('image', 'reason'),
    [
        (changed(encoding='rgb8'), "encoding is 'rgb8'"),
        (changed(data=array('B', [0] * 100)), 'carries 100 bytes'),
        (changed(height=40), 'the depth image says 64 x 40'),
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
        assert bench.spin_until(lambda: bench.node._progress.failed == k)  # noqa: B023
    assert capfd.readouterr().err.count("encoding is 'rgb8'; valid: 16UC1") == 1
    assert bench.segments_correctly()


def test_impossible_depth_is_suspected_even_where_the_method_fails_on_it(
    bench: Bench,
) -> None:
    bench.method.failure = ValueError('no floor')
    bench.send(to_image(np.full((48, 64), 1, np.uint16)))
    expected = 'metres published as millimetres? (ValueError: no floor)'
    assert bench.spin_until(lambda: expected in bench.status.get('last error', ''))
    bench.method.failure = None
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
        said = bench.status.get('message', '')
        return 'no camera_info has come on /depth/camera_info: nobody publishes it' in said

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
    bench: Bench,
) -> None:
    bench.method.failure = RuntimeError('out of luck')
    bench.send()
    assert bench.spin_until(lambda: 'out of luck' in bench.status.get('last error', ''))
    bench.method.failure = None
    assert bench.segments_correctly()


def test_an_empty_bin_gives_an_answer_without_instances(bench: Bench) -> None:
    stamp = bench.send(to_image(np.full((48, 64), 600, np.uint16)))
    assert bench.spin_until(lambda: bench.answered(stamp))
    assert not any(bench.labels[-1].data)


def test_a_busy_node_answers_the_newest_of_many_frames_and_counts_the_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.segments_correctly()
    segment, free = bench.method.segment, threading.Event()

    def held(frame: DepthFrame, **given: float) -> Segmentation:
        free.wait()
        return segment(frame, **given)

    bench.node.set_parameters([Parameter('max_seconds', value=3600.0)])
    monkeypatch.setattr(bench.method, 'segment', held)
    process, progress = psutil.Process(), bench.node._progress
    before = process.memory_info().rss
    last = 0
    while progress.pairs < 600:
        last = bench.send()
        time.sleep(0.002)
    free.set()
    assert bench.spin_until(lambda: bench.answered(last))
    assert process.memory_info().rss - before < 20e6
    assert bench.spin_until(lambda: int(bench.status['segmented']) == progress.segmented)
    figures = {k: int(bench.status[k]) for k in ('received', 'segmented', 'dropped', 'failed')}
    assert figures['received'] == progress.pairs
    assert figures['received'] == figures['segmented'] + figures['dropped']
    assert figures['segmented'] < 10


def test_a_subscriber_that_never_reads_does_not_hold_the_node_up(bench: Bench) -> None:
    deaf = rclpy.create_node('deaf')
    deaf.create_subscription(
        Image, 'segmenter/instance_depths', lambda _: None, qos_profile_sensor_data
    )
    assert bench.spin_until(lambda: bench.node.count_subscribers('segmenter/instance_depths'))
    assert all(bench.segments_correctly() for _ in range(5))
    deaf.destroy_node()


def test_a_camera_info_of_another_stamp_serves_all_images(bench: Bench) -> None:
    for delay in (10**10, -(10**10)):
        stamp = bench.send(info_delay_ns=delay)
        assert bench.spin_until(lambda: bench.answered(stamp)), bench.status  # noqa: B023


def test_a_camera_info_that_was_sent_once_and_kept_serves_all_images(bench: Bench) -> None:
    bench.user.destroy_publisher(bench.infos)
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    infos = bench.user.create_publisher(CameraInfo, 'depth/camera_info', latched)
    infos.publish(to_camera_info(CAMERA))

    def images_alone() -> bool:
        image = to_image(bench.depth())
        image.header.stamp.sec = len(bench.labels) + 5
        bench.images.publish(image)
        time.sleep(0.02)
        return len(bench.labels) > 3

    assert bench.spin_until(images_alone), bench.status


def test_of_two_cameras_infos_on_one_topic_each_image_takes_its_own(bench: Bench) -> None:
    for frame_id in ('left', 'right', 'left'):
        for other in ('left', 'right'):
            info = to_camera_info(replace(CAMERA, fx=70.0) if other == 'right' else CAMERA)
            info.header.frame_id = other
            bench.node._input._on_info(info)
        image = to_image(bench.depth())
        image.header.frame_id = frame_id
        image.header.stamp.sec = 7
        assert bench.node._input._info_of(image).header.frame_id == frame_id


def test_of_a_compressed_topic_alone_it_is_said_what_to_do(bench: Bench) -> None:
    bench.user.destroy_publisher(bench.images)
    bench.user.create_publisher(CompressedImage, 'depth/image/compressedDepth', 1)
    expected = 'only /depth/image/compressedDepth is published'
    assert bench.spin_until(lambda: expected in bench.status.get('message', '')), bench.status
