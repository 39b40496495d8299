"""The segmenter answers every good frame, as its parameters say, and ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from geometry_msgs.msg import PoseArray
from lifecycle_msgs.msg import Transition as LifecycleTransition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter
from segmenter_bench import Bench, big_endian, floats, padded
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from insegan_ros.answer_time import FIRST_S
from insegan_ros.nodes.lifecycle import autostart
from insegan_ros.nodes.segmenter_parameters import PARAMETERS, segmenter_from_parameters


def test_labels_carry_the_stamp_and_frame_of_their_image(bench: Bench) -> None:
    assert bench.segments_correctly()
    assert bench.labels[-1].header.frame_id == 'optical'
    assert bench.labels[-1].encoding == 'mono16'


def test_a_fixed_parameter_changes_once_the_node_is_cleaned_up(bench: Bench) -> None:
    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    assert bench.node.set_parameters([Parameter('reliable', value=True)])[0].successful
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


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('method', 'kmean', 'valid: kmeans, spectral'),
        ('model', '/no/such/model', "no model '/no/such/model'"),
        ('instances', 300, 'range'),
        ('bin_file', '/no/such/bin.yaml', 'no configuration file'),
        ('reliable', True, 'while the node is unconfigured'),
        ('device', 'gpu', 'auto, cpu or cuda'),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_the_reason(
    bench: Bench, name: str, value: object, reason: str
) -> None:
    result = bench.node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert reason in result.reason
    assert bench.segments_correctly()


def is_a_model(given: dict) -> bool:
    made = type(segmenter_from_parameters(given))
    return made.__module__.startswith('insegan_ros.inference')


def test_without_a_word_it_is_the_model_any_by_launch_and_by_run_alike() -> None:
    default = {p.name: p.default for p in PARAMETERS}
    file = Path(__file__).parents[2] / 'config' / 'segmenter.yaml'
    launched = yaml.safe_load(file.read_text())['/**/segmenter']['ros__parameters']
    for given in (default, launched):
        assert (given['model'], given['method']) == ('any', '')
    assert is_a_model(default)


def test_a_method_goes_before_the_model_and_neither_is_refused() -> None:
    default = {p.name: p.default for p in PARAMETERS}
    assert not is_a_model(default | {'method': 'kmeans'})
    with pytest.raises(ValueError, match='neither a model nor a method'):
        segmenter_from_parameters(default | {'model': ''})


def test_a_node_that_is_up_says_so_and_what_it_hears(bench: Bench, capfd) -> None:
    bench.node.trigger_deactivate()
    bench.node.trigger_cleanup()
    capfd.readouterr()
    assert autostart(bench.node)
    said = capfd.readouterr().err
    assert '[INFO]' in said
    assert '/segmenter is up; it hears /depth/camera_info, /depth/image' in said


def test_the_method_changes_while_it_runs(bench: Bench) -> None:
    result = bench.node.set_parameters([Parameter('method', value='felzenszwalb')])[0]
    assert result.successful
    assert bench.segments_correctly()
    assert bench.spin_until(lambda: bench.status.get('method') == 'felzenszwalb')


def test_picks_without_a_bin_are_refused_in_words_and_the_node_goes_on(bench: Bench) -> None:
    client = bench.user.create_client(Trigger, 'segmenter/plan_picks')
    assert bench.spin_until(client.service_is_ready)
    assert bench.segments_correctly()
    future = client.call_async(Trigger.Request())
    assert bench.spin_until(future.done)
    assert not future.result().success
    assert 'no bin is known' in future.result().message
    assert bench.method.given_for_poses[-1] > 0
    assert bench.segments_correctly()


def test_a_defect_of_the_planner_is_answered_and_not_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise IndexError('out of bounds')

    monkeypatch.setattr(bench.node._picking, 'answer', fail)
    client = bench.user.create_client(Trigger, 'segmenter/plan_picks')
    assert client.wait_for_service(20.0)
    bench.send()
    assert bench.spin_until(lambda: bench.node._progress.pairs)
    future = client.call_async(Trigger.Request())
    assert bench.spin_until(future.done)
    assert not future.result().success
    assert future.result().message == 'IndexError: out of bounds'
    assert bench.spin_until(lambda: 'out of bounds' in bench.status.get('last error', ''))


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
    assert call().success
    first, second = bench.method.given_in_all
    assert second != first == pytest.approx(0.3 - FIRST_S)  # its own answers count, too


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


def test_poses_are_computed_only_while_somebody_listens_to_them(bench: Bench) -> None:
    assert bench.segments_correctly()
    assert set(bench.method.given_for_poses) == {0.0}
    listening = bench.user.create_subscription(PoseArray, 'segmenter/poses', [].append, 1)
    assert bench.spin_until(lambda: bench.node.count_subscribers('segmenter/poses'))
    assert bench.spin_until(lambda: bench.send() and bench.method.given_for_poses[-1] == 0.2)
    bench.user.destroy_subscription(listening)
    assert bench.spin_until(lambda: bench.send() and bench.method.given_for_poses[-1] == 0.0)


def test_a_frame_is_segmented_in_what_the_answers_before_left_of_the_time(bench: Bench) -> None:
    assert bench.segments_correctly()
    first = bench.method.given_in_all[0]
    assert first == pytest.approx(0.3 - FIRST_S)
    assert bench.node.set_parameters([Parameter('answer_seconds', value=7.0)])[0].successful
    assert bench.spin_until(lambda: bench.send() and bench.method.given_in_all[-1] > 1)
    assert first < bench.method.given_in_all[-1] < 7.0


def test_time_for_picks_is_set_aside_however_short_answers_without_them_are(bench: Bench) -> None:
    assert bench.node.set_parameters([Parameter('answer_seconds', value=7.0)])[0].successful
    assert bench.spin_until(lambda: bench.send() and bench.method.given_in_all[-1:] > [6.9])
    client = bench.user.create_client(Trigger, 'segmenter/plan_picks')
    assert bench.spin_until(client.service_is_ready)
    given = bench.method.given_in_all
    given.clear()
    future = client.call_async(Trigger.Request())
    assert bench.spin_until(future.done)
    assert min(given) == pytest.approx(7.0 - FIRST_S)


def answers(process, bench: Bench, topic: str) -> bool:
    """Feed the process until it answers on the topic."""
    answered: list[Image] = []
    bench.user.create_subscription(Image, topic, answered.append, 1)

    def feed() -> bool:
        bench.send()
        time.sleep(0.02)
        return bool(answered) or process.poll() is not None

    return bench.spin_until(feed, seconds=60) and process.poll() is None


def test_an_interrupt_amid_frames_ends_it_cleanly(start_node: Callable, bench: Bench) -> None:
    process = start_node('segmenter', '-r', '__node:=other', method='kmeans')
    assert answers(process, bench, 'other/overlay'), process.log.read_text()
    bench.send()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert 'Traceback' not in process.log.read_text()


@pytest.mark.parametrize('moment_s', [0.2, 1.0])
def test_an_interrupt_while_it_starts_ends_it(start_node: Callable, moment_s: float) -> None:
    process = start_node('segmenter', method='kmeans')
    time.sleep(moment_s)
    process.send_signal(signal.SIGINT)
    # until Python has come to the node's own code, the interrupt is Python's, and once in fifty
    # times an import swallows it; then it is sent again, as a user does
    try:
        code = process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
    # an import that the interrupt ended may also say that it could not be made
    ended_imports = ('KeyboardInterrupt', 'ImportError', 'PyCapsule_Import')
    said = process.log.read_text()
    assert code in (0, -signal.SIGINT) or any(word in said for word in ended_imports)


def test_a_lifecycle_shutdown_and_then_an_interrupt_end_it_cleanly(
    start_node: Callable, bench: Bench
) -> None:
    process = start_node('segmenter', '-r', '__node:=other', method='kmeans')
    client = bench.user.create_client(ChangeState, 'other/change_state')
    assert bench.spin_until(client.service_is_ready, seconds=40)
    assert answers(process, bench, 'other/overlay'), process.log.read_text()
    request = ChangeState.Request(
        transition=LifecycleTransition(id=LifecycleTransition.TRANSITION_ACTIVE_SHUTDOWN)
    )
    answer = client.call_async(request)
    assert bench.spin_until(answer.done, seconds=20)
    assert answer.result().success
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert 'Traceback' not in process.log.read_text()
