"""How far apart two poses of a part are, its symmetries allowed for.

The distance is that of Brégier et al., "Defining the pose of any 3D rigid object and an
associated distance", IJCV 2018: the root mean square, over the part's surface, of how far its
points lie apart, for the best of the motions that leave the part as it is. Each pose has points in
a Euclidean space, one for each such motion, and the distance of two poses is that of their nearest
points.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from insegan_ros.data.store import DatasetError

AXES = {'x': 0, 'y': 1, 'z': 2}
TOLERANCE = 0.01  # of the diameter: how far a symmetry may move the surface off itself
APART = np.radians(15)  # nearer turns that were found are one, found inexactly
DENSE = 40_000  # points of the surface, of which the nearest one is sought
SAMPLED_ANGLES = (0.3, 1.0, 2.4)  # radians; a round part may be turned by each of them
NAMED = re.compile(r'(none|sphere|revolution|revolution-flip|[CD][1-9]\d?)(?::([xyz]))?')
FORMS = "none, sphere, revolution:z, revolution-flip:z, C6:z, D2:z, or Siléane's poseutils.json"


@dataclass(frozen=True)
class Symmetry:
    """The rotations about its centre that leave a part as it is: its proper symmetry group."""

    rotations: NDArray[np.float64]  # (S, 3, 3) of a finite group, the identity among them
    axis: tuple[float, float, float] | None = None  # of a body of revolution, a unit vector
    flips: bool = False  # whether such a body looks the same upside down, too
    spherical: bool = False  # any rotation leaves it as it is

    @property
    def name(self) -> str:
        """In words, for reports."""
        if self.spherical:
            return 'spherical'
        if self.axis is not None:
            return 'revolution, both ways up' if self.flips else 'revolution'
        return f'finite, {len(self.rotations)}' if len(self.rotations) > 1 else 'none'


NO_SYMMETRY = Symmetry(np.eye(3)[None])


@dataclass(frozen=True)
class PoseSpace:
    """What the distance needs to know of a part, in the part's own frame."""

    centre: NDArray[np.float64]  # (3,) metres, the surface's centre of mass
    spread: NDArray[np.float64]  # (3, 3) metres, symmetric: the root of the surface's covariance
    diameter: float  # metres, of the smallest sphere about the centre that holds the part
    symmetry: Symmetry

    @staticmethod
    def of(mesh: trimesh.Trimesh, symmetry: Symmetry = NO_SYMMETRY) -> PoseSpace:
        """The integrals over the triangles are exact."""
        centre, covariance = surface_moments(mesh)
        values, axes = np.linalg.eigh(covariance)
        spread = axes @ np.diag(np.sqrt(np.maximum(values, 0))) @ axes.T
        reach = np.linalg.norm(mesh.convex_hull.vertices - centre, axis=1).max()
        return PoseSpace(centre, spread, 2 * float(reach), symmetry)

    def representatives(self, poses: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 4, 4) frame_T_part -> (N, S, D) metres: each pose's points in Euclidean space.

        D is 12 for a finite group, 6 for a body of revolution and 3 for a ball.
        """
        poses = np.asarray(poses, np.float64).reshape(-1, 4, 4)
        rotation = poses[:, :3, :3]
        place = (rotation @ self.centre + poses[:, :3, 3])[:, None]  # (N, 1, 3)
        if self.symmetry.spherical:
            return place
        if self.symmetry.axis is not None:
            axis = np.asarray(self.symmetry.axis)
            squared = self.spread @ self.spread
            radius = np.sqrt((np.trace(squared) + axis @ squared @ axis) / 2)
            signs = np.array([1.0, -1.0] if self.symmetry.flips else [1.0])
            turned = radius * (rotation @ axis)[:, None] * signs[:, None]  # (N, 1 or 2, 3)
        else:
            turned = rotation[:, None] @ self.symmetry.rotations @ self.spread
            turned = turned.reshape(len(poses), -1, 9)
        return np.concatenate([turned, np.broadcast_to(place, (*turned.shape[:2], 3))], axis=2)

    def distances(
        self, estimated: NDArray[np.floating], true: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """(P, 4, 4) and (T, 4, 4) -> (P, T) metres."""
        ours, theirs = self.representatives(estimated)[:, 0], self.representatives(true)
        apart = [cdist(ours, theirs[:, k]) for k in range(theirs.shape[1])]
        return np.min(apart, axis=0)


def surface_moments(mesh: trimesh.Trimesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3,) centre of mass of the surface and (3, 3) covariance of its points, metres."""
    triangles = np.asarray(mesh.triangles, np.float64)  # (F, 3, 3)
    areas = np.asarray(mesh.area_faces, np.float64)
    whole = areas.sum()
    centre = (areas[:, None] * triangles.mean(axis=1)).sum(axis=0) / whole
    corners = triangles - centre
    total = corners.sum(axis=1)
    second = np.einsum('f,fki,fkj->ij', areas, corners, corners)
    second += np.einsum('f,fi,fj->ij', areas, total, total)
    return centre, second / (12 * whole)


