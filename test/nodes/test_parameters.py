"""A node's table of parameters is what it declares, and what its file sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.nodes import camera, segmenter_parameters
from insegan_ros.nodes.parameters import (
    Parameter,
    ParameterError,
    declare,
    declare_settings,
    read_settings,
    values,
)

TABLE = (
    Parameter('count', 3, 'whole', 0, 5),
    Parameter('share', 0.5, 'real', 0.0, 1.0),
    Parameter('name', 'x', 'text'),
)


@pytest.fixture
def node(ros_environment: None) -> Iterator[Node]:
    rclpy.init()
    made = rclpy.create_node('declares')
    declare(made, TABLE)
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def test_values_are_the_defaults_until_they_are_set(node: Node) -> None:
    assert values(node, TABLE) == {'count': 3, 'share': 0.5, 'name': 'x'}
    node.set_parameters([RosParameter('count', value=5)])
    assert values(node, TABLE)['count'] == 5


@pytest.mark.parametrize(
    ('name', 'value'), [('count', 6), ('count', -1), ('share', 1.01), ('count', 'x')]
)
def test_a_value_out_of_range_or_of_another_type_is_refused(
    node: Node, name: str, value: object
) -> None:
    result = node.set_parameters([RosParameter(name, value=value)])[0]
    assert not result.successful
    assert 'range' in result.reason or 'type' in result.reason
    assert values(node, TABLE) == {'count': 3, 'share': 0.5, 'name': 'x'}


def test_a_default_out_of_its_range_is_not_declared(node: Node) -> None:
    with pytest.raises(ParameterError, match='wrong'):
        declare(node, [Parameter('wrong', 7, '', 0, 5)])


@pytest.fixture
def collector(ros_environment: None) -> Iterator[Callable[[str], Node]]:
    """collector('dry_run:=True') declares the parameters, one given like that."""
    made: list[Node] = []
    rclpy.init()

    def declared(given: str) -> Node:
        node = rclpy.create_node('collector', cli_args=['--ros-args', '-p', given])
        made.append(node)
        declare_settings(node, CollectorSettings)
        return node

    yield declared
    for node in made:
        node.destroy_node()
    rclpy.try_shutdown()


@pytest.mark.parametrize('text', ['true', 'True', 'TRUE', 'yes', 'on', 'y'])
def test_every_spelling_of_true_given_to_the_node_is_a_dry_run(
    collector: Callable, text: str
) -> None:
    assert read_settings(collector(f'dry_run:={text}'), CollectorSettings).dry_run is True


@pytest.mark.parametrize('text', ['1', '0', '0.0', 'banana', '"False"', '[false]', 'flase'])
def test_a_dry_run_given_as_another_type_is_refused(collector: Callable, text: str) -> None:
    with pytest.raises(ParameterError, match='dry_run'):
        collector(f'dry_run:={text}')


def test_a_dry_run_cannot_be_set_to_another_type_later(collector: Callable) -> None:
    node = collector('count:=3')
    assert not node.set_parameters([RosParameter('dry_run', value='false')])[0].successful
    assert read_settings(node, CollectorSettings).dry_run is True


def test_every_parameter_is_described(node: Node) -> None:
    assert [node.describe_parameter(p.name).description for p in TABLE] == [
        'whole',
        'real',
        'text',
    ]


def test_the_segmenters_file_sets_every_parameter_to_its_default() -> None:
    path = Path(__file__).parents[2] / 'config' / 'segmenter.yaml'
    given = yaml.safe_load(path.read_text())['/**/segmenter']['ros__parameters']
    assert given == {p.name: p.default for p in segmenter_parameters.PARAMETERS}


def test_the_cameras_file_sets_parameters_to_their_defaults() -> None:
    path = Path(__file__).parents[2] / 'config' / 'camera.yaml'
    given = yaml.safe_load(path.read_text())['/**/camera']['ros__parameters']
    assert given.items() <= {p.name: p.default for p in camera.PARAMETERS}.items()
    assert all(
        type(given[p.name]) is type(p.default) for p in camera.PARAMETERS if p.name in given
    )
