"""README and docs/nodes.md say of topics, parameters, commands and targets what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from insegan_ros import cli

PROJECT = Path(__file__).parents[1]
README = (PROJECT / 'README.md').read_text()
NODES_PAGE = (PROJECT / 'docs' / 'nodes.md').read_text()
NODES = ('segmenter', 'camera', 'bin_simulator')


def parameters_of(node: str) -> tuple:
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    if node == 'segmenter':
        from insegan_ros.nodes.segmenter_parameters import PARAMETERS
    elif node == 'camera':
        from insegan_ros.nodes.camera import PARAMETERS
    else:
        from insegan_ros.nodes.bin_simulator import PARAMETERS
    return PARAMETERS


def table(node: str) -> str:
    """The table of a node's parameters as docs/nodes.md shall hold it."""
    rows = ['| parameter | default | |', '|---|---|---|']
    for p in parameters_of(node):
        default = str(p.default).lower() if isinstance(p.default, bool) else p.default
        default = f'`{default}`' if default != '' else ''
        rows.append(f'| `{p.name}` | {default} | {p.description.replace("|", "or")} |')
    return '\n'.join(rows)


@pytest.mark.parametrize('node', NODES)
def test_the_table_of_parameters_is_the_node_s_own(node: str) -> None:
    assert table(node) in NODES_PAGE, f'put this into docs/nodes.md:\n{table(node)}'


@pytest.mark.parametrize('node', [*NODES, 'collector'])
def test_every_topic_named_for_a_node_is_in_its_code(node: str) -> None:
    section = NODES_PAGE.split(f'\n## {node}\n')[1].split('\n## ')[0]
    names = re.findall(r'`((?:depth/|~/|/)\w+|joint_states|joint_trajectory|run_stop)`', section)
    assert len(names) >= 2
    nodes = PROJECT / 'insegan_ros' / 'nodes'
    shared = ('depth_publisher.py', 'arm_interface.py', 'joints.py', 'picking.py')
    files = [f'{node}.py', 'segmenter_outputs.py', *shared]
    code = ''.join((nodes / file).read_text() for file in files)
    assert [name for name in names if f"'{name}'" not in code] == []


def test_every_command_is_one_of_insegan() -> None:
    named = set(re.findall(r'(?:^|`)insegan (\w+)', README, re.MULTILINE)) - {'COMMAND'}
    assert len(named) >= 6
    assert named <= set(cli.COMMANDS)


def test_every_make_target_exists() -> None:
    makefile = (PROJECT / 'Makefile').read_text()
    named = set(re.findall(r'^make ([\w-]+)', README, re.MULTILINE))
    assert {'demo', 'test', 'view'} <= named
    assert all(re.search(rf'^{target}:', makefile, re.MULTILINE) for target in named)


def test_no_target_of_make_is_done_because_a_folder_has_its_name() -> None:
    makefile = (PROJECT / 'Makefile').read_text().replace('\\\n', ' ')
    listed = set(re.findall(r'^([a-z-]+):.*##', makefile, re.MULTILINE))
    phony = re.search(r'^\.PHONY:(.*)$', makefile, re.MULTILINE)
    assert phony is not None
    assert listed == set(phony[1].split())


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', README)
    assert len(links) >= 6
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_every_section_linked_to_is_there() -> None:
    for page, section in re.findall(r'\]\((docs/[\w.]+)#([^)]+)\)', README):
        headings = re.findall(r'^#+ (.*)$', (PROJECT / page).read_text(), re.MULTILINE)
        assert section in [heading.lower().replace(' ', '-') for heading in headings]


def test_every_output_of_the_segmenter_that_the_readme_names_is_on_its_page() -> None:
    names = set(re.findall(r'`(~/\w+)`', README))
    assert '~/label_image' in names
    assert all(f'| `{name}` |' in NODES_PAGE for name in names)
