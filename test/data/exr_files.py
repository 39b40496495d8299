"""EXR files of one float channel, written after the file layout's description."""

from __future__ import annotations

import struct
import zlib

import numpy as np

NONE, ZIPS, ZIP = 0, 2, 3


def exr_bytes(depth: np.ndarray, compression: int = ZIP, channels: tuple[str, ...] = ('Z',)):
    """(H, W) float32 or float16 -> the bytes of a file; every channel holds the same."""
    height, width = depth.shape
    kind = 2 if depth.dtype == np.float32 else 1
    listed = b''.join(
        name.encode() + b'\0' + struct.pack('<iIii', kind, 0, 1, 1) for name in sorted(channels)
    )
    window = struct.pack('<4i', 0, 0, width - 1, height - 1)
    header = b'\x76\x2f\x31\x01' + struct.pack('<I', 2)
    for name, type_name, value in (
        ('channels', 'chlist', listed + b'\0'),
        ('compression', 'compression', bytes([compression])),
        ('dataWindow', 'box2i', window),
        ('displayWindow', 'box2i', window),
        ('lineOrder', 'lineOrder', b'\0'),
    ):
        header += f'{name}\0{type_name}\0'.encode() + struct.pack('<I', len(value)) + value
    header += b'\0'
    lines = 16 if compression == ZIP else 1
    blocks = []
    for first in range(0, height, lines):
        plain = b''.join(row.tobytes() * len(channels) for row in depth[first : first + lines])
        blocks.append(struct.pack('<iI', first, len(data := _packed(plain, compression))) + data)
    offset, offsets = len(header) + 8 * len(blocks), []
    for block in blocks:
        offsets.append(offset)
        offset += len(block)
    return header + struct.pack(f'<{len(offsets)}Q', *offsets) + b''.join(blocks)


def _packed(plain: bytes, compression: int) -> bytes:
    if compression == NONE:
        return plain
    values = np.frombuffer(plain, np.uint8)
    apart = np.concatenate([values[0::2], values[1::2]]).astype(np.int64)
    steps = apart.copy()
    steps[1:] = apart[1:] - apart[:-1] + 128
    packed = zlib.compress((steps & 0xFF).astype(np.uint8).tobytes())
    return packed if len(packed) < len(plain) else plain
