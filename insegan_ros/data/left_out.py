"""What could not be used of many items: counted all, named the first, and the rest is done."""

from __future__ import annotations

from collections.abc import Callable

NAMED = 10  # reasons that are kept
SOME_LEFT_OUT = 3  # exit code of a command that did the rest


class LeftOut:
    """A tally; `say` is called with each of the first reasons at once."""

    def __init__(self, what: str, say: Callable[[str], object] = lambda _: None) -> None:
        self.count = 0
        self.reasons: list[str] = []
        self.what, self._say = what, say

    def add(self, name: str, reason: object) -> None:
        """Count one thing that is left out; the reasons of the first few are kept."""
        self.count += 1
        if len(self.reasons) < NAMED:
            text = f'{name} is left out: {reason}'
            self.reasons.append(text)
            self._say(text)

    def back_to(self, count: int) -> None:
        """Forget what was counted since there were so many: it will be met again."""
        self.count = count
        del self.reasons[count:]

    def __bool__(self) -> bool:
        return self.count > 0

    def summary(self) -> str:
        """In words, for the last line of a command."""
        more = self.count - len(self.reasons)
        names = f'; {more} of them are not named' if more > 0 else ''
        return f'{self.count} {self.what} left out{names}'
