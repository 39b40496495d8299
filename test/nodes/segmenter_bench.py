"""The segmenter node with a method whose answer is known, a camera and a listener."""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.nodes.lifecycle import autostart
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.nodes.segmenter import SegmenterNode
from insegan_ros.nodes.segmenter_parameters import LIVE, PARAMETERS, segmenter_from_parameters
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation

CAMERA = Intrinsics(64, 48, 60.0, 60.0, 32.0, 24.0)


class NearIsPart:
    """A Segmenter whose answer is known: what is nearer than half a metre is one part."""

    delay_s = 0.0
    failure: Exception | None = None  # what it raises

    def __init__(self) -> None:
        self.given_for_poses: list[float] = []  # seconds, a frame
        self.given_in_all: list[float] = []

    part_length_m = None
    parts_bin = None
    misfit = None

    def segment(
        self,
        frame: DepthFrame,
        *,
        pose_seconds: float = 0.0,
        answer_seconds: float = float('inf'),
    ) -> Segmentation:
        time.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure
        self.given_for_poses.append(pose_seconds)
        self.given_in_all.append(answer_seconds)
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
        self.level = b''
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
        if any(given[p.name] != p.default for p in PARAMETERS if p.name in LIVE):
            segmenter_from_parameters(given)  # refuses what the real one refuses
        return self.method

    def _on_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'segmenter: segmentation':
                self.level = status.level
                self.status = {v.key: v.value for v in status.values} | {'message': status.message}

    def spin_until(self, condition: Callable[[], object], seconds: float = 60.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)
        return bool(condition())

    def depth(self, near_columns: int = 10) -> np.ndarray:
        depth = np.full((48, 64), 600, np.uint16)
        depth[10:30, 5 : 5 + near_columns] = 450
        return depth

    def send(
        self,
        image: Image | None = None,
        info: CameraInfo | None = None,
        info_delay_ns: int = 0,
    ) -> int:
        """Send a pair with a fresh stamp; returns the stamp in nanoseconds."""
        self.stamp_ns += 33_000_000
        image = to_image(self.depth()) if image is None else image
        info = to_camera_info(CAMERA) if info is None else info
        for message, stamp in ((image, self.stamp_ns), (info, self.stamp_ns + info_delay_ns)):
            message.header.frame_id = 'optical'
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        self.infos.publish(info)
        self.images.publish(image)
        return self.stamp_ns

    def answered(self, stamp: int) -> bool:
        return any(stamp_of(m) == stamp for m in list(self.labels))

    def segments_correctly(self) -> bool:
        """A good frame sent now is answered with the right labels.

        Best-effort delivery may lose one, so it is sent again, as a camera would.
        """
        sent: list[int] = []
        for _ in range(12):
            sent.append(self.send())
            if self.spin_until(lambda: any(self.answered(stamp) for stamp in sent), seconds=4.0):
                break
        answers = [message for message in self.labels if stamp_of(message) in sent]
        if not answers:
            return False
        labels = np.frombuffer(answers[-1].data, '<u2').reshape(48, 64)
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
