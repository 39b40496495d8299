"""How the code is built: short functions, few positional parameters, commands that only call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / 'insegan_ros'
LONGEST = 59  # lines of a function
MOST_POSITIONAL = 6  # parameters
COMMANDS = 1600  # lines of all commands: what is longer belongs into the part that does the work

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    """(file:name, function) of the whole package."""
    for file in sorted(PACKAGE.rglob('*.py')):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, Function):
                yield f'{file.relative_to(PACKAGE)}:{node.name}', node


def positional(function: Function) -> int:
    names = [a.arg for a in function.args.posonlyargs + function.args.args]
    return len([name for name in names if name not in ('self', 'cls')])


def test_functions_are_short() -> None:
    lengths = {name: (f.end_lineno or f.lineno) - f.lineno + 1 for name, f in functions()}
    long = {name: lines for name, lines in lengths.items() if lines > LONGEST}
    assert not long, f'longer than {LONGEST} lines: {long}'


def test_nothing_takes_many_parameters_by_position() -> None:
    many = {name: positional(f) for name, f in functions() if positional(f) > MOST_POSITIONAL}
    assert not many, f'more than {MOST_POSITIONAL}; make them keyword-only: {many}'


def test_commands_parse_and_call() -> None:
    files = (PACKAGE / 'commands').glob('*.py')
    assert sum(len(file.read_text().splitlines()) for file in files) <= COMMANDS
