"""Fixtures of the tests of files."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

MOST_MEMORY = 1 << 29  # bytes that reading a small file may cost


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """What takes more than MOST_MEMORY raises MemoryError, which is no words."""
    limit, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
