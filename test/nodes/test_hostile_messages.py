"""Whatever messages say, the nodes answer or say why not, and answer the next good one."""

from __future__ import annotations

import contextlib
import math
from array import array
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from segmenter_bench import CAMERA, NearIsPart
from sensor_msgs.msg import CameraInfo, Image, JointState

from insegan_ros import baselines
from insegan_ros.nodes.camera_watch import CameraWatch
from insegan_ros.nodes.joints import JointMonitor
from insegan_ros.nodes.lifecycle import autostart
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.nodes.segmenter import Pair, SegmenterNode
from insegan_ros.types import Segmenter

EXAMPLES = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
sides = st.one_of(st.integers(0, 80), st.sampled_from([1, 2**16, 2**32 - 1]))
numbers = st.one_of(st.floats(width=64), st.sampled_from([0.0, math.nan, math.inf, -1.0, 1e300]))
encodings = st.sampled_from(['16UC1', 'mono16', '32FC1', '64FC1', 'rgb8', '8UC5', '', 'Ü'])


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Images that may contradict themselves; their data are all 0, noise or bytes of NaN."""
    message = Image(encoding=draw(encodings), is_bigendian=draw(st.integers(0, 1)))
    message.height, message.width = draw(sides), draw(sides)
    whole = message.width * draw(st.sampled_from([1, 2, 4, 8]))
    message.step = min(draw(st.sampled_from([whole, whole + 3, 0, 2**32 - 1])), 2**32 - 1)
    length = message.step * message.height
    length = length if length < 10**5 else 100
    fill = draw(st.sampled_from([b'\0', b'\xff', None]))
    seed = np.random.default_rng(draw(st.integers(0, 9)))
    message.data = array('B', seed.bytes(length) if fill is None else fill * length)
    message.header.frame_id = draw(st.sampled_from(['', 'optical', 'other']))
    message.header.stamp.sec = draw(st.integers(-(2**31), 2**31 - 1))
    return message


@st.composite
def infos(draw: st.DrawFn) -> CameraInfo:
    """Cameras with anything in their fields."""
    message = CameraInfo(width=draw(sides), height=draw(sides))
    message.k = draw(st.lists(numbers, min_size=9, max_size=9))
    message.p = draw(st.lists(numbers, min_size=12, max_size=12))
    message.d = draw(st.lists(numbers, max_size=6))
    message.distortion_model = draw(st.sampled_from(['', 'plumb_bob', 'equidistant', 'magic']))
    message.binning_x, message.binning_y = draw(sides), draw(sides)
    message.roi.width, message.roi.x_offset = draw(sides), draw(sides)
    message.header.stamp.sec = draw(st.integers(0, 3))
    return message


@pytest.fixture
def node(ros_environment: None) -> Iterator[SegmenterNode]:
    """A segmenter that nobody spins: messages are handed to it."""
    rclpy.init()
    made = SegmenterNode(lambda _: NearIsPart())
    assert autostart(made)
    yield made
    made.trigger_shutdown()
    made.destroy_node()
    rclpy.try_shutdown()


@EXAMPLES
@given(images(), infos())
def test_the_segmenter_survives_any_pair(
    node: SegmenterNode, image: Image, info: CameraInfo
) -> None:
    node._input._on_info(info)
    node._input._on_image(image)
    failed = node._progress.failed
    if node._segment(Pair(image, info)) is None:
        assert node._progress.failed > failed
        assert node._progress.last_error
    good = node._segment(Pair(to_image(np.full((48, 64), 450, np.uint16)), to_camera_info(CAMERA)))
    assert good is not None
    _, found = good
    assert found.count == 1


METHODS = {name: baselines.make(name) for name in ('kmeans', 'felzenszwalb', 'spectral')}


@pytest.mark.parametrize('name', METHODS)
@pytest.mark.parametrize('kind', ['zero', 'one pixel', 'noise', 'flat', 'far', 'one row'])
def test_every_method_answers_or_says_why_not(node: SegmenterNode, name: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    depth = {
        'zero': np.zeros((48, 64)),
        'one pixel': np.full((1, 1), 600),
        'noise': rng.integers(0, 65535, (48, 64)),
        'flat': np.full((48, 64), 600),
        'far': rng.integers(60000, 65535, (48, 64)),
        'one row': np.full((1, 64), 600),
    }[kind].astype(np.uint16)
    method: Segmenter = METHODS[name]
    node._segmenter = method
    height, width = depth.shape
    info = to_camera_info(CAMERA.crop(0, 0, width, height=height))
    if node._segment(Pair(to_image(depth), info)) is None:
        # in our own words, no library's
        assert 'FloorNotFoundError' in node._progress.last_error


@EXAMPLES
@given(images())
def test_the_collector_s_camera_survives_any_image(image: Image) -> None:
    watch = CameraWatch(0.02)
    watch.store(image, CameraInfo())
    with contextlib.suppress(ValueError):
        watch.look(1.0)
        return
    assert watch.age(1.0) == math.inf


@EXAMPLES
@given(
    st.lists(numbers, max_size=4),
    st.lists(numbers, max_size=4),
    st.lists(st.sampled_from(['a', 'b', 'c']), max_size=4),
    st.integers(0, 3),
)
def test_no_joint_state_that_is_not_finite_tells_of_rest(
    node: SegmenterNode, position: list, velocity: list, names: list, sec: int
) -> None:
    monitor = JointMonitor(node, ['a', 'b'])
    message = JointState(name=names, position=position, velocity=velocity)
    message.header.stamp.sec = sec
    for _ in range(5):
        monitor._store(message)  # again and again the same one
    monitor.close()
    assert not monitor.still
    assert monitor.positions is None or all(map(math.isfinite, monitor.positions))


def joint_states(
    node: SegmenterNode, positions: list[float], velocity: float, step_ms: int = 50
) -> JointMonitor:
    """A monitor that has heard positions of one joint, one after the other."""
    monitor = JointMonitor(node, ['a'])
    for k, position in enumerate(positions):
        message = JointState(name=['a'], position=[position], velocity=[velocity])
        stamp = 10**9 + k * step_ms * 10**6 if step_ms else 0
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        monitor._store(message)
    monitor.close()
    return monitor


@pytest.mark.parametrize(
    ('positions', 'velocity', 'step_ms', 'still'),
    [
        ([0.5] * 12, math.nan, 50, True),
        ([0.5] * 12, 0.0, 50, True),
        ([0.5] * 5, math.nan, 50, False),  # not for long enough
        ([0.5] * 12, math.nan, 0, False),  # nothing tells a message that is repeated
        ([0.5 + 0.002 * k for k in range(12)], math.nan, 50, False),
        ([0.5 + 0.002 * k for k in range(12)], 0.0, 50, False),  # whatever the velocity says
        ([0.5] * 12, 0.2, 50, False),
    ],
)
def test_rest_is_told_by_positions_and_by_velocities_where_there_are_any(
    node: SegmenterNode, positions: list, velocity: float, step_ms: int, still: bool
) -> None:
    assert joint_states(node, positions, velocity, step_ms).still == still


def test_an_unreported_velocity_is_that_of_the_positions(node: SegmenterNode) -> None:
    moving = joint_states(node, [0.1 * k for k in range(12)], math.nan)
    assert moving.velocities == pytest.approx((2.0,))
