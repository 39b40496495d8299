"""A node's parameters as a table: declared with ranges and descriptions, documented from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node

from insegan_ros import config

T = TypeVar('T')


class ParameterError(ValueError):
    """A value at the start that a parameter cannot have: what it is, and what is valid."""


@dataclass(frozen=True)
class Parameter:
    """One parameter; its type is its default's."""

    name: str
    default: bool | int | float | str | list
    description: str
    low: float | None = None  # both ends are valid
    high: float | None = None


def declare(node: Node, parameters: Sequence[Parameter]) -> None:
    """Declare them all; ROS itself then refuses values out of range later, too.

    Raises:
        ParameterError: a value given at the start is out of range or of another type.
    """
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
        try:
            node.declare_parameter(parameter.name, parameter.default, descriptor)
        except ParameterException as error:
            raise ParameterError(f'{error} ({parameter.description})') from None


def values(node: Node, parameters: Sequence[Parameter]) -> dict:
    """Their present values by name."""
    return {p.name: node.get_parameter(p.name).value for p in parameters}


def declare_settings(node: Node, settings: type, where: str = '') -> None:
    """Declare every field of a settings dataclass, a.b for those of nested ones."""
    default = settings()
    for field in dataclasses.fields(settings):
        value = getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            declare_settings(node, type(value), f'{where}{field.name}.')
        else:
            plain = list(value) if isinstance(value, tuple) else value
            try:
                node.declare_parameter(f'{where}{field.name}', plain)
            except ParameterException as error:
                raise ParameterError(str(error)) from None


def read_settings(node: Node, settings: type[T], where: str = '') -> T:
    """A settings dataclass with the present values of its parameters.

    Raises:
        ValueError: a value that the dataclass refuses; the message names it.
    """
    return config.from_mapping(settings, _present(node, settings, where))


def _present(node: Node, settings: type, where: str) -> dict:
    present: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings(), field.name)
        if dataclasses.is_dataclass(value):
            present[field.name] = _present(node, type(value), f'{where}{field.name}.')
        else:
            given = node.get_parameter(f'{where}{field.name}').value
            present[field.name] = list(given) if isinstance(value, tuple) else given
    return present
