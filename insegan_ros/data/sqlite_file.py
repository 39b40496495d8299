"""rosbag2's SQLite files (.db3), what their recorder had not yet moved into them included."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from insegan_ros.data.raw_messages import ZSTD, Note, RawMessage, decompressed, kind_of

MAGIC = b'SQLite format 3\0'
BESIDE = ('-wal', '-journal')  # what a killed recorder leaves
Row = tuple[Any, ...]
RECOVER = '`sqlite3 FILE .recover | sqlite3 new.db3` may save more'


def read_sqlite(path: Path, note: Note) -> Iterator[RawMessage]:
    """All messages that can be read, in the order in which they were written."""
    with contextlib.ExitStack() as stack:
        try:
            database = stack.enter_context(contextlib.closing(_open(path, stack)))
            # a file that is shorter than it says is read as far as it goes
            database.execute('PRAGMA writable_schema=ON')
            topics = {
                number: (str(name), kind_of(str(kind)))
                for number, name, kind in database.execute('SELECT id, name, type FROM topics')
            }
            rows = database.execute('SELECT topic_id, timestamp, data FROM messages ORDER BY id')
            for number, time_ns, data in _all_but_torn(rows, path):
                if number not in topics or not isinstance(data, bytes):
                    note('a message is damaged or of no topic')
                    continue
                if data.startswith(ZSTD):
                    data, _ = decompressed(data, 'zstd')
                yield RawMessage(*topics[number], False, int(time_ns), data)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            note(f'it is damaged or cut short ({error}); {RECOVER}')


def _open(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    """Read only; with a log or journal beside it, a copy into which SQLite works that."""
    beside = [path.with_name(path.name + ending) for ending in BESIDE]
    beside = [file for file in beside if file.exists() and file.stat().st_size]
    if not beside:
        return sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro&immutable=1', uri=True)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='insegan-')))
    for file in (path, *beside):
        shutil.copyfile(file, folder / file.name)
    return sqlite3.connect(folder / path.name)


def _all_but_torn(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """Without the last row of a file that ends within a page: SQLite takes the rest for zeros."""
    with open(path, 'rb') as file:
        page = int.from_bytes(file.read(18)[16:18], 'big')
    torn = page > 1 and path.stat().st_size % page != 0
    last: Row | None = None
    for row in rows:
        if last is not None:
            yield last
        last = row
    if last is not None and not torn:
        yield last
