"""OpenEXR files of one part in scan lines, which OpenCV's wheels cannot read.

They are uncompressed, RLE, ZIPS or ZIP; a depth image is one of their channels. The format is
described at openexr.com, "OpenEXR File Layout".
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.rvl import MAX_PIXELS

MAGIC = b'\x76\x2f\x31\x01'
TILED, DEEP, MULTIPART = 0x200, 0x800, 0x1000
TYPES = ('<u4', '<f2', '<f4')
NONE, RLE, ZIPS, ZIP = range(4)
LINES = {NONE: 1, RLE: 1, ZIPS: 1, ZIP: 16}  # of a block
DEPTH_CHANNELS = ('Z', 'depth', 'Depth', 'depth.Z', 'Depth.V', 'Depth.Z', 'V', 'Y', 'D', 'R')

Channel = tuple[str, np.dtype[Any]]


def decode_exr(content: bytes, where: str) -> NDArray[Any]:
    """The depth channel, (H, W) floats or integers.

    Raises:
        ValueError: it is damaged, or of a kind that is not read; the message says which.
    """
    try:
        return _decode(content, where)
    except (struct.error, KeyError, IndexError, OverflowError, zlib.error) as error:
        raise ValueError(f'{where} is damaged or cut short ({error!r})') from None


def _decode(content: bytes, where: str) -> NDArray[Any]:
    magic, version = struct.unpack_from('<4sI', content)
    if magic != MAGIC or version & (TILED | DEEP | MULTIPART):
        raise ValueError(f'{where} is no EXR file of one part in scan lines; save it as one')
    header, at = _header(content)
    channels = _channels(header['channels'])
    compression = header['compression'][0]
    if compression not in LINES:
        raise ValueError(f'{where} is compressed in a way that is not read; save it with ZIP')
    left, top, right, bottom = struct.unpack('<4i', header['dataWindow'])
    width, height = right - left + 1, bottom - top + 1
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise ValueError(f'{where} says {width} x {height} px')
    names = [name for name, _ in channels]
    wanted = names[0] if len(names) == 1 else next((n for n in DEPTH_CHANNELS if n in names), '')
    if not wanted:
        raise ValueError(f'{where} has the channels {", ".join(names)}; none is named Z or depth')
    kind = dict(channels)[wanted]
    image = np.zeros((height, width), kind)
    line_bytes = sum(width * kind.itemsize for _, kind in channels)
    before = sum(width * k.itemsize for _, k in channels[: names.index(wanted)])
    for offset in struct.unpack_from(f'<{-(-height // LINES[compression])}Q', content, at):
        first, size = struct.unpack_from('<iI', content, offset)
        count = min(LINES[compression], bottom - first + 1)
        row = first - top
        if row < 0 or count < 1:
            raise IndexError(f'line {first}')
        block = _unpacked(content[offset + 8 :][:size], compression, count * line_bytes)
        lines = np.frombuffer(block, np.uint8).reshape(count, line_bytes)
        part = np.ascontiguousarray(lines[:, before : before + width * kind.itemsize])
        image[row : row + count] = part.view(kind)
    return image.astype(kind.newbyteorder('='), copy=False)


def _header(content: bytes) -> tuple[dict[str, bytes], int]:
    """Attributes by name, and where the table of offsets begins."""
    attributes, at = {}, 8
    while content[at] != 0:
        name, at = _text(content, at)
        _, at = _text(content, at)
        (size,) = struct.unpack_from('<I', content, at)
        attributes[name] = content[at + 4 : at + 4 + size]
        at += 4 + size
    return attributes, at + 1


def _text(content: bytes, at: int) -> tuple[str, int]:
    end = content.index(b'\0', at) if b'\0' in content[at : at + 256] else at + 256
    return content[at:end].decode('latin-1'), end + 1


def _channels(attribute: bytes) -> list[Channel]:
    channels, at = [], 0
    while attribute[at] != 0:
        name, at = _text(attribute, at)
        kind, _, x, y = struct.unpack_from('<iIii', attribute, at)
        if (x, y) != (1, 1):
            raise ValueError(f'its channel {name} has fewer pixels than the image')
        channels.append((name, np.dtype(TYPES[kind])))
        at += 16
    return channels


def _unpacked(block: bytes, compression: int, size: int) -> bytes:
    if compression == NONE or len(block) == size:  # what did not shrink is stored as it is
        plain = block
    else:
        packed = _run_lengths(block, size) if compression == RLE else _inflated(block, size)
        steps = np.frombuffer(packed, np.uint8).astype(np.int64)
        steps[1:] -= 128
        values = (np.cumsum(steps) & 0xFF).astype(np.uint8)
        whole = np.empty_like(values)
        half = (len(values) + 1) // 2
        whole[0::2], whole[1::2] = values[:half], values[half:]
        plain = whole.tobytes()
    if len(plain) != size:
        raise IndexError(f'a block of {len(plain)} bytes where {size} are expected')
    return plain


def _inflated(block: bytes, size: int) -> bytes:
    return zlib.decompressobj().decompress(block, size)


def _run_lengths(block: bytes, size: int) -> bytes:
    """A signed count: so many bytes as they are (negative), or one more of the next one."""
    done, at = bytearray(), 0
    while at < len(block) and len(done) < size:
        count = struct.unpack_from('<b', block, at)[0]
        if count < 0:
            done += block[at + 1 : at + 1 - count]
            at += 1 - count
        else:
            done += block[at + 1 : at + 2] * (count + 1)
            at += 2
    return bytes(done)
