"""Files that are whole or not there, whatever happens while they are written, and one writer."""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from pathlib import Path
from typing import IO, TypeVar

MAX_TEXT_BYTES = 64 << 20  # of a YAML or JSON file that is read whole


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file under another name, flush it to the disk, and rename it.

    Raises:
        OSError: the disk is full or gone; what was there before is unharmed.
    """
    # short: `path.name` may be as long as a name can be
    temporary = path.with_name(f'.{zlib.crc32(os.fsencode(path.name)):08x}.tmp')
    try:
        with open(temporary, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def read_text(path: Path, at_most: int = MAX_TEXT_BYTES) -> str:
    """A text file in UTF-8, or UTF-16 with its mark, without the mark that some editors set first.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, or larger than `at_most` bytes.
    """
    if path.stat().st_size > at_most:
        raise ValueError(f'{path} is larger than {at_most >> 20} MiB')
    content = path.read_bytes()
    encoding = 'utf-16' if content[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no text in UTF-8: {error}') from None


def require_current_folder() -> None:
    """Raises: ValueError, where it was deleted: libraries then end the process without a word."""
    try:
        os.getcwd()
    except OSError:
        raise ValueError('the current folder no longer exists; `cd` to another one') from None


class FolderInUseError(ValueError):
    """Another process writes into the folder."""


Claim = TypeVar('Claim', bound='FolderClaim')


class FolderClaim:
    """A folder, made if absent, in which no second process writes until this is closed."""

    def __init__(self, path: Path) -> None:
        """Raises: FolderInUseError; OSError where the folder cannot be made or written to."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise NotADirectoryError(
                errno.ENOTDIR, 'a folder is expected, but here is something else', str(path)
            ) from None
        self._lock: IO[str] = open(path / '.lock', 'w')  # noqa: SIM115 held while open
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise FolderInUseError(f'{path} is being written by another process') from None

    def close(self) -> None:
        """Let others claim the folder."""
        self._lock.close()

    def __enter__(self: Claim) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
