"""MCAP files, front to back (mcap.dev/spec): records of an opcode, a length and a content."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from insegan_ros.data.raw_messages import ZSTD, Note, RawMessage, decompressed, kind_of

MAGIC = b'\x89MCAP0\r\n'
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
RECORD = struct.Struct('<BQ')
MESSAGE_HEAD = struct.Struct('<HIQQ')
CHUNK_HEAD = struct.Struct('<QQQI')
CUT = 'it is cut short (the recorder or its computer went down); `mcap recover` mends the file'


def read_mcap(path: Path, note: Note) -> Iterator[RawMessage]:
    """All messages that can be read, in the order of the file."""
    with open(path, 'rb') as file:
        file.seek(len(MAGIC))
        yield from _Scan(note).messages(file, path.stat().st_size, whole=True)


class _Scan:
    def __init__(self, note: Note) -> None:
        self._note = note
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str, str]] = {}  # topic, type, encoding

    def messages(self, file: BinaryIO, size: int, whole: bool) -> Iterator[RawMessage]:
        """Of a file, or (`whole` false) of the records in a chunk."""
        while len(head := file.read(RECORD.size)) == RECORD.size:
            opcode, length = RECORD.unpack(head)
            if opcode == DATA_END:
                return
            there = min(length, size - file.tell())
            if opcode not in (SCHEMA, CHANNEL, MESSAGE, CHUNK):
                file.seek(there, 1)
                continue
            content = file.read(there)
            if there < length and not (opcode == CHUNK and whole):
                break
            try:
                yield from self._record(opcode, content, whole)
            except (struct.error, UnicodeDecodeError, IndexError) as error:
                self._note(f'a record is damaged ({error})')
        if whole:
            self._note(CUT)

    def _record(self, opcode: int, content: bytes, whole: bool) -> Iterator[RawMessage]:
        if opcode == MESSAGE:
            channel, _, time_ns, _ = MESSAGE_HEAD.unpack_from(content)
            known = self._channels.get(channel)
            if known is None:
                self._note(f'a message of channel {channel}, which was not introduced')
                return
            topic, kind, encoding = known
            if encoding in ('cdr', 'ros1'):
                data = content[MESSAGE_HEAD.size :]
                if data.startswith(ZSTD):  # of a recorder that compressed every message
                    data, _ = decompressed(data, 'zstd')
                yield RawMessage(topic, kind, encoding == 'ros1', time_ns, data)
        elif opcode == CHUNK:
            if whole:  # no chunk holds chunks
                yield from self._chunk(content)
        elif opcode == SCHEMA:
            number, name = struct.unpack_from('<H', content)[0], _string(content, 2)[0]
            self._schemas[number] = kind_of(name)
        else:
            number, schema = struct.unpack_from('<HH', content)
            topic, end = _string(content, 4)
            encoding, _ = _string(content, end)
            self._channels[number] = (topic, self._schemas.get(schema, ''), encoding)

    def _chunk(self, content: bytes) -> Iterator[RawMessage]:
        _, _, size, _ = CHUNK_HEAD.unpack_from(content)
        compression, start = _string(content, CHUNK_HEAD.size)
        (stored,) = struct.unpack_from('<Q', content, start)
        try:
            records, all_of_it = decompressed(content[start + 8 :][:stored], compression, size)
        except ValueError as error:
            self._note(str(error))
            return
        if not all_of_it:
            self._note(f'a chunk is damaged or cut: {len(records)} of its {size} bytes are read')
        yield from self.messages(io.BytesIO(records), len(records), whole=False)


def _string(content: bytes, start: int) -> tuple[str, int]:
    """A length and UTF-8 -> the text and where it ends."""
    (length,) = struct.unpack_from('<I', content, start)
    end = start + 4 + length
    if end > len(content):
        raise IndexError(f'a text of {length} bytes reaches over its end')
    return content[start + 4 : end].decode(), end
