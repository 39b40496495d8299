"""Point clouds as files: PLY (ASCII, binary) and PCD (ASCII, binary, binary_compressed)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.lzf import decode_lzf
from insegan_ros.data.rvl import MAX_PIXELS

AXES = ('x', 'y', 'z')
HEADER_BYTES = 1 << 16  # of a header at most
PLY_TYPES = {
    'char': 'i1', 'int8': 'i1', 'uchar': 'u1', 'uint8': 'u1', 'short': 'i2', 'int16': 'i2',
    'ushort': 'u2', 'uint16': 'u2', 'int': 'i4', 'int32': 'i4', 'uint': 'u4', 'uint32': 'u4',
    'float': 'f4', 'float32': 'f4', 'double': 'f8', 'float64': 'f8',
}  # fmt: skip
PLY_ORDERS = {'ascii': '', 'binary_little_endian': '<', 'binary_big_endian': '>'}
PLY_SIZE = re.compile(r'\b(width|num_cols|height|num_rows)\b\s*[:=]?\s*(\d+)', re.IGNORECASE)
PCD_KEYS = ('FIELDS', 'SIZE', 'TYPE', 'WIDTH', 'HEIGHT', 'DATA')
PCD_SIZES = struct.Struct('<II')  # of binary_compressed data: compressed and whole


@dataclass(frozen=True)
class PointCloud:
    """Points in the file's own order and unit."""

    points: NDArray[np.float64]  # (N, 3); an unmeasured one is NaN or 0, 0, 0
    size: tuple[int, int] | None  # width and height of an organised cloud; None: it does not say


def decode_ply(content: bytes, where: str) -> PointCloud:
    """The vertices of a PLY file.

    Raises:
        ValueError: it is damaged or cut short, or has no vertices with x, y and z.
    """
    try:
        return _ply(content)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise ValueError(f'{where} is no PLY point cloud that can be read: {error}') from None


def decode_pcd(content: bytes, where: str) -> PointCloud:
    """The points of a PCD file.

    Raises:
        ValueError: it is damaged or cut short, or has no fields x, y and z.
    """
    try:
        return _pcd(content)
    except (ValueError, IndexError, TypeError, OverflowError, struct.error) as error:
        raise ValueError(f'{where} is no PCD point cloud that can be read: {error}') from None


def _ply(content: bytes) -> PointCloud:
    end = re.search(rb'end_header[ \t]*\r?\n', content[:HEADER_BYTES])
    if not content.startswith(b'ply') or end is None:
        raise ValueError('its header does not begin with ply and end with end_header')
    form, count, size = '', -1, dict[str, int]()
    fields: list[tuple[str, str]] = []
    element = ''
    for line in content[: end.start()].decode('latin-1').splitlines()[1:]:
        key, *words = line.split() or ['']
        if key == 'format':
            form = words[0]
        elif key in ('comment', 'obj_info'):
            for told in PLY_SIZE.finditer(line):
                axis = 'width' if told[1].lower() in ('width', 'num_cols') else 'height'
                size[axis] = int(told[2])
        elif key == 'element':
            element = words[0]
            if element == 'vertex':
                count = int(words[1])
            elif count < 0 and int(words[1]):
                raise ValueError(f'its element {element!r} comes before the vertices')
        elif key == 'property' and element == 'vertex':
            if words[0] not in PLY_TYPES:
                raise ValueError(
                    f'a vertex has a property {" ".join(words)!r}: none that is known'
                )
            fields.append((words[1], PLY_TYPES[words[0]]))
    if form not in PLY_ORDERS:
        raise ValueError(f'its format is {form!r}; {", ".join(PLY_ORDERS)} are read')
    _require_axes([name for name, _ in fields], 'vertices')
    _require_count(count)
    body = content[end.end() :]
    if form == 'ascii':
        points = _ascii(body, [name for name, _ in fields], count)
    else:
        points = _binary(body, [(name, PLY_ORDERS[form] + kind) for name, kind in fields], count)
    width, height = size.get('width', 0), size.get('height', 0)
    return PointCloud(points, (width, height) if width * height == count else None)


