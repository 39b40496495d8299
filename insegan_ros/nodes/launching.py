"""What the launch files share: arguments, the environment of the nodes, and which are started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from insegan_ros.nodes.arguments import Argument, read
from insegan_ros.nodes.cameras import CameraPreset
from insegan_ros.nodes.environment import node_environment
from launch import LaunchDescription  # type: ignore[attr-defined]  # not the folder launch/


def description(
    share: Path,
    arguments: Sequence[Argument],
    nodes: Callable[[Mapping], Iterator[Node | LogInfo]],
) -> LaunchDescription:
    """Nodes as functions of the arguments' values; none is started where one cannot be read.

    Args:
        share: this package's share folder.
        arguments: what may be given on the command line.
        nodes: yields the nodes for the values that were given.
    """

    def start(context: LaunchContext) -> list[Node | LogInfo]:
        texts = {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments}
        return list(nodes(read(arguments, texts)))

    variables = node_environment(share / 'config' / 'fastdds.xml')
    return LaunchDescription(
        [
            *[SetEnvironmentVariable(name, value) for name, value in variables.items()],
            *[
                DeclareLaunchArgument(
                    a.name,
                    default_value=a.default,
                    description=a.description,
                    choices=list(a.choices) or None,
                )
                for a in arguments
            ],
            OpaqueFunction(function=start),
        ]
    )


def chosen_values(arguments: Sequence[Argument], given: Mapping) -> dict:
    """The parameters that were given on the command line."""
    return {a.name: given[a.name] for a in arguments if given[a.name] is not None}


def camera_remappings(camera: CameraPreset, given: Mapping) -> list[tuple[str, str]]:
    """From the nodes' topics to the camera's, or to those that were given instead."""
    return [
        ('depth/image', given['depth_topic'] or camera.depth_topic),
        ('depth/camera_info', given['camera_info_topic'] or camera.camera_info_topic),
    ]


def said(text: str) -> LogInfo:
    """A line in the log of the launch."""
    return LogInfo(msg=text)
