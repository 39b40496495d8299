"""No bad message, camera or method ends the segmenter: it says what is wrong and goes on."""

from __future__ import annotations

import time
from array import array

import numpy as np
import psutil
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from rclpy.qos import qos_profile_sensor_data
from segmenter_bench import Bench, changed, floats
from sensor_msgs.msg import CameraInfo, Image

from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation


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
        assert bench.spin_until(lambda: bench.node._progress.failed == k)  # noqa: B023
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
    received = bench.node._progress.pairs
    assert bench.spin_until(
        lambda: int(bench.status['segmented']) == bench.node._progress.segmented
    )
    figures = {k: int(bench.status[k]) for k in ('received', 'segmented', 'dropped', 'failed')}
    assert figures['received'] == received > 500
    assert figures['received'] == figures['segmented'] + figures['dropped']
    assert figures['dropped'] > figures['segmented']


def test_a_subscriber_that_never_reads_does_not_hold_the_node_up(bench: Bench) -> None:
    deaf = rclpy.create_node('deaf')
    deaf.create_subscription(
        Image, 'segmenter/instance_depths', lambda _: None, qos_profile_sensor_data
    )
    assert bench.spin_until(lambda: bench.node.count_subscribers('segmenter/instance_depths'))
    assert all(bench.segments_correctly() for _ in range(5))
    deaf.destroy_node()


def test_a_camera_info_that_comes_late_is_named_with_its_topic(bench: Bench) -> None:
    def image_and_info_apart() -> bool:
        bench.send(info_delay_ns=10**10)
        time.sleep(0.02)
        return 'no camera_info on /depth/camera_info within 0.02 s' in bench.status['message']

    bench.spin_until(lambda: bench.status)
    assert bench.spin_until(image_and_info_apart), bench.status
    bench.stamp_ns += 10**11
    assert bench.segments_correctly()


def test_images_that_wait_for_their_pair_do_not_block_earlier_stamps(bench: Bench) -> None:
    for k in range(1, 9):
        bench.send(info_delay_ns=10**9)
        assert bench.spin_until(lambda: bench.node._progress.images == k)  # noqa: B023
    assert bench.node._progress.pairs == 0
    bench.stamp_ns -= 10**11
    assert bench.segments_correctly()
