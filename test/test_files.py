"""A file is what it was or what it was to be, never something between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from insegan_ros.files import write_atomically


def test_a_full_disk_leaves_the_file_that_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / 'a', b'before')

    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match=r"No space.*/a'"):
        write_atomically(tmp_path / 'a', b'after')
    assert (tmp_path / 'a').read_bytes() == b'before'
    assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_what_is_renamed_was_flushed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda number: done.append('flush') or fsync(number))
    monkeypatch.setattr(os, 'replace', lambda a, b: done.append('rename') or replace(a, b))
    write_atomically(tmp_path / 'a', memoryview(b'content'))
    assert done == ['flush', 'rename']
    assert (tmp_path / 'a').read_bytes() == b'content'
