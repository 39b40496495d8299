"""A closed mesh as a template: occupancy from how often the surface winds around each voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from insegan_ros.model.template import Template, TemplateError

GRIDS = (40, 96)  # least and most voxels along a side
ACROSS = 5  # voxels across the thinnest side, where that many fit
MARGIN = 3  # voxels around the part
SLOPE = 4.0  # of the logits, a voxel: occupancy is then linear in the distance to the surface
STEEPEST = 6.0
NEAR = 2.5  # voxels from the surface within which distances are exact
DENSE = 200_000  # points of the surface
KEPT = (0.85, 1.15)  # of the volume: a template that keeps another one is coarser than its walls
# where columns of voxels are looked along, of a voxel off its middle: edges of models lie on
# round numbers, and a column along an edge would count it twice or not at all
ASIDE = (0.00317, 0.00471)


@dataclass(frozen=True)
class Winding:
    """How often a closed surface winds around points of a grid; above 0 is inside."""

    number: NDArray[np.int16]  # (G, G, G); axes x, y, z
    low: NDArray[np.float64]  # (3,) the first voxel's middle, metres
    voxel_m: float

    @property
    def crossing(self) -> float:
        """Share of the solid's voxels that lie in it twice or more: its surface crosses itself."""
        inside = max(int((self.number > 0).sum()), 1)
        return float((self.number > 1).sum() / inside)

    @property
    def inverted(self) -> float:
        """Voxels that it winds around the wrong way, of those that it winds around."""
        around = max(int((self.number != 0).sum()), 1)
        return float((self.number < 0).sum() / around)


def winding_of(mesh: trimesh.Trimesh) -> Winding:
    """Of a closed mesh in metres, on a cube of voxels around its bounding box."""
    length = float(np.max(mesh.extents))
    thinnest = float(np.min(mesh.bounding_box_oriented.primitive.extents))
    across = int(np.clip(np.ceil(ACROSS * length / max(thinnest, 1e-9)), *GRIDS)) - 2 * MARGIN
    voxel, count = length / across, across + 2 * MARGIN
    low = mesh.bounds.mean(axis=0) - (count - 1) / 2 * voxel
    corners = (np.asarray(mesh.triangles, np.float64) - low) / voxel  # in voxels
    corners[..., :2] -= np.array(ASIDE)
    changes = np.zeros((count, count, count + 1), np.int32)
    for part in np.array_split(corners, max(len(corners) // 20_000, 1)):
        _count_crossings(part, changes)
    # what lies below a surface seen from above is inside
    number = np.cumsum(changes[..., ::-1], axis=2)[..., ::-1][..., 1:]
    return Winding(number.astype(np.int16), low, voxel)


def _count_crossings(corners: NDArray[np.float64], changes: NDArray[np.int32]) -> None:
    """Add (T, 3, 3) triangles to `changes`: for each column, where it passes a surface.

    A surface that faces up counts 1 at the first voxel above it, one that faces down -1.
    """
    count = changes.shape[0]
    a, b, c = corners.transpose(1, 0, 2)
    area = _cross(b - a, c - a)
    first = np.clip(np.ceil(corners[..., :2].min(axis=1)), 0, count).astype(int)
    last = np.clip(np.floor(corners[..., :2].max(axis=1)), -1, count - 1).astype(int)
    sides = np.maximum(last - first + 1, 0) * (area != 0)[:, None]
    columns = sides.prod(axis=1)
    which = np.repeat(np.arange(len(corners)), columns)
    within = np.arange(len(which)) - np.repeat(np.cumsum(columns) - columns, columns)
    x = first[which, 0] + within // np.maximum(sides[which, 1], 1)
    y = first[which, 1] + within % np.maximum(sides[which, 1], 1)
    at = np.stack([x, y], axis=1).astype(np.float64)
    one, two, three = (p[which, :2] - at for p in (a, b, c))
    weights = np.stack([_cross(two, three), _cross(three, one), _cross(one, two)], axis=1)
    weights /= area[which][:, None]
    hit = (weights >= 0).all(axis=1)
    which, x, y, weights = which[hit], x[hit], y[hit], weights[hit]
    z = (weights * corners[which, :, 2]).sum(axis=1)
    above = np.clip(np.ceil(z), 0, count).astype(int)
    np.add.at(changes, (x, y, above), np.sign(area[which]).astype(np.int32))


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) of (M, 2 or 3) vectors in the plane of x and y."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def template_of(mesh: trimesh.Trimesh, winding: Winding) -> Template:
    """Occupancy of a closed mesh, its axes the mesh's, its origin the bounding box's middle.

    Walls thinner than a voxel are thickened to about one: they would have holes else.

    Raises:
        TemplateError: nothing is inside.
    """
    inside = winding.number > 0
    outside_in = ndimage.distance_transform_edt(~inside)
    distance = outside_in - ndimage.distance_transform_edt(inside)  # voxels
    distance -= np.sign(distance) * 0.5
    near = np.abs(distance) < NEAR
    points = trimesh.sample.sample_surface(mesh, DENSE, seed=0)[0]
    index = np.argwhere(near)
    middles = winding.low + index * winding.voxel_m
    exact = KDTree(points).query(middles)[0] / winding.voxel_m
    # of walls that no voxel's middle lies in nothing is near yet
    apart = np.floor((points - winding.low) / winding.voxel_m + 0.5).astype(int)
    thin = np.zeros_like(inside)
    thin[tuple(apart.T)] = True
    distance[near] = np.where(inside[near], -exact, exact)
    template = _of_distance(distance, winding.voxel_m)
    true = float(mesh.volume)
    if template is not None and KEPT[0] * true <= template.mesh().volume <= KEPT[1] * true:
        return template
    thickened = np.minimum(distance, np.where(thin, -0.5, np.inf))
    template = _of_distance(thickened, winding.voxel_m)
    if template is None:
        raise TemplateError('nothing is inside the mesh; a closed solid is needed')
    return template


def _of_distance(distance: NDArray[np.float64], voxel_m: float) -> Template | None:
    logits = np.clip(-SLOPE * distance, -STEEPEST, STEEPEST).astype(np.float32)
    return Template(logits, voxel_m) if (logits > 0).any() else None
