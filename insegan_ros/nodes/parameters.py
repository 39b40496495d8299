"""A node's parameters as a table: declared with ranges and descriptions, documented from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node


@dataclass(frozen=True)
class Parameter:
    """One parameter; its type is its default's."""

    name: str
    default: bool | int | float | str | list
    description: str
    low: float | None = None  # both ends are valid
    high: float | None = None


def declare(node: Node, parameters: Sequence[Parameter]) -> None:
    """Declare them all; ROS itself then refuses values out of range, at start and later."""
    for parameter in parameters:
        descriptor = ParameterDescriptor(description=parameter.description)
        if parameter.low is not None and parameter.high is not None:
            low, high = parameter.low, parameter.high
            if isinstance(parameter.default, float):
                floats = FloatingPointRange(from_value=float(low), to_value=float(high))
                descriptor.floating_point_range = [floats]
            else:
                integers = IntegerRange(from_value=int(low), to_value=int(high), step=1)
                descriptor.integer_range = [integers]
        node.declare_parameter(parameter.name, parameter.default, descriptor)


def values(node: Node, parameters: Sequence[Parameter]) -> dict:
    """Their present values by name."""
    return {p.name: node.get_parameter(p.name).value for p in parameters}
