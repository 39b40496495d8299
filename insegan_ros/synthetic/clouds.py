"""Labelled point clouds beside a dataset's frames: what other tools read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np

from insegan_ros.camera import points_from_depth
from insegan_ros.data.store import DatasetInfo, Sample
from insegan_ros.files import write_atomically


def cloud_file(folder: Path, index: int, kind: Literal['ply', 'npz']) -> Path:
    """Where the point cloud of a frame is stored."""
    return folder / 'clouds' / f'{index:06d}.{kind}'


def write_cloud(
    folder: Path, scene: Sample, info: DatasetInfo, *, kind: Literal['ply', 'npz']
) -> None:
    """Write clouds/<frame>.<kind>: each measured pixel's x, y, z (metres, camera) and label."""
    assert scene.labels is not None  # it is simulated
    points = points_from_depth(scene.frame.depth_m, info.intrinsics)
    measured = np.isfinite(scene.frame.depth_m)
    xyz, labels = points[measured], scene.labels[measured]
    buffer = io.BytesIO()
    if kind == 'npz':
        np.savez_compressed(buffer, points=xyz, labels=labels)
    else:
        rows = np.empty(len(xyz), [('xyz', '<f4', 3), ('label', 'u1')])
        rows['xyz'], rows['label'] = xyz, labels
        lines = ['ply', 'format binary_little_endian 1.0', f'element vertex {len(rows)}']
        lines += [f'property float {axis}' for axis in 'xyz'] + ['property uchar label']
        buffer.write('\n'.join([*lines, 'end_header', '']).encode() + rows.tobytes())
    file = cloud_file(folder, scene.index, kind)
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, buffer.getvalue())
