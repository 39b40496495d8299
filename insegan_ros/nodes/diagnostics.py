"""What a node says of itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node


def diagnostics(
    node: Node,
    what: str,
    message: str,
    *,
    values: Mapping[str, object],
    level: bytes = DiagnosticStatus.OK,
    hardware_id: str = '',
) -> DiagnosticArray:
    """One status, named `<namespace>/<node>: <what>`, stamped now."""
    name = node.get_fully_qualified_name().strip('/')
    status = DiagnosticStatus(
        level=level,
        name=f'{name}: {what}',
        message=message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = node.get_clock().now().to_msg()
    return array
