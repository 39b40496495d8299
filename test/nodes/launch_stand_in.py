"""As much of ROS 2's launch as is needed to see which nodes a launch file starts, and how.

`launch` and `launch_ros` are on no package index; where they are installed, tests use them.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest


class LaunchContext:
    def __init__(self) -> None:
        self.launch_configurations: dict[str, str] = {}
        self.environment: dict[str, str] = {}


class LaunchConfiguration:
    def __init__(self, variable_name: str) -> None:
        self.name = variable_name

    def perform(self, context: LaunchContext) -> str:
        return context.launch_configurations[self.name]


class DeclareLaunchArgument:
    def __init__(self, name: str, *, default_value: str, description: str, choices=None) -> None:
        self.name, self.default_value, self.choices = name, default_value, choices

    def execute(self, context: LaunchContext) -> None:
        value = context.launch_configurations.setdefault(self.name, self.default_value)
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(f'{self.name}: {value!r}, valid options are: {self.choices}')


class SetEnvironmentVariable:
    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def execute(self, context: LaunchContext) -> None:
        context.environment[self.name] = self.value


class OpaqueFunction:
    def __init__(self, *, function) -> None:
        self.function = function

    def execute(self, context: LaunchContext) -> list[Any]:
        return self.function(context)


class LogInfo:
    def __init__(self, *, msg: str) -> None:
        self.msg = msg


class LaunchDescription:
    def __init__(self, entities: list) -> None:
        self.entities = entities


class Node:
    """As in launch_ros: what it will run."""

    def __init__(self, **given: Any) -> None:
        self.given = given


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make them importable under ROS 2's names."""
    contents = {
        'launch': [LaunchDescription],
        'launch.actions': [
            DeclareLaunchArgument,
            LogInfo,
            OpaqueFunction,
            SetEnvironmentVariable,
        ],
        'launch.launch_context': [LaunchContext],
        'launch.substitutions': [LaunchConfiguration],
        'launch_ros': [],
        'launch_ros.actions': [Node],
    }
    for name, classes in contents.items():
        module = ModuleType(name)
        for one in classes:
            setattr(module, one.__name__, one)
        monkeypatch.setitem(sys.modules, name, module)
        if '.' in name:
            setattr(sys.modules[name.split('.')[0]], name.split('.')[1], module)