def same_surface(
    mesh: trimesh.Trimesh, other: trimesh.Trimesh, *, moved: NDArray[np.floating]
) -> bool:
    """Whether a mesh, `moved` (3,) metres, is the other one in the same axes.

    A mesh turned by half about a principal axis, or mirrored, has the same moments.
    """
    points, _, limit = _samples(mesh, 0)
    return bool(_samples(other, 1)[1].query(points + moved)[0].max() < limit)


def _samples(mesh: trimesh.Trimesh, seed: int) -> tuple[NDArray[np.float64], KDTree, float]:
    """(400, 3) points of the surface, a tree of many more, and how far off both may lie."""
    points = np.asarray(trimesh.sample.sample_surface(mesh, 400, seed=seed)[0])
    surface = KDTree(np.asarray(trimesh.sample.sample_surface(mesh, DENSE, seed=seed + 1)[0]))
    reach = float(np.linalg.norm(points - points.mean(axis=0), axis=1).max())
    return points, surface, 2 * TOLERANCE * reach + 2 * float(np.sqrt(mesh.area / DENSE))


def symmetry_of_mesh(
    mesh: trimesh.Trimesh, finite: NDArray[np.floating], *, seed: int = 0
) -> Symmetry:
    """What a mesh shows: a ball, a body of revolution, or the finite group that was found.

    Args:
        finite: (S, 4, 4) rigid motions that were found to map the mesh onto itself.
    """
    centre, covariance = surface_moments(mesh)
    points, surface, limit = _samples(mesh, seed)
    points = points - centre

    def moved_off(rotation: Rotation) -> float:
        return float(surface.query(rotation.apply(points) + centre)[0].max())

    def round_about(axis: NDArray) -> bool:
        turns = (Rotation.from_rotvec(angle * axis) for angle in SAMPLED_ANGLES)
        return all(moved_off(turn) < limit for turn in turns)

    values, axes = np.linalg.eigh(covariance)
    for k in range(3):
        others = np.delete(values, k)
        if np.ptp(others) < 0.05 * others.max() and round_about(axes[:, k]):
            across = axes[:, (k + 1) % 3]
            if round_about(across):
                return Symmetry(np.eye(3)[None], spherical=True)
            flips = moved_off(Rotation.from_rotvec(np.pi * across)) < limit
            x, y, z = (float(v) for v in axes[:, k])
            return Symmetry(np.eye(3)[None], (x, y, z), flips)
    kept = [Rotation.identity()]
    for rotation in sorted(Rotation.from_matrix(finite[:, :3, :3]), key=moved_off):
        if all((rotation * other.inv()).magnitude() > APART for other in kept):
            kept.append(rotation)
    return Symmetry(np.stack([rotation.as_matrix() for rotation in kept]))


def read_symmetry(text: str) -> Symmetry:
    """A symmetry class by its name and axis, or as the Siléane dataset's poseutils.json has it.

    C6:z are the six turns about z; D2:z these two and half turns about an axis across, which is x
    for z, y for x and z for y. A body of revolution that looks the same upside down is
    revolution-flip.

    Raises:
        DatasetError: neither such a name nor such a file.
    """
    named = NAMED.fullmatch(text)
    if named is None:
        return _symmetry_in_file(Path(text))
    kind, axis = named[1], np.eye(3)[AXES[named[2] or 'z']]
    if kind == 'sphere':
        return Symmetry(np.eye(3)[None], spherical=True)
    if kind.startswith('revolution'):
        x, y, z = axis.tolist()
        return Symmetry(np.eye(3)[None], (x, y, z), flips=kind.endswith('flip'))
    order = 1 if kind == 'none' else int(kind[1:])
    turns = Rotation.from_rotvec(2 * np.pi / order * np.arange(order)[:, None] * axis).as_matrix()
    if kind[0] == 'D':
        across = np.roll(axis, 1)
        half = Rotation.from_rotvec(np.pi * across).as_matrix()
        turns = np.concatenate([turns, turns @ half])
    return Symmetry(turns)


def _symmetry_in_file(file: Path) -> Symmetry:
    """Raises: DatasetError."""
    try:
        told: Any = json.loads(file.read_text())
        if told['type'] == 'RevolutionPoseUtils':
            flips = bool(told['rotoreflection_symmetry'])
            return Symmetry(np.eye(3)[None], (0.0, 0.0, 1.0), flips)
        if told['type'] != 'AffinePoseUtils':
            raise ValueError(f'its type is {told["type"]!r}')
        rotations = np.asarray(told['G'], np.float64).reshape(-1, 3, 3)
        if not np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-3):
            raise ValueError('G holds matrices that are no rotations')
    except OSError as error:
        raise DatasetError(
            f'--symmetry {file}: neither a file ({error}) nor one of: {FORMS}'
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f'{file} is no poseutils.json ({error}); valid: {FORMS}') from None
    return Symmetry(rotations)
