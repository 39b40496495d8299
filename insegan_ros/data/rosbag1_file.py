"""Bags of ROS 1 and the RealSense Viewer, front to back (wiki.ros.org/Bags/Format/2.0)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from insegan_ros.data.raw_messages import Note, RawMessage, decompressed, kind_of

MAGIC = b'#ROSBAG V2.0\n'
MESSAGE, BAG_HEADER, CHUNK, CONNECTION = 0x02, 0x03, 0x05, 0x07
CUT = 'it is cut short or was never closed; `rosbag reindex` mends a .bag.active'
MAX_HEADER_BYTES = 1 << 24  # a message definition is in some

Fields = dict[str, bytes]


def read_rosbag1(path: Path, note: Note) -> Iterator[RawMessage]:
    """All messages that can be read, in the order of the file."""
    with open(path, 'rb') as file:
        file.seek(len(MAGIC))
        yield from _Scan(note).messages(file, path.stat().st_size)


class _Scan:
    def __init__(self, note: Note) -> None:
        self._note = note
        self._connections: dict[int, tuple[str, str]] = {}  # topic, type
        self._closed = False

    def messages(self, file: BinaryIO, size: int, whole: bool = True) -> Iterator[RawMessage]:
        """Of a file, or (`whole` false) of the records in a chunk."""
        while file.tell() < size:
            header = _sized(file, MAX_HEADER_BYTES)
            length = file.read(4)
            if header is None or len(length) < 4:
                self._note(CUT)
                return
            (count,) = struct.unpack('<I', length)
            try:
                fields = _fields(header)
                opcode = fields['op'][0]
                if opcode not in (MESSAGE, BAG_HEADER, CHUNK, CONNECTION):
                    file.seek(min(count, size - file.tell()), 1)
                    continue
                content = file.read(min(count, size - file.tell()))
                if len(content) < count and opcode != CHUNK:
                    self._note(CUT)
                    return
                yield from self._record(opcode, fields, content, whole=whole)
            except (KeyError, IndexError, struct.error, ValueError) as error:
                self._note(f'a record is damaged ({error!r})')
                return  # where the next one begins is not known
        if whole and not self._closed:
            self._note(CUT)

    def _record(
        self, opcode: int, fields: Fields, content: bytes, *, whole: bool
    ) -> Iterator[RawMessage]:
        if opcode == MESSAGE:
            known = self._connections.get(_number(fields['conn']))
            if known is not None:
                seconds, nanoseconds = struct.unpack('<II', fields['time'])
                yield RawMessage(*known, True, seconds * 10**9 + nanoseconds, content)
        elif opcode == CONNECTION:
            kind = kind_of(_fields(content)['type'].decode())
            self._connections[_number(fields['conn'])] = (fields['topic'].decode(), kind)
        elif opcode == CHUNK:
            compression, size = fields['compression'].decode(), _number(fields['size'])
            if not whole:  # no chunk holds chunks
                return
            records, all_of_it = decompressed(content, compression, size)
            if not all_of_it:
                self._note(f'a chunk is damaged or cut: {len(records)} of its {size} bytes read')
            yield from self.messages(io.BytesIO(records), len(records), whole=False)
        else:
            self._closed = struct.unpack('<Q', fields['index_pos'])[0] > 0


def _sized(file: BinaryIO, at_most: int) -> bytes | None:
    """A length and so many bytes; None where the file ends before."""
    head = file.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack('<I', head)
    content = file.read(length) if length <= at_most else b''
    return content if len(content) == length else None


def _fields(header: bytes) -> Fields:
    """Rows of a length and name=value."""
    fields, at = {}, 0
    while at < len(header):
        (length,) = struct.unpack_from('<I', header, at)
        name, equals, value = header[at + 4 : at + 4 + length].partition(b'=')
        if not equals:
            raise ValueError('a field without a name')
        fields[name.decode()] = value
        at += 4 + length
    return fields


def _number(value: bytes) -> int:
    return int(struct.unpack('<I', value)[0])
