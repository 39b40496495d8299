"""Every file and name that docs/architecture.md sends a reader to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / 'insegan_ros'
PAGE = (PROJECT / 'docs' / 'architecture.md').read_text()
DIAGRAM = PAGE.split('```mermaid')[1].split('```')[0]
LAYERS = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != '__pycache__'}
PATHS = {*re.findall(r'`([\w/]+(?:\.\w+|/))`', PAGE), *re.findall(r'[\w/]+(?:\.py|/)', DIAGRAM)}


@pytest.mark.parametrize('path', sorted(PATHS))
def test_a_path_of_the_architecture_page_exists(path: str) -> None:
    assert (PROJECT / path).exists() or (PACKAGE / path).exists()


def test_every_layer_is_in_the_diagram() -> None:
    assert {layer for layer in LAYERS if f'{layer}/' not in DIAGRAM} == set()


@pytest.mark.parametrize(
    'row', [line for line in PAGE.splitlines() if line.startswith('|') and '.py`' in line]
)
def test_a_name_of_a_row_is_in_a_file_of_that_row(row: str) -> None:
    files = [PACKAGE / path for path in re.findall(r'`([\w/]+\.py)`', row)]
    code = ''.join(file.read_text() for file in files)
    names = re.findall(r'`([A-Za-z_]+)(?:\([a-z]*\))?`', row)
    assert [name for name in names if name not in code] == []


def test_what_may_be_added_is_said_for_all_that_users_ask_for() -> None:
    added = PAGE.split('## How do I add')[1]
    for thing in ('camera', 'arm', 'part', 'baseline', 'stage', 'message'):
        assert re.search(rf'^\| [^|]*\b{thing}\b', added, re.MULTILINE), thing
