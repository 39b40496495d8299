"""What the launch files share: arguments, the environment of the nodes, and which are started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from insegan_ros.nodes.environment import node_environment
from launch import LaunchDescription


def description(
    share: Path,
    arguments: Mapping[str, tuple[str, str]],
    choices: Mapping[str, Sequence[str]],
    nodes: Callable[[Mapping[str, str]], Iterator[Node]],
) -> LaunchDescription:
    """Nodes as functions of the arguments' values.

    Args:
        share: this package's share folder.
        arguments: default and description by name.
        choices: valid values of those arguments that have only a few.
        nodes: yields the nodes for the values that were given.
    """

    def start(context: LaunchContext) -> list[Node]:
        values = {name: LaunchConfiguration(name).perform(context) for name in arguments}
        return list(nodes(values))

    variables = node_environment(share / 'config' / 'fastdds.xml')
    return LaunchDescription(
        [
            *[SetEnvironmentVariable(name, value) for name, value in variables.items()],
            *[
                DeclareLaunchArgument(
                    name, default_value=default, description=text, choices=choices.get(name)
                )
                for name, (default, text) in arguments.items()
            ],
            OpaqueFunction(function=start),
        ]
    )
