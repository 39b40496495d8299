"""A mesh cut into the convex pieces that collide in its place, and a part made of a CAD file."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.data.cad import Units, read_cad
from insegan_ros.optional import needed_for
from insegan_ros.synthetic.parts import Part

with needed_for('cutting a mesh into convex pieces'):
    import coacd


@cache
def part_of_file(path: str, units: Units | None = None) -> Part:
    """The part of a CAD model, about its centre of mass.

    Args:
        units: of the file's numbers; None: metres where the format says so (GLB, STEP), else mm.

    Raises:
        DatasetError: no mesh that can be read, not one closed solid, or not plausibly sized.
        ValueError: it cannot be cut into convex pieces.
    """
    mesh = read_cad(path, units).mesh.copy()
    mesh.apply_translation(-mesh.center_mass)
    return Part(Path(path).stem, mesh, convex_pieces(mesh))


def convex_pieces(mesh: trimesh.Trimesh, most: int = 12) -> list[trimesh.Trimesh]:
    """Convex pieces that together are about the mesh, its holes open: what physics collides.

    CoACD ends its process on some meshes: it gets one of its own, and a remeshed copy then.

    Raises:
        ValueError: no decomposition is found.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)
    context = multiprocessing.get_context('spawn')
    for preprocess in ('auto', 'on'):
        try:
            with ProcessPoolExecutor(1, context) as pool:
                parts = pool.submit(_decompose, vertices, faces, preprocess, most=most).result()
        except BrokenProcessPool:
            continue
        return [trimesh.Trimesh(v, f).convex_hull for v, f in parts]
    raise ValueError(f'a mesh of {len(faces)} faces cannot be cut into convex pieces')


def _decompose(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], preprocess: str, *, most: int
) -> list[tuple[NDArray[np.float64], NDArray[np.int32]]]:
    coacd.set_log_level('error')
    return coacd.run_coacd(
        coacd.Mesh(vertices, faces),
        threshold=0.06,  # concavity that may stay, of the part's size
        preprocess_mode=preprocess,
        preprocess_resolution=40,
        max_convex_hull=most,
        seed=0,
    )
