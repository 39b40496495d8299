"""Depth images, each with the camera_info that belongs to it, however often that is sent.

Drivers send camera_info with every image, before or after it, or once and latched (transient
local), or with stamps of their own. So an image takes the one of its own stamp where that is
there, else the newest of its frame and size; where none can be its own it waits for the next one,
which is then taken, and the conversion says what does not fit.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from insegan_ros.data.depth_messages import stamp_ns
from insegan_ros.nodes.qos import overridable

INFOS = 8  # remembered
LOOK_S = 0.5  # between two looks for a latched camera_info
COMPRESSED = ('/compressedDepth', '/compressed', '/zstd', '/theora', '/ffmpeg')


class DepthInput:
    """Subscribes to depth/image and depth/camera_info; `store` is given each pair at once."""

    def __init__(
        self, node: Node, store: Callable[[Image, CameraInfo], None], reliable: bool = False
    ) -> None:
        self._node, self._store = node, store
        self._infos: deque[CameraInfo] = deque(maxlen=INFOS)
        self._waiting: Image | None = None  # for the next camera_info
        self._images_before = 0
        self.images = 0
        best = QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
        hear = node.create_subscription
        self._heard = [
            hear(Image, 'depth/image', self._on_image, **overridable(depth=1, reliability=best)),
            hear(
                CameraInfo,
                'depth/camera_info',
                self._on_info,
                **overridable(depth=1, reliability=best),
            ),
        ]
        self.image_topic, self.info_topic = (heard.topic_name for heard in self._heard)
        self._looked = -math.inf  # when a latched camera_info was looked for last, s

    def close(self) -> None:
        """Undo the constructor."""
        for subscription in self._heard:
            self._node.destroy_subscription(subscription)

    def _on_image(self, image: Image) -> None:
        self.images += 1
        info = self._info_of(image)
        self._waiting = image if info is None else None
        if info is not None:
            self._store(image, info)
        elif not self._infos:
            self._hear_latched()

    def _hear_latched(self) -> None:
        """Ask for the camera_info that was sent before this node began, where one was kept.

        Only then: drivers that keep none complain of subscribers that ask for it.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_S or len(self._heard) > 2:
            return
        self._looked = now
        latched = QoSDurabilityPolicy.TRANSIENT_LOCAL
        offered = self._node.get_publishers_info_by_topic(self.info_topic)
        if any(publisher.qos_profile.durability == latched for publisher in offered):
            kept = QoSProfile(depth=1, durability=latched)
            hear = self._node.create_subscription
            self._heard.append(hear(CameraInfo, 'depth/camera_info', self._on_info, kept))

    def _on_info(self, info: CameraInfo) -> None:
        self._infos.append(info)
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._store(waiting, info)

    def _info_of(self, image: Image) -> CameraInfo | None:
        """The camera_info of this image; None: none that has come so far."""

        def own(info: CameraInfo) -> bool:
            return stamp_ns(image.header) > 0 and info.header.stamp == image.header.stamp

        def likeness(info: CameraInfo) -> tuple[bool, bool]:
            return own(info), bool(info.header.frame_id == image.header.frame_id)

        able = [info for info in self._infos if own(info) or may_be_of(info, image)]
        return max(reversed(able), key=likeness, default=None)  # of equals the newest

    def why_silent(self) -> str:
        """Why no pair comes, in words; called once a second or so, when none has come."""
        arrived, self._images_before = self.images != self._images_before, self.images
        if arrived and self._infos and self._waiting is not None:
            info, image = self._infos[-1], self._waiting
            return (
                f'the images on {self.image_topic} are {image.width} x {image.height} px, but '
                f'camera_info is for {info.width} x {info.height}'
            )
        if arrived:
            return (
                f'images arrive on {self.image_topic} but no camera_info has come on '
                f'{self.info_topic}'
                + ('' if self._publishers(self.info_topic) else ': nobody publishes it')
            )
        if self._publishers(self.image_topic):
            return (
                f'nothing arrives on {self.image_topic}, though it is published; is the camera '
                'paused, or the delivery (QoS) another than what is asked for?'
            )
        compressed = [f'{self.image_topic}{ending}' for ending in COMPRESSED]
        if there := [topic for topic in compressed if self._publishers(topic)]:
            return (
                f'only {there[0]} is published, and compressed images are not read; `ros2 run '
                f'image_transport republish` makes {self.image_topic} of it'
            )
        return f'nothing arrives on {self.image_topic}: nobody publishes it'

    def _publishers(self, topic: str) -> int:
        return self._node.count_publishers(topic)


def may_be_of(info: CameraInfo, image: Image) -> bool:
    """Whether the sizes agree, or only the conversion can decide: with ROI or binning."""
    windowed = info.roi.width or max(info.binning_x, info.binning_y) > 1
    return bool(windowed) or (info.width, info.height) == (image.width, image.height)
