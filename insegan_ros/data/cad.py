"""A CAD model of the part as one closed solid in metres: faults are mended and named, or refused.

`data.meshes` reads a true mesh for comparison; here a part is read that piles are made of, so that
its size, its closedness and its being one part matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import trimesh

from insegan_ros.data.meshes import FORMATS, STEP, load_faces
from insegan_ros.data.store import DatasetError, sha256
from insegan_ros.optional import needed_for

Units = Literal['mm', 'cm', 'm', 'in']
METRES: dict[Units, float] = {'mm': 0.001, 'cm': 0.01, 'm': 1.0, 'in': 0.0254}
IN_METRES = (*STEP, '.glb')  # formats that fix their unit
UNREAD = ('.iges', '.igs', '.sldprt', '.ipt', '.catpart', '.prt', '.x_t', '.jt', '.3dm', '.f3d')
PLAUSIBLE_M = (0.005, 0.6)  # of a part that lies in a bin under a depth camera
MOST_FACES = 60_000  # more are simplified
SIMPLIFIED = 5e-4  # of the length: how far a simplified surface may lie from the true one
FLAT = 1e-3  # of the length: what is thinner is no solid
FILLED = 0.01  # of the surface: larger holes are not closed by guessing
SPECK = 1e-4  # of the volume: smaller bodies are left out


@dataclass(frozen=True)
class CadPart:
    """One closed solid, in metres, in the frame of its file."""

    mesh: trimesh.Trimesh
    units: Units
    notes: tuple[str, ...]  # what was repaired

    @property
    def size_mm(self) -> list[float]:
        """Its sides along the axes of its file, the longest first."""
        return [round(float(side) * 1e3, 2) for side in sorted(self.mesh.extents)[::-1]]


def read_cad(path: Path | str, units: Units | None = None) -> CadPart:
    """The part of a CAD model.

    Args:
        path: STL, OBJ, PLY, OFF, GLB; STEP where `cascadio` is installed.
        units: of the file's numbers; None: metres where the format says so (GLB, STEP), else mm.

    Raises:
        DatasetError: no mesh that can be read, not one closed solid, or not plausibly sized; the
            message says what is wrong and what to do.
    """
    path = Path(path)
    mesh = _loaded(path)
    fixed = path.suffix.lower() in IN_METRES
    chosen: Units = units or ('m' if fixed else 'mm')
    _require_plausible(mesh, path, chosen, told=units is not None)
    mesh.apply_scale(METRES[chosen])
    notes: list[str] = []
    closed = _closed(mesh, path, notes)
    return CadPart(_one_body(closed, path, notes), chosen, tuple(notes))


def content_hash(path: Path | str) -> str:
    """A short hash of a file: another one is another part.

    Raises:
        DatasetError: there is no such file.
    """
    try:
        return sha256(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(f'there is no mesh file {path}: {error}') from None


def _loaded(path: Path) -> trimesh.Trimesh:
    """Vertices and faces as the file has them, equal vertices merged."""
    suffix = path.suffix.lower()
    expected = f'{", ".join((*FORMATS, *STEP))} is expected'
    if not path.is_file():
        raise DatasetError(f'there is no mesh file {path}')
    if suffix in UNREAD or suffix not in (*FORMATS, *STEP):
        raise DatasetError(
            f'{path} is no mesh that can be read; {expected}: export it from CAD as STL or STEP'
        )
    if suffix in STEP:
        with needed_for(f'reading the STEP file {path.name}'):
            import cascadio  # noqa: F401 trimesh reads STEP by it
    # a file of several bodies is one mesh, whose bodies are parted below
    mesh = load_faces(path, expected)
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)  # no colours, no cache
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    mesh.update_faces(mesh.nondegenerate_faces())
    mesh.remove_unreferenced_vertices()
    if not len(mesh.faces):
        raise DatasetError(f'{path}: all its faces have no area; export it again from CAD')
    return mesh


def _require_plausible(mesh: trimesh.Trimesh, path: Path, units: Units, *, told: bool) -> None:
    """Raises: DatasetError, where a part of that size lies in no bin; with the likely units."""
    length = float(np.max(mesh.extents))
    low, high = PLAUSIBLE_M
    if low <= length * METRES[units] <= high:
        return
    likely = [
        f'--units {name} ({length * metres * 1e3:.4g} mm)'
        for name, metres in METRES.items()
        if low <= length * metres <= high
    ]
    taken = f'in {units}' if told else f'in {units}, which is assumed without --units'
    raise DatasetError(
        f'{path} is {length:.4g} long, {taken}: {length * METRES[units] * 1e3:.4g} mm, and parts '
        f'in a bin are {low * 1e3:.0f} to {high * 1e3:.0f} mm long; '
        + (f'likely {" or ".join(likely)}' if likely else 'scale it in CAD')
    )


def _closed(mesh: trimesh.Trimesh, path: Path, notes: list[str]) -> trimesh.Trimesh:
    """The mesh without holes, its faces turned outwards.

    Raises:
        DatasetError: it is flat, or its holes are too large to be closed by guessing.
    """
    length = float(np.max(mesh.extents))
    off = mesh.vertices - mesh.vertices.mean(axis=0)
    thinnest = float(np.ptp(off @ np.linalg.eigh(off.T @ off)[1], axis=0).min())
    if thinnest < FLAT * length:
        raise DatasetError(
            f'{path} is flat: {length * 1e3:.4g} mm long and {thinnest * 1e3:.2g} mm thin; a '
            'solid is needed, not a face or a drawing: give it its thickness in CAD'
        )
    twice = len(mesh.faces) - int((once := mesh.unique_faces()).sum())
    if twice:
        mesh.update_faces(once)
        notes.append(f'{twice} faces that were there more than once were left out')
    if not mesh.is_watertight:
        _, faces_of_edges = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
        area, edges = float(mesh.area), int((faces_of_edges != 2).sum())
        trimesh.repair.fix_normals(mesh)
        mesh.fill_holes()
        grown = float(mesh.area) - area
        if not mesh.is_watertight or grown > FILLED * area:
            raise DatasetError(
                f'{path} is open: {edges} edges have a face on one side alone, so that it is no '
                'solid; export the solid body from CAD (not a surface), or close it in a mesh '
                'program'
            )
        notes.append(f'small holes along {edges} open edges were closed')
    if not mesh.is_winding_consistent:
        trimesh.repair.fix_normals(mesh)
        notes.append('faces that were turned inwards were turned outwards')
    if mesh.volume < 0:
        mesh.invert()
        notes.append('the surface was inside out and was turned')
    return _simplified(mesh, path, notes)


def _simplified(mesh: trimesh.Trimesh, path: Path, notes: list[str]) -> trimesh.Trimesh:
    """With fewer faces, where there are very many.

    Raises:
        DatasetError: they cannot be made fewer.
    """
    before = len(mesh.faces)
    if before <= MOST_FACES:
        return mesh
    with needed_for('simplifying a mesh of so many faces'):
        import manifold3d
    tolerance = SIMPLIFIED * float(np.max(mesh.extents))
    given = manifold3d.Mesh(
        np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32)
    )
    given.merge()
    fewer = manifold3d.Manifold(given).simplify(tolerance).to_mesh()
    simple = trimesh.Trimesh(fewer.vert_properties[:, :3], fewer.tri_verts)
    if not 0 < len(simple.faces) <= MOST_FACES or not simple.is_watertight:
        raise DatasetError(
            f'{path} has {before} faces, and they cannot be made fewer without moving the surface '
            f'by more than {tolerance * 1e3:.2g} mm; export it coarser, with at most {MOST_FACES}'
        )
    notes.append(
        f'{before} faces were simplified to {len(simple.faces)}, the surface moving by at most '
        f'{tolerance * 1e3:.2g} mm'
    )
    return simple


def _one_body(mesh: trimesh.Trimesh, path: Path, notes: list[str]) -> trimesh.Trimesh:
    """The one solid: cavities and specks are left out, bodies that overlap are joined.

    Raises:
        DatasetError: there are several.
    """
    bodies = list(mesh.split(only_watertight=False))
    if len(bodies) == 1:
        return mesh
    whole = max(abs(body.volume) for body in bodies)
    cavities = [body for body in bodies if body.volume < 0]
    solid = [body for body in bodies if body.volume > SPECK * whole]
    if cavities:
        notes.append(f'{len(cavities)} closed cavities, which no camera sees, were filled')
    specks = len(bodies) - len(cavities) - len(solid)
    if specks:
        notes.append(f'{specks} specks beside the part were left out')
    if len(solid) > 1:
        joined = _joined(solid)
        if joined is None:
            sizes = ', '.join(f'{body.extents.max() * 1e3:.4g} mm' for body in solid[:5])
            raise DatasetError(
                f'{path} holds {len(solid)} bodies apart from each other ({sizes} long); a bin '
                'is learned of one part: save one body to a file of its own'
            )
        notes.append(f'{len(solid)} bodies that overlap were joined')
        return joined
    return solid[0]


def _joined(bodies: Sequence[trimesh.Trimesh]) -> trimesh.Trimesh | None:
    """The union, where it is one body."""
    with needed_for('joining the bodies of a mesh'):
        import manifold3d
    solids = [
        manifold3d.Manifold(
            manifold3d.Mesh(np.asarray(b.vertices, np.float32), np.asarray(b.faces, np.uint32))
        )
        for b in bodies
    ]
    union = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add)
    if union.is_empty() or len(union.decompose()) != 1:
        return None
    found = union.to_mesh()
    return trimesh.Trimesh(found.vert_properties[:, :3], found.tri_verts)
