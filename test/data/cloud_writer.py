"""Small organised point clouds of a bin, written as PLY and PCD in every form."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(20, 14, 40.0, 41.0, 9.0, 7.0)
CAMERA_YAML = """image_width: 20
image_height: 14
camera_matrix: {rows: 3, cols: 3, data: [40.0, 0, 9.0, 0, 41.0, 7.0, 0, 0, 1]}
"""


def bin_depth() -> np.ndarray:
    """(H, W) metres: a floor with a box on it, and a pixel that is not measured."""
    depth = np.full((14, 20), 0.6)
    depth[4:9, 5:12] = 0.55
    depth[0, 0] = np.nan
    return depth


def points_of(depth: np.ndarray, k: Intrinsics = CAMERA) -> np.ndarray:
    """(N, 3) in the order of the pixels."""
    rows, columns = np.mgrid[: k.height, : k.width]
    rays = np.stack([(columns - k.cx) / k.fx, (rows - k.cy) / k.fy, np.ones(rows.shape)], axis=2)
    return (rays * depth[..., None]).reshape(-1, 3)


def ply(
    points: np.ndarray,
    form: str = 'binary_little_endian',
    *,
    size: tuple[int, int] | None = (20, 14),
    colour: bool = True,
    kind: str = 'float',
    newline: str = '\n',
) -> bytes:
    """With a colour after the place, as most cameras write it."""
    lines = ['ply', f'format {form} 1.0', 'comment made by a test']
    if size is not None:
        lines += [f'comment width {size[0]}', f'comment height {size[1]}']
    lines += [f'element vertex {len(points)}', *(f'property {kind} {axis}' for axis in 'xyz')]
    if colour:
        lines += [f'property uchar {name}' for name in ('red', 'green', 'blue')]
    header = newline.join([*lines, 'end_header', '']).encode()
    if form == 'ascii':
        more = ' 1 2 3' if colour else ''
        body = newline.join(f'{x:.6f} {y:.6f} {z:.6f}{more}' for x, y, z in points)
        return header + (body + newline).encode()
    order = '<' if form == 'binary_little_endian' else '>'
    fields = [(axis, order + ('f8' if kind == 'double' else 'f4')) for axis in 'xyz']
    rows = np.zeros(len(points), [*fields, ('colour', 'u1', 3 if colour else 0)])
    for axis, values in zip('xyz', points.T, strict=True):
        rows[axis] = values
    return header + rows.tobytes()


def lzf_literals(data: bytes) -> bytes:
    """Compressed by nothing: every byte as it is."""
    chunks = [data[k : k + 32] for k in range(0, len(data), 32)]
    return b''.join(bytes([len(chunk) - 1]) + chunk for chunk in chunks)


def pcd(points: np.ndarray, form: str = 'binary', *, size: tuple[int, int] = (20, 14)) -> bytes:
    """With padding and a packed colour, as PCL writes it."""
    header = (
        '# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z _ rgb\n'
        f'SIZE 4 4 4 1 4\nTYPE F F F U F\nCOUNT 1 1 1 4 1\nWIDTH {size[0]}\nHEIGHT {size[1]}\n'
        f'VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\nDATA {form}\n'
    ).encode()
    if form == 'ascii':
        lines = (f'{x:.6f} {y:.6f} {z:.6f} 0 0 0 0 4.2e+06' for x, y, z in points)
        return header + '\n'.join(lines).encode()
    if form == 'binary':
        rows = np.zeros(len(points), [('xyz', '<f4', 3), ('_', 'u1', 4), ('rgb', '<f4')])
        rows['xyz'] = points
        return header + rows.tobytes()
    columns = [points[:, k].astype('<f4').tobytes() for k in range(3)]
    data = b''.join([*columns, bytes(4 * len(points)), bytes(4 * len(points))])
    packed = lzf_literals(data)
    return header + struct.pack('<II', len(packed), len(data)) + packed


def folder_of(path: Path, name: str, content: bytes, camera: str | None = None) -> Path:
    """A folder with one cloud and, if it is given, its camera's file."""
    path.mkdir(exist_ok=True)
    (path / name).write_bytes(content)
    if camera is not None:
        (path / 'camera_info.yaml').write_text(camera)
    return path
