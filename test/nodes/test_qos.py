"""Users override how messages are delivered, by the parameters that ROS 2 has for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy

from insegan_ros.nodes.depth_input import DepthInput
from insegan_ros.nodes.depth_publisher import DepthPublisher

IMAGE, INFO = 'qos_overrides./depth/image', 'qos_overrides./depth/camera_info'
RELIABLE, BEST = QoSReliabilityPolicy.RELIABLE, QoSReliabilityPolicy.BEST_EFFORT


@pytest.fixture(scope='module')
def node(ros_environment: None) -> Iterator[LifecycleNode]:
    overrides = {
        f'{IMAGE}.subscription.reliability': 'reliable',
        f'{IMAGE}.publisher.reliability': 'best_effort',
        f'{IMAGE}.publisher.depth': '7',
        f'{INFO}.publisher.durability': 'transient_local',
    }
    given = [word for name, value in overrides.items() for word in ('-p', f'{name}:={value}')]
    rclpy.init(args=['--ros-args', *given])
    made = LifecycleNode('overridden')
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def test_a_subscription_s_override_goes_before_its_default(node: LifecycleNode) -> None:
    heard = DepthInput(node, lambda image, info: None)
    profiles = {s.topic_name: s.qos_profile for s in node.subscriptions}
    assert profiles['/depth/image'].reliability == RELIABLE
    assert profiles['/depth/camera_info'].reliability == BEST  # the other topic keeps its own
    heard.close()


def test_a_publisher_s_overrides_go_before_its_defaults(node: LifecycleNode) -> None:
    for _ in range(2):  # also when the node is configured again
        sent = DepthPublisher(node, 'optical')
        profiles = {p.topic_name: p.qos_profile for p in node.publishers}
        image, info = profiles['/depth/image'], profiles['/depth/camera_info']
        assert (image.reliability, image.depth) == (BEST, 7)
        assert (info.reliability, info.durability, info.depth) == (
            RELIABLE,
            QoSDurabilityPolicy.TRANSIENT_LOCAL,
            2,
        )
        sent.close()
