"""A file is what it was or what it was to be, never something between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from insegan_ros.files import FolderClaim, write_atomically


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


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ('x' * 251 + '.png')
    write_atomically(path, b'content')
    assert path.read_bytes() == b'content'


@pytest.mark.parametrize('below', ['', 'folder'])
def test_a_folder_that_is_a_file_is_named_as_that(tmp_path: Path, below: str) -> None:
    (tmp_path / 'taken').write_bytes(b'mine')
    with pytest.raises(OSError, match=r'a folder is expected.*taken'):
        FolderClaim(tmp_path / 'taken' / below)
    assert (tmp_path / 'taken').read_bytes() == b'mine'
