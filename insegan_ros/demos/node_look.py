"""A segmenter node that looks at frames for `evaluation.picking`: topics in, a service out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import rclpy
from geometry_msgs.msg import Point, PoseStamped
from numpy.typing import NDArray
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import QoSProfile
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from insegan_ros.camera import rigid
from insegan_ros.demos.processes import DemoError, NodeProcess
from insegan_ros.evaluation.picking import Sight
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.parts_bin import Bin
from insegan_ros.picks.pick import Cues, Pick
from insegan_ros.types import DepthFrame

START_S = 90.0  # importing torch from a cold disk takes a while
ANSWER_S = 20.0  # for one frame, on a busy machine
LABELS_S, AGAIN_S = 2.0, 0.2  # for a frame's labels after its picks; until it is sent again
FRAME = 'camera_depth_optical_frame'


class NodeLook:
    """Segments and plans in another process, which is sent a frame and asked for its picks."""

    def __init__(self, segmenter: NodeProcess) -> None:
        self._segmenter = segmenter
        self._node = Node('pick_demo')
        newest = QoSProfile(depth=1)
        self._images = self._node.create_publisher(Image, 'depth/image', newest)
        self._infos = self._node.create_publisher(CameraInfo, 'depth/camera_info', newest)
        self._failures = self._node.create_publisher(PoseStamped, 'segmenter/pick_failed', 10)
        self._planner: Client = self._node.create_client(Trigger, 'segmenter/plan_picks')
        self._told = 0  # of the picks that failed
        self._refused = ''  # why the node gave no picks last
        self._labels: Image | None = None
        self._node.create_subscription(Image, 'segmenter/label_image', self._keep, newest)

    def __enter__(self) -> NodeLook:
        return self

    def __exit__(self, *_: object) -> None:
        self._node.destroy_node()

    def __call__(
        self,
        frame: DepthFrame,
        parts_bin: Bin,  # noqa: ARG002
        left: int,  # noqa: ARG002
        *,
        failed: NDArray[np.floating],
    ) -> Sight:
        """As `evaluation.picking.Look`; the node has its bin from a file.

        Raises:
            DemoError: the segmenter died or did not answer.
        """
        for place in failed[self._told :]:
            message = PoseStamped(header=Header(frame_id=FRAME))
            message.pose.position = Point(**dict(zip('xyz', place.tolist(), strict=True)))
            self._failures.publish(message)
        self._told = len(failed)
        deadline = time.monotonic() + ANSWER_S
        if self._labels is None:
            deadline += START_S
        self._wait(self._planner.service_is_ready, deadline)
        while True:  # the frame may reach the node after the call for its picks
            header, began = self._sent(frame), time.perf_counter()
            answer = self._answer(deadline)
            self._refused = '' if answer.success else answer.message
            is_its = answer.success and json.loads(answer.message)['stamp'] == _stamp(header)
            # its labels may have been published before this node was known to listen
            if is_its and self._spun(partial(self._shown, header), time.monotonic() + LABELS_S):
                break
            self._spun(lambda: False, time.monotonic() + AGAIN_S)
            if time.monotonic() > deadline:
                raise self._silent()
        seconds = time.perf_counter() - began
        assert self._labels is not None  # or the wait has ended in an error
        labels = np.frombuffer(self._labels.data, np.uint16).reshape(frame.depth_m.shape)
        return Sight(labels=labels, picks=picks_of(answer.message), seconds=seconds)

    def _keep(self, labels: Image) -> None:
        self._labels = labels

    def _shown(self, header: Header) -> bool:
        return self._labels is not None and self._labels.header.stamp == header.stamp

    def _answer(self, deadline: float) -> Trigger.Response:
        asked = self._planner.call_async(Trigger.Request())
        self._wait(asked.done, deadline)
        return asked.result()

    def _wait(self, done: Callable[[], object], deadline: float) -> None:
        if not self._spun(done, deadline):
            raise self._silent()

    def _spun(self, done: Callable[[], object], until: float) -> bool:
        """Whether it was done by then, on the monotonic clock."""
        while not done():
            rclpy.spin_once(self._node, timeout_sec=0.05)
            self._segmenter.require_alive()
            if time.monotonic() > until:
                return False
        return True

    def _silent(self) -> DemoError:
        why = f' ({self._refused})' if self._refused else ''
        return DemoError(
            f'no picks within {ANSWER_S:g} s of a frame{why}; see {self._segmenter.log}'
        )

    def _sent(self, frame: DepthFrame) -> Header:
        header = Header(frame_id=FRAME)
        header.stamp.sec, header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        info = to_camera_info(frame.intrinsics)
        info.header = header
        self._infos.publish(info)
        self._images.publish(to_image(frame.depth_m, '32FC1', header))
        return header


def picks_of(answer: str) -> tuple[Pick, ...]:
    """The picks that ~/plan_picks gave and that wait for nothing; all if each waits."""
    given = json.loads(answer)['picks']
    return tuple(
        Pick(
            label=one['label'],
            kind=one['kind'],
            tool=one['tool'],
            pose=rigid(Rotation.from_quat(one['orientation']).as_matrix(), one['position']),
            chance=one['chance'],
            cues=Cues(**dict.fromkeys(Cues.names(), 0.0)),  # the answer has none
            width_m=one['width'],
        )
        for one in [one for one in given if not one['waits_for']] or given
    )


def _stamp(header: Header) -> dict[str, int]:
    return {'sec': header.stamp.sec, 'nanosec': header.stamp.nanosec}
