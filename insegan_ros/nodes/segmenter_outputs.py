"""The segmenter's topics: what each of them says, and that only what is heard is made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from geometry_msgs.msg import PoseArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from insegan_ros.nodes import messages
from insegan_ros.nodes.lifecycle import in_words
from insegan_ros.nodes.picking import ToMessage
from insegan_ros.nodes.qos import overridable
from insegan_ros.types import DepthFrame, Segmentation

# topic: its type, and what makes a message of (frame, segmentation, header)
TOPICS: dict[str, tuple[type, ToMessage]] = {
    '~/label_image': (Image, lambda _, s, h: messages.label_image(s, h)),
    '~/classes': (Image, lambda _, s, h: messages.classes(s, h)),
    '~/instance_masks': (Image, lambda _, s, h: messages.instance_masks(s, h)),
    '~/instance_depths': (Image, lambda _, s, h: messages.instance_depths(s, h)),
    '~/rendered_depth': (Image, lambda _, s, h: messages.rendered_depth(s, h)),
    '~/points': (PointCloud2, messages.points),
    '~/poses': (PoseArray, lambda _, s, h: messages.poses(s, h)),
    '~/overlay': (Image, messages.overlay_image),
}
# one image for each instance in one message: bytes a pixel
STACKED = {'~/instance_masks': 1, '~/instance_depths': 4}
LARGE = 4_000_000  # bytes of a message that fill buffers
DRAINED_PER_S = 1e9  # bytes that a receiver on the same computer takes
POSED = ('~/poses', '~/instance_depths', '~/rendered_depth')  # better with 6-DoF poses


class SegmenterOutputs:
    """A publisher a topic."""

    def __init__(self, node: LifecycleNode, picking: Mapping[str, tuple[type, ToMessage]]) -> None:
        """`picking`: more topics, all of which are better with 6-DoF poses."""
        self._node = node
        self._publishers: dict[str, tuple[Any, ToMessage]] = {
            name: (node.create_lifecycle_publisher(kind, name, **overridable(depth=1)), make)
            for name, (kind, make) in {**TOPICS, **picking}.items()
        }
        self._posed = {*POSED, *picking}

    def heard(self, *, posed: bool = False) -> bool:
        """Whether anybody listens; `posed`: to a topic that is better with 6-DoF poses."""
        return any(
            publisher.get_subscription_count() > 0
            for name, (publisher, _) in self._publishers.items()
            if not posed or name in self._posed
        )

    def publish(
        self, frame: DepthFrame, found: Segmentation, header: Header, *, stack_mb: float
    ) -> list[str]:
        """On every topic that is heard; why some could not be, in words.

        stack_mb: a message with an image for each instance holds those of the best, up to it.
        """
        problems = []
        for name, (publisher, make) in self._publishers.items():
            try:
                if publisher.get_subscription_count():
                    shown = found.best(stacked(name, found, stack_mb))
                    message = make(frame, shown, header)
                    publisher.publish(message)
                    time.sleep(drained_s(len(getattr(message, 'data', ()))))
            except Exception as error:  # of one output: the others are still good
                problems.append(f'{publisher.topic_name} is not published: {in_words(error)}')
        return problems

    def shortened(self, found: Segmentation, stack_mb: float) -> list[str]:
        """Which topics that are heard do not hold all instances, in words."""
        return [
            f'{publisher.topic_name} holds the best {most} of {found.count} instances: a message '
            f'has at most {stack_mb:g} MB (max_stack_mb)'
            for name, (publisher, _) in self._publishers.items()
            if (most := stacked(name, found, stack_mb)) < found.count
            and publisher.get_subscription_count()
        ]

    def send(self, topic: str, message: Any) -> None:
        """A message that belongs to no frame."""
        self._publishers[topic][0].publish(message)

    def close(self) -> None:
        """Undo the constructor, so that the node can be configured again."""
        for publisher, _ in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)


def drained_s(size: int) -> float:
    """How long to wait after a message of so many bytes, so that receivers keep up.

    What comes right behind tens of megabytes overflows their sockets' buffers, and is sent again
    only with the next heartbeat, seconds later: an answer of ~/segment, for example.
    """
    return size / DRAINED_PER_S if size > LARGE else 0.0


def stacked(topic: str, found: Segmentation, stack_mb: float) -> int:
    """How many instances this topic's message holds: all, where it has no image for each."""
    if topic not in STACKED:
        return found.count
    each = STACKED[topic] * found.labels.size
    return min(found.count, max(int(1e6 * stack_mb / each), 1))
