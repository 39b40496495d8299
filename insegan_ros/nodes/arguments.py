"""A launch file's arguments: text on the command line, typed values in the file.

ROS hands every launch argument on as text. Here alone it becomes a value, so that `True`, `TRUE`,
`1`, `yes` and `on` mean what `true` means in every launch file, and a typing error starts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TRUE = ('true', '1', 'yes', 'y', 'on')
FALSE = ('false', '0', 'no', 'n', 'off')
NAMES = {int: 'a whole number', float: 'a number'}


class ArgumentError(ValueError):
    """A launch argument that cannot be used: what was given, and what is valid."""


@dataclass(frozen=True)
class Argument:
    """One argument; where its default is empty, an empty text is its value None: left alone."""

    name: str
    default: str
    description: str
    kind: type[bool] | type[int] | type[float] | type[str] = str
    choices: Sequence[str] = ()

    def read(self, text: str) -> bool | int | float | str | None:
        """The value that a text stands for.

        Raises:
            ArgumentError: the text is no value of this argument's kind, or none of its choices.
        """
        text = text.strip()
        if not text and not self.default:
            return None
        if self.choices and text not in self.choices:
            raise ArgumentError(f'{self.name} is {text!r}; valid: {", ".join(self.choices)}')
        if self.kind is bool:
            return boolean(self.name, text)
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            raise ArgumentError(f'{self.name} is {text!r}; valid: {NAMES[self.kind]}')
        return value


def boolean(name: str, text: str) -> bool:
    """True or false as people write it, in any case of letters; nothing else is guessed.

    Raises:
        ArgumentError: the text is no such word.
    """
    word = text.strip().lower()
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise ArgumentError(
        f'{name} is {text!r}; valid: true or false (also {", ".join((*TRUE[1:], *FALSE[1:]))})'
    )


def read(arguments: Sequence[Argument], texts: Mapping[str, str]) -> dict:
    """The values of all arguments by name.

    Raises:
        ArgumentError: the first that is no value.
    """
    return {a.name: a.read(texts[a.name]) for a in arguments}
