"""A part's true mesh, from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insegan_ros.data.store import DatasetError
from insegan_ros.optional import needed_for

if TYPE_CHECKING:
    import trimesh

STEP = ('.step', '.stp')  # read by the wheel `cascadio`, in metres
FORMATS = ('.stl', '.ply', '.obj', '.off', '.glb')
LARGEST_M = 5.0  # of a part that lies in a bin; a larger number is millimetres
MAX_FILE_BYTES = 1 << 30


def read_mesh(path: Path | str, unit_m: float = 1.0) -> trimesh.Trimesh:
    """A mesh in metres.

    Args:
        unit_m: metres a unit of the file's numbers.

    Raises:
        DatasetError: no file, another format, a damaged one, no faces, or not in metres.
    """
    path = Path(path)
    told = 'metres' if unit_m == 1 else f'units of {unit_m:g} m'
    expected = f'{", ".join(FORMATS)} in {told} is expected'
    if not path.is_file():
        raise DatasetError(f'there is no mesh file {path}')
    if path.suffix.lower() not in FORMATS:
        raise DatasetError(f'{path} is no mesh that can be read; {expected}: export it from CAD')
    mesh = load_faces(path, expected)
    mesh.merge_vertices()
    extent = unit_m * float(np.max(mesh.extents))
    if extent > LARGEST_M:
        raise DatasetError(f'{path} is {extent:g} m long: millimetres? {expected}')
    return mesh if unit_m == 1 else mesh.apply_scale(unit_m)


def load_faces(path: Path, expected: str) -> trimesh.Trimesh:
    """Vertices and faces as the file has them, of all its bodies.

    Args:
        expected: what would be a good file, for the message.

    Raises:
        DatasetError: it is too large, damaged or cut off, has no faces, or vertices that are not
            finite or not there.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DatasetError(f'{path} is larger than {MAX_FILE_BYTES >> 30} GiB; export it coarser')
    _require_whole(path)
    with needed_for('reading a mesh'):
        import trimesh
    try:
        mesh = trimesh.load(str(path), force='mesh', process=False)
    except Exception as error:  # trimesh has many errors for damaged files
        raise DatasetError(
            f'{path} cannot be read as a mesh ({type(error).__name__}: {error}); {expected}'
        ) from None
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise DatasetError(
            f'{path} holds no faces: a point cloud, a drawing or an empty file is no mesh; '
            f'{expected}'
        )
    wrong = int((~np.isfinite(mesh.vertices).all(axis=1)).sum())
    if wrong:
        raise DatasetError(
            f'{path}: {wrong} of {len(mesh.vertices)} vertices are not finite (NaN or infinite); '
            'export it again from CAD'
        )
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise DatasetError(f'{path} is damaged: its faces have vertices that are not there')
    return mesh


def _require_whole(path: Path) -> None:
    """Raises: DatasetError, for files that end early or are no such files, where that shows."""
    with path.open('rb') as file:
        head = file.read(256)
    suffix, size = path.suffix.lower(), path.stat().st_size
    if suffix in STEP and b'ISO-10303' not in head:
        raise DatasetError(
            f'{path} is no STEP file: those begin with ISO-10303-21; export it again from CAD'
        )
    if suffix == '.stl' and size >= 84 and not head.lstrip().lower().startswith(b'solid'):
        faces = int.from_bytes(head[80:84], 'little')
        if size < 84 + 50 * faces:
            raise DatasetError(
                f'{path} ends early: it is to hold {faces} faces and holds '
                f'{(size - 84) // 50}; copy or export it again'
            )
