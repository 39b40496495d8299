"""Named arrays in one file, in the safetensors format, by NumPy alone.

A file is the length of a header (8 bytes, little-endian), the header (JSON: for every name its
type, shape, and the range of its bytes), and the bytes. No package key of ROS brings the library
of that name; other programs read these files with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TYPES = {
    'F64': '<f8',
    'F32': '<f4',
    'F16': '<f2',
    'I64': '<i8',
    'I32': '<i4',
    'I16': '<i2',
    'I8': '|i1',
    'U64': '<u8',
    'U32': '<u4',
    'U16': '<u2',
    'U8': '|u1',
    'BOOL': '|b1',
}
NAMES = {np.dtype(text): name for name, text in TYPES.items()}
LENGTH_BYTES = 8
ALIGNMENT = 8  # bytes at which the arrays begin


class TensorsError(ValueError):
    """A file that is not of this format, or is cut short."""


def save(arrays: Mapping[str, NDArray]) -> bytes:
    """The content of a file of these arrays.

    Raises:
        ValueError: an array of a type that the format does not have here.
    """
    header, parts, end = {}, [], 0
    for name, array in arrays.items():
        kind = np.asarray(array).dtype.newbyteorder('<')
        if kind not in NAMES:
            raise ValueError(f'{name} is of {kind}; valid: {", ".join(map(str, NAMES))}')
        parts.append(np.ascontiguousarray(array, kind).tobytes())
        begin, end = end, end + len(parts[-1])
        shape = list(np.shape(array))
        header[name] = {'dtype': NAMES[kind], 'shape': shape, 'data_offsets': [begin, end]}
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % ALIGNMENT)
    return b''.join([len(text).to_bytes(LENGTH_BYTES, 'little'), text, *parts])


def load(file: Path) -> dict[str, NDArray]:
    """The arrays of a file, as copies that may be written to.

    Raises:
        OSError: the file cannot be read.
        TensorsError: it is not of this format, or is cut short.
    """
    content = Path(file).read_bytes()
    length = int.from_bytes(content[:LENGTH_BYTES], 'little')
    data = memoryview(content)[LENGTH_BYTES + length :]
    try:
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
        header.pop('__metadata__', None)
        return {name: _array(data, entry) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TensorsError(f'{file} holds no whole safetensors data: {error}') from None


def _array(data: memoryview, entry: Mapping) -> NDArray:
    kind, shape = np.dtype(TYPES[entry['dtype']]), [int(size) for size in entry['shape']]
    begin, end = entry['data_offsets']
    size = math.prod(shape) * kind.itemsize
    if min([0, *shape]) < 0 or not 0 <= begin <= end <= len(data) or end - begin != size:
        raise ValueError(f'bytes {begin} to {end} of {len(data)} for {size}')
    return np.ndarray(shape, kind, data[begin:end]).copy()
