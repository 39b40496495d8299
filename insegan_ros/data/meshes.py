"""A part's true mesh, from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insegan_ros.data.store import DatasetError
from insegan_ros.optional import needed_for

if TYPE_CHECKING:
    import trimesh

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
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DatasetError(f'{path} is larger than {MAX_FILE_BYTES >> 30} GiB')
    with needed_for('reading a mesh'):
        import trimesh
    try:
        mesh = trimesh.load_mesh(path)
        faces = len(mesh.faces) if isinstance(mesh, trimesh.Trimesh) else 0
        extent = unit_m * float(np.max(mesh.extents)) if faces else 0.0
    except Exception as error:  # trimesh has many errors for damaged files
        raise DatasetError(
            f'{path} cannot be read as a mesh ({type(error).__name__}: {error}); {expected}'
        ) from None
    if not faces or not np.isfinite(extent):
        raise DatasetError(f'{path} holds no mesh; {expected}')
    if extent > LARGEST_M:
        raise DatasetError(f'{path} is {extent:g} m long: millimetres? {expected}')
    return mesh if unit_m == 1 else mesh.apply_scale(unit_m)
