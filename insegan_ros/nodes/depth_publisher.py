"""A depth camera's two topics, as realsense-ros publishes them: 16UC1 millimetres, camera_info."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from insegan_ros.nodes.diagnostics import diagnostics
from insegan_ros.nodes.messages import to_camera_info
from insegan_ros.nodes.qos import overridable
from insegan_ros.types import Intrinsics

# reliable, as realsense-ros: viewers that ask for it get images, sensor-data subscribers too
DEPTH = 2
QOS = QoSProfile(depth=DEPTH)


class DepthPublisher:
    """Publishes depth/image and depth/camera_info in pairs with one stamp, and counts them.

    /diagnostics says once a second how many were sent and what is wrong, if anything is.
    """

    def __init__(self, node: LifecycleNode, frame_id: str) -> None:
        self.frame_id = frame_id
        self.sent = 0
        self.problem = ''
        self._node = node
        self._reported = 0
        publish = node.create_lifecycle_publisher
        self._image = publish(Image, 'depth/image', **overridable(depth=DEPTH))
        self._info = publish(CameraInfo, 'depth/camera_info', **overridable(depth=DEPTH))
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._timer = node.create_timer(1.0, self._report)

    def close(self) -> None:
        """Undo the constructor, so that the node can be configured again."""
        self._node.destroy_timer(self._timer)
        for publisher in (self._image, self._info):
            self._node.destroy_lifecycle_publisher(publisher)
        self._node.destroy_publisher(self._diagnostics)

    def publish(self, image: Image, intrinsics: Intrinsics, stamp: Time) -> None:
        """Send an image from `messages.to_image` as taken at `stamp`."""
        image.header.stamp = stamp
        image.header.frame_id = self.frame_id
        info = to_camera_info(intrinsics)
        info.header = image.header
        self._info.publish(info)
        self._image.publish(image)
        self.sent += 1

    def _report(self) -> None:
        level = DiagnosticStatus.WARN if self.problem else DiagnosticStatus.OK
        figures = {'sent': self.sent, 'rate': self.sent - self._reported}
        message = diagnostics(
            self._node, 'depth', self.problem or 'sending', values=figures, level=level
        )
        self._diagnostics.publish(message)
        self._reported = self.sent