def _pcd(content: bytes) -> PointCloud:
    end = re.search(rb'^[ \t]*DATA[ \t]+\w+[ \t]*\r?\n', content[:HEADER_BYTES], re.MULTILINE)
    if end is None:
        raise ValueError('its header has no line DATA')
    lines = content[: end.end()].decode('latin-1').splitlines()
    header = {words[0]: words[1:] for line in lines if (words := line.split('#')[0].split())}
    absent = [key for key in PCD_KEYS if not header.get(key)]
    if absent:
        raise ValueError(f'its header lacks {", ".join(absent)}')
    names, columns = header['FIELDS'], len(header['FIELDS'])
    counts = [int(word) for word in header.get('COUNT') or ['1'] * columns]
    if not columns == len(header['SIZE']) == len(header['TYPE']) == len(counts):
        raise ValueError('FIELDS, SIZE, TYPE and COUNT have different numbers of words')
    if min(counts) < 1:
        raise ValueError(f'COUNT is {" ".join(header["COUNT"])}; 1 or more is expected')
    _require_axes(names, 'FIELDS')
    width, height = int(header['WIDTH'][0]), int(header['HEIGHT'][0])
    count = int((header.get('POINTS') or [str(width * height)])[0])
    if width < 1 or height < 1 or width * height != count:
        raise ValueError(f'WIDTH {width} x HEIGHT {height} are not the {count} POINTS')
    _require_count(count)
    kinds = [
        f'<{kind.lower()}{number}'
        for kind, number in zip(header['TYPE'], header['SIZE'], strict=True)
    ]
    body, form = content[end.end() :], header['DATA'][0]
    fields = list(zip(names, kinds, counts, strict=True))
    size = (width, height) if height > 1 else None
    if form == 'ascii':
        columns_of = [name for name, _, number in fields for name in [name, *['_'] * (number - 1)]]
        return PointCloud(_ascii(body, columns_of, count), size)
    if form == 'binary':
        flat = [
            (name, f'({number},){kind}' if number > 1 else kind) for name, kind, number in fields
        ]
        return PointCloud(_binary(body, flat, count), size)
    if form == 'binary_compressed':
        return PointCloud(_compressed(body, fields, count), size)
    raise ValueError(f'its DATA is {form!r}; ascii, binary and binary_compressed are read')


def _ascii(body: bytes, names: list[str], count: int) -> NDArray[np.float64]:
    """(N, 3) of lines of numbers, the columns of which have these names."""
    columns = [names.index(axis) for axis in AXES]
    lines = [line for line in body.decode('latin-1').splitlines() if line.strip()]
    if len(lines) < count:
        raise ValueError(f'it is cut short: it says {count} points and holds {len(lines)}')
    return np.loadtxt(lines[:count], usecols=columns, comments=None, ndmin=2)


def _binary(body: bytes, fields: list[tuple[str, str]], count: int) -> NDArray[np.float64]:
    """(N, 3) of records with these fields."""
    # names may repeat, as those of padding do
    named = [(name if name in AXES else f'{k}', kind) for k, (name, kind) in enumerate(fields)]
    record = np.dtype(named)
    if len(body) < count * record.itemsize:
        raise ValueError(
            f'it is cut short: {count} points of {record.itemsize} bytes are {len(body)} bytes'
        )
    rows = np.frombuffer(body, record, count)
    return np.stack([rows[axis].astype(np.float64) for axis in AXES], axis=1)


def _compressed(
    body: bytes, fields: list[tuple[str, str, int]], count: int
) -> NDArray[np.float64]:
    """(N, 3) of LZF, field after field, each of all points."""
    compressed, whole = PCD_SIZES.unpack_from(body)
    sizes = [np.dtype(kind).itemsize * number * count for _, kind, number in fields]
    if whole != sum(sizes):
        raise ValueError(f'it says {whole} bytes; {count} points are {sum(sizes)}')
    data = body[PCD_SIZES.size : PCD_SIZES.size + compressed]
    if len(data) < compressed:
        raise ValueError(
            f'it is cut short: {len(data)} of {compressed} compressed bytes are there'
        )
    unpacked = decode_lzf(data, whole)
    starts = dict(zip((name for name, _, _ in fields), np.cumsum([0, *sizes]), strict=False))
    kinds = {name: kind for name, kind, _ in fields}
    read = [np.frombuffer(unpacked, kinds[axis], count, int(starts[axis])) for axis in AXES]
    return np.stack([values.astype(np.float64) for values in read], axis=1)


def _require_axes(names: list[str], what: str) -> None:
    if any(names.count(axis) != 1 for axis in AXES):
        raise ValueError(f'its {what} are {", ".join(names) or "none"}; x, y and z are expected')


def _require_count(count: int) -> None:
    if not 0 < count <= MAX_PIXELS:
        raise ValueError(f'it says {count} points; 1 to {MAX_PIXELS} are expected')
