"""Every `insegan` line of the documents and of the commands' help can be typed as it is."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from insegan_ros import cli

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [PROJECT / 'README.md', *sorted((PROJECT / 'docs').glob('*.md'))]
MODULES = sorted((PROJECT / 'insegan_ros' / 'commands').glob('*.py'))


def documented_lines() -> list[tuple[str, str]]:
    """(file, command line) of code blocks and docstrings."""
    texts = {file: file.read_text() for file in DOCUMENTS}
    texts |= {file: ast.get_docstring(ast.parse(file.read_text())) or '' for file in MODULES}
    names = '|'.join(cli.COMMANDS)
    typed = re.compile(rf'^\s*(insegan (?:{names}) .*)$', re.MULTILINE)
    found = []
    for file, text in texts.items():
        for line in typed.findall(re.sub(r'\\\n\s*', '', text)):
            if re.search(r' -|\.\w', line):  # prose may begin a line with a command, not so
                found.append((file.name, line))
    return found


def test_there_are_lines_of_the_readme_the_results_and_the_help() -> None:
    files = {file for file, _ in documented_lines()}
    assert {'README.md', 'results.md', 'evaluate.py', 'import_data.py'} <= files


@pytest.mark.parametrize(('file', 'line'), documented_lines())
def test_a_documented_line_is_understood(file: str, line: str, capsys) -> None:
    # a shell's loop variable and ~ are any name, $n a number; after a pipe or && nothing is ours
    line = re.sub(r'\$n\b', '7', line)
    words = shlex.split(re.split(r' \| | && |;', line)[0].replace('$', ''), comments=True)
    try:
        cli.build_parser(only=words[1]).parse_args(words[1:])
    except SystemExit:
        pytest.fail(f'{file}: {line}\n{capsys.readouterr().err}')
