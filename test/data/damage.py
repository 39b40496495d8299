"""Bytes damaged anywhere, and what reading them may end in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from insegan_ros.data.replay import Replay

few = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@contextlib.contextmanager
def only_words() -> Iterator[None]:
    """A ValueError with a text is words; any other error is a fault."""
    with contextlib.suppress(ValueError):
        yield


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Cut short, some bytes changed, a piece taken out or doubled."""
    cut = draw(st.floats(0, 1))
    changes = draw(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8))
    kind = draw(st.sampled_from(['change', 'cut', 'both', 'remove', 'double', 'zeros']))

    def apply(content: bytes) -> bytes:
        damaged, at = bytearray(content), int(cut * len(content))
        if kind in ('change', 'both'):
            for place, value in changes:
                damaged[int(place * (len(damaged) - 1))] = value
        if kind in ('cut', 'both'):
            del damaged[at:]
        if kind == 'remove':
            del damaged[at : at + 16]
        if kind == 'double':
            damaged[at:at] = damaged[at : at + 16]
        if kind == 'zeros':
            damaged[at : at + 64] = bytes(len(damaged[at : at + 64]))
        return bytes(damaged)

    return apply


def read_all(path: Path) -> None:
    with Replay(path) as replay:
        for _ in replay:
            pass
        assert all([*replay.notes, *replay.skipped])
