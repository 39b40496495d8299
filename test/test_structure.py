"""How the code is built: short functions, few positional parameters, commands that only call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / 'insegan_ros'
LONGEST = 59  # lines of a function
MOST_POSITIONAL = 3  # parameters
ORDER = ('dataset', 'out', 'config', 'seed', 'device', 'workers')  # of parameters that recur
# names that a table or their module gives the meaning: config.load, tensors.load; a method's train
SHARED_NAMES = {
    'add_arguments', 'describe', 'load', 'main', 'run', 'save', 'train',
}  # fmt: skip
# a command or a node has the name by which users call it, a method that of its paper
SHARED_MODULES = {
    '__init__', 'camera', 'config', 'distilled', 'generate', 'insegan', 'methods',
    'picking', 'pretrain', 'segmenter', 'template', 'train',
}  # fmt: skip
COMMANDS = 1400  # lines of all commands: what is longer belongs into the part that does the work

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


def test_parameters_that_recur_have_one_order() -> None:
    wrong = {}
    for name, f in functions():
        for parameters in (f.args.args, f.args.kwonlyargs):
            order = [ORDER.index(a.arg) for a in parameters if a.arg in ORDER]
            if order != sorted(order):
                wrong[name] = [a.arg for a in parameters]
    assert not wrong, f'the order is {", ".join(ORDER)}: {wrong}'


def test_a_public_name_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for file in sorted(PACKAGE.rglob('*.py')):
        where = str(file.relative_to(PACKAGE))
        for node in ast.parse(file.read_text()).body:
            public = isinstance(node, Function | ast.ClassDef) and node.name[0] != '_'
            if public and node.name not in SHARED_NAMES:
                places.setdefault(node.name, []).append(where)
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert not twice, f'name one of them after what sets it apart: {twice}'


def test_a_module_name_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for file in sorted(PACKAGE.rglob('*.py')):
        if file.stem not in SHARED_MODULES:
            places.setdefault(file.stem, []).append(str(file.relative_to(PACKAGE)))
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert not twice, f'name one of them after what sets it apart: {twice}'
