"""What the segmenter says of its own health, and that it ends what takes too long."""

from __future__ import annotations

import functools
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from segmenter_bench import Bench
from sensor_msgs.msg import Image

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.deadline import check_time
from insegan_ros.nodes import memory
from insegan_ros.nodes.diagnostics import diagnostics
from insegan_ros.nodes.messages import to_image
from insegan_ros.nodes.segmenter_parameters import PARAMETERS, ignored
from insegan_ros.types import DepthFrame, Segmentation


def test_stamps_of_zero_or_of_the_future_give_no_absurd_latency(bench: Bench) -> None:
    for stamp_ns in (0, 2 * 10**18):
        bench.stamp_ns = stamp_ns - 33_000_000
        before = bench.node._progress.segmented
        bench.send()
        assert bench.spin_until(lambda: bench.node._progress.segmented > before)  # noqa: B023
        assert bench.spin_until(lambda: 'arrival' in bench.status.get('latency since', ''))
        assert 0 <= float(bench.status['latency p95 (ms)']) < 60_000


def test_health_is_an_error_while_frames_fail_and_none_once_they_do_not(
    bench: Bench,
) -> None:
    bench.method.failure = RuntimeError('out of luck')
    bench.send()
    assert bench.spin_until(lambda: bench.level == DiagnosticStatus.ERROR)
    bench.method.failure = None
    assert bench.spin_until(lambda: bench.send() and bench.level == DiagnosticStatus.OK)
    assert bench.spin_until(lambda: bench.level == DiagnosticStatus.WARN)  # nothing comes now


def test_answers_that_come_too_late_are_a_warning(bench: Bench) -> None:
    bench.method.delay_s = 0.05
    bench.node.set_parameters([Parameter('max_latency', value=0.01)])
    warned = 'max_latency is 0.01 s'
    assert bench.spin_until(lambda: bench.send() and warned in bench.status.get('message', ''))
    assert bench.level == DiagnosticStatus.WARN


def test_an_output_that_fails_does_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths: list[Image] = []
    for name in ('instance_masks', 'instance_depths'):
        bench.user.create_subscription(Image, f'segmenter/{name}', depths.append, 5)
        assert bench.spin_until(lambda: bench.node.count_subscribers(f'segmenter/{name}'))  # noqa: B023

    def fail(*_: object) -> Image:
        raise RuntimeError('no such encoding')

    monkeypatch.setattr('insegan_ros.nodes.messages.instance_masks', fail)
    stamp = bench.send()
    assert bench.spin_until(lambda: bench.answered(stamp) and depths), bench.status
    assert depths[0].encoding == '32FC1'
    expected = 'instance_masks is not published: RuntimeError: no such encoding'
    assert bench.spin_until(lambda: expected in bench.status.get('message', '')), bench.status


