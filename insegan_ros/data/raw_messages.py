"""What every kind of recording holds: messages as bytes, each on a topic, at a time.

The readers of the three kinds go through a file from its front and never need its index, so that
a file that was cut short, or was never closed, gives what is there. What is damaged is passed to
`note`, and reading goes on behind it where that is possible.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from insegan_ros.optional import needed_for

MAX_CHUNK_BYTES = 1 << 28  # of messages that were compressed together
ZSTD, LZ4, GZIP, BZIP2 = b'\x28\xb5\x2f\xfd', b'\x04\x22\x4d\x18', b'\x1f\x8b', b'BZh'

Note = Callable[[str], None]


class RawMessage(NamedTuple):
    """One message of a recording, not yet decoded."""

    topic: str
    kind: str  # 'sensor_msgs/msg/Image'; of ROS 1 too
    ros1: bool  # how data is serialized: as ROS 1 does, or CDR
    time_ns: int  # when it was recorded
    data: bytes


def kind_of(name: str) -> str:
    """'sensor_msgs/Image' of ROS 1 -> 'sensor_msgs/msg/Image'."""
    package, _, kind = name.partition('/')
    return name if kind.startswith(('msg/', 'srv/')) or not kind else f'{package}/msg/{kind}'


def make_decompressor(compression: str) -> Any:
    """A streaming decompressor of 'zstd', 'lz4', 'gzip' or 'bz2'.

    Raises:
        ValueError: another compression, or the library for it is absent.
    """
    if compression == 'zstd':
        return _zstd().ZstdDecompressor()
    if compression == 'lz4':
        with needed_for('lz4 data'):
            import lz4.frame

        return lz4.frame.LZ4FrameDecompressor()
    if compression == 'bz2':
        return bz2.BZ2Decompressor()
    if compression == 'gzip':
        return zlib.decompressobj(wbits=31)
    raise ValueError(f'the compression {compression!r} is not known; valid: zstd, lz4, bz2, gzip')


def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
    except ImportError:
        with needed_for('zstd data'):
            from backports import zstd
    return zstd


def decompressed(data: bytes, compression: str, size: int | None = None) -> tuple[bytes, bool]:
    """What can be decompressed, at most `size` bytes, and whether that is all of it.

    Raises:
        ValueError: the compression is not known.
    """
    if compression in ('', 'none'):
        return data, size is None or len(data) >= size
    limit = MAX_CHUNK_BYTES if size is None else min(size, MAX_CHUNK_BYTES)
    decompressor = make_decompressor(compression)
    try:
        done = decompressor.decompress(data, limit)
    except Exception:  # each library has an error of its own; a part that is whole may come first
        return _first_part(data, compression, limit), False
    return done, len(done) == size if size is not None else bool(decompressor.eof)


def _first_part(data: bytes, compression: str, limit: int) -> bytes:
    """What comes before the damage, piece by piece."""
    decompressor, done, step = make_decompressor(compression), bytearray(), 4096
    try:
        for start in range(0, len(data), step):
            done += decompressor.decompress(data[start : start + step], limit - len(done))
            if len(done) >= limit:
                break
    except Exception:  # as above
        pass
    return bytes(done)
