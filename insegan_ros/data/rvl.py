"""RVL, the lossless depth codec of compressed_depth_image_transport, decoded.

After A. Wilson, "Fast Lossless Depth Image Compression" (ISS 2017): the image is a row of runs of
zeros and runs of values; a value is the difference to the last one, its sign folded into bit 0;
every number is written low bits first in nibbles of three bits and one that says that more
follow; nibbles fill 32-bit little-endian words from the top.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 1 << 24  # of a depth image; a larger size is damage
MAX_NIBBLES = 11  # of a number of 32 bits


def decode_rvl(data: bytes) -> NDArray[np.uint16]:
    """What the transport stores after its own header: width, height, words -> (H, W) units.

    Raises:
        ValueError: the data is cut short or is no RVL.
    """
    if len(data) < 8:
        raise ValueError(f'RVL data of {len(data)} bytes is cut short')
    width, height = struct.unpack_from('<II', data)
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f'RVL data says {width} x {height} px')
    numbers, pixels = _numbers(data[8:]), width * height
    runs: list[tuple[int, NDArray[np.int64]]] = []  # where it begins, its folded differences
    filled = at = 0
    while filled < pixels:
        if at + 2 > len(numbers):
            raise ValueError(f'RVL data ends after {filled} of {pixels} pixels')
        zeros, values = int(numbers[at]), int(numbers[at + 1])
        folded = numbers[at + 2 : at + 2 + values]
        if filled + zeros + values > pixels or len(folded) < values or zeros + values == 0:
            raise ValueError(f'RVL data is damaged after {filled} of {pixels} pixels')
        runs.append((filled + zeros, folded))
        filled, at = filled + zeros + values, at + 2 + values
    steps = np.concatenate([folded for _, folded in runs])
    depth = np.cumsum((steps >> 1) ^ -(steps & 1))
    if len(depth) and (depth.min() < 0 or depth.max() > 65535):
        raise ValueError('RVL data is damaged: its values leave 16 bits')
    flat, at = np.zeros(pixels, np.uint16), 0
    for start, folded in runs:
        flat[start : start + len(folded)] = depth[at : at + len(folded)]
        at += len(folded)
    return flat.reshape(height, width)


def _numbers(data: bytes) -> NDArray[np.int64]:
    """All numbers of the row of nibbles; what fills the last word up counts as zeros."""
    words = np.frombuffer(data[: len(data) // 4 * 4], '<u4')
    shifts = np.arange(28, -1, -4, dtype=np.uint32)
    nibbles: NDArray[np.int64] = ((words[:, None] >> shifts) & 0xF).ravel().astype(np.int64)
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    nibbles = nibbles[: ends[-1] + 1]
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= MAX_NIBBLES:
        raise ValueError('RVL data is damaged: a number of more than 32 bits')
    place = np.arange(len(nibbles)) - np.repeat(starts, ends - starts + 1)
    return np.add.reduceat((nibbles & 7) << (3 * place), starts)