def test_a_frame_that_takes_too_long_is_given_up_and_the_next_one_segmented(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(_: DepthFrame, **__: float) -> Segmentation:
        while True:
            check_time()
            time.sleep(0.01)

    with monkeypatch.context() as patch:
        patch.setattr(bench.method, 'segment', endless)
        bench.node.set_parameters([Parameter('max_seconds', value=0.2)])
        bench.send()
        expected = 'the frame was given up after 0.4 s'  # 0.2 of them for poses
        assert bench.spin_until(lambda: expected in bench.status.get('last error', ''))
    assert bench.segments_correctly()


def test_the_node_is_deactivated_amid_endless_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def endless(_: DepthFrame, **__: float) -> Segmentation:
        begun.set()
        while True:
            check_time()
            time.sleep(0.01)

    with monkeypatch.context() as patch:
        patch.setattr(bench.method, 'segment', endless)
        bench.node.set_parameters([Parameter('max_seconds', value=3600.0)])
        assert bench.spin_until(lambda: bench.send() and begun.is_set())
        assert bench.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert bench.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert bench.spin_until(bench.images.get_subscription_count)
    assert bench.segments_correctly()


def test_more_instances_than_a_bin_holds_are_cut_to_the_best_with_a_warning(bench: Bench) -> None:
    bench.node.set_parameters([Parameter('max_instances', value=1)])
    monochrome = np.full((48, 64), 600, np.uint16)
    bench.method.segment = lambda frame, **_: segmentation_from_labels(  # type: ignore[method-assign]
        frame, np.arange(48 * 64).reshape(48, 64) // 600
    )
    stamp = bench.send(to_image(monochrome))
    assert bench.spin_until(lambda: bench.answered(stamp)), bench.status
    assert set(bench.labels[-1].data[::2]) == {0, 1}
    assert bench.spin_until(lambda: 'instances were found' in bench.status.get('last error', ''))


def test_stacks_of_images_are_cut_to_the_best_instances_with_a_warning(bench: Bench) -> None:
    stacks: dict[str, Image] = {}
    for name in ('instance_masks', 'instance_depths'):
        hear = functools.partial(stacks.__setitem__, name)
        bench.user.create_subscription(Image, f'segmenter/{name}', hear, 5)
        assert bench.spin_until(lambda: bench.node.count_subscribers(f'segmenter/{name}'))  # noqa: B023
    bench.node.set_parameters([Parameter('max_stack_mb', value=1.0)])
    bench.method.segment = lambda frame, **_: segmentation_from_labels(  # type: ignore[method-assign]
        frame, np.arange(48 * 64).reshape(48, 64) // 32
    )
    stamp = bench.send(to_image(np.full((48, 64), 600, np.uint16)))
    assert bench.spin_until(lambda: bench.answered(stamp) and len(stacks) == 2), bench.status
    assert len(set(bench.labels[-1].data[::2])) == 96  # 95 instances and the background
    assert stacks['instance_masks'].encoding == '8UC95'  # 3 kB each
    assert stacks['instance_depths'].encoding == '32FC81'  # 12 kB each
    warned = 'instance_depths holds the best 81 of 95 instances'
    assert bench.spin_until(lambda: warned in bench.status.get('last error', ''))


def test_free_memory_goes_back_and_a_c_library_that_cannot_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    library = SimpleNamespace(malloc_trim=lambda kept: asked.append(kept.value))
    monkeypatch.setattr('ctypes.CDLL', lambda _: library)
    memory.give_back()
    assert asked == [0]
    monkeypatch.setattr('ctypes.CDLL', lambda _: SimpleNamespace())
    memory.give_back()


def test_a_parameter_that_is_not_the_nodes_own_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[object] = []
    monkeypatch.setattr(bench.node, 'change', changes.append)
    bench.node.declare_parameter('qos_overrides./x.subscription.depth', 3)
    assert changes == []
    bench.node.set_parameters([Parameter('max_latency', value=1.0)])
    assert len(changes) == 1


def test_an_exception_in_a_transition_is_said_with_what_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def fail(_: object) -> Segmentation:
        raise RuntimeError('a damaged library')

    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    monkeypatch.setattr(bench.node, '_make', fail)
    assert bench.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    said = capfd.readouterr().err
    assert 'configure failed: RuntimeError: a damaged library' in said
    assert '`ros2 lifecycle set /segmenter configure` tries again' in said


@pytest.mark.parametrize(
    ('parameters', 'said'),
    [
        ({'instances': 5, 'model': 'nut'}, 'instances = 5 is ignored'),
        ({'device': 'cuda:3', 'method': 'kmeans'}, 'device = cuda:3 is ignored'),
        ({'device': 'cuda:3'}, None),
        ({'instances': 5, 'method': 'kmeans'}, None),
        ({'model': 'nut', 'method': 'kmeans'}, 'model = nut is ignored'),
        ({'pose_seconds': 1.0}, 'poses get less'),
    ],
)
def test_what_has_no_effect_is_said(parameters: dict, said: str | None) -> None:
    found = ignored({one.name: one.default for one in PARAMETERS} | parameters)
    assert [said in one for one in found] == [True] if said else not found


def test_the_name_on_diagnostics_holds_the_namespace(bench: Bench) -> None:
    other = rclpy.create_node('segmenter', namespace='/cell_2')
    array = diagnostics(other, 'segmentation', '', values={})
    assert array.status[0].name == 'cell_2/segmenter: segmentation'
    other.destroy_node()
