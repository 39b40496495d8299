"""How a topic's messages are delivered, and how a user overrides that by parameters.

As everywhere in ROS 2 a parameter is `qos_overrides.<topic>.<publisher or subscription>.<policy>`,
given at the start; the topic has the name that it has after all remappings.
"""

from __future__ import annotations

from typing import Any

from rclpy.qos import QoSPolicyKind, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


def overridable(**policies: Any) -> dict[str, Any]:
    """For create_publisher and create_subscription: these policies, unless a user has others.

    The profile is new each time, because rclpy writes the overrides of a topic into it.
    """
    return {
        'qos_profile': QoSProfile(**policies),
        'qos_overriding_options': QoSOverridingOptions(POLICIES),
    }
