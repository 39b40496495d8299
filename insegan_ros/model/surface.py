"""A template's surface as points and as a field of distances; points seen by a camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import ndimage

from insegan_ros.model.template import Template
from insegan_ros.types import Intrinsics


@dataclass(frozen=True)
class Surface:
    """Points on a surface, with outward unit normals."""

    points: NDArray[np.float64]  # (M, 3)
    normals: NDArray[np.float64]  # (M, 3)

    @cached_property
    def _support(self) -> NDArray[np.float64]:
        """(M,) distance of the origin from the plane that touches the surface at each point."""
        return np.asarray(np.einsum('ij,ij->i', self.normals, self.points))

    def facing(self, pose: NDArray) -> NDArray[np.float64]:
        """(F, 3) those points that face the camera, in its frame."""
        rotation, shift = pose[:3, :3], pose[:3, 3]
        facing = self._support + self.normals @ (shift @ rotation) < 0
        return np.asarray(self.points[facing] @ rotation.T + shift)


def sample_surface(mesh: trimesh.Trimesh, count: int, seed: int) -> Surface:
    """Points spread evenly over a mesh."""
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)
    return Surface(np.asarray(points), np.asarray(mesh.face_normals[faces]))


@dataclass(frozen=True)
class DistanceField:
    """Signed distance to a template's surface, metres: negative inside."""

    values: NDArray[np.float32]  # (G, G, G)
    gradients: NDArray[np.float32]  # (3, G, G, G)
    voxel_m: float
    low: NDArray[np.float64]  # (3,) the first voxel's centre

    @staticmethod
    def of(template: Template, origin: NDArray) -> DistanceField:
        """The signed distances around a template."""
        margin = 6  # voxels around the grid
        occupancy = np.pad(template.occupancy, margin)
        inside = occupancy > 0.5
        distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
        distance -= np.sign(distance) * 0.5  # to the voxels' faces
        near = np.abs(distance) < 1  # where the occupancy itself shows the surface's place
        distance = np.where(near, np.clip((0.5 - occupancy) * 2, -1, 1) * 0.5, distance)
        distance = ndimage.gaussian_filter(distance, 0.6).astype(np.float32)
        low = -(np.array(occupancy.shape) - 1) / 2 * template.voxel_m - origin
        gradients = np.stack(np.gradient(distance)).astype(np.float32)
        return DistanceField(
            distance * np.float32(template.voxel_m), gradients, template.voxel_m, low
        )

    def __call__(self, points: NDArray) -> tuple[NDArray, NDArray]:
        """(M, 3) -> (M,) distances and (M, 3) unit gradients."""
        at = ((points - self.low) / self.voxel_m).T
        distance = ndimage.map_coordinates(self.values, at, order=1, mode='nearest')
        gradient = np.stack(
            [ndimage.map_coordinates(g, at, order=1, mode='nearest') for g in self.gradients], 1
        )
        length = np.linalg.norm(gradient, axis=1, keepdims=True)
        return distance, gradient / np.maximum(length, 1e-6)


def pixels_of(points: NDArray, k: Intrinsics) -> NDArray[np.int64]:
    """(M, 3) camera-frame points -> (M, 2) row and column of their pixels."""
    z = np.maximum(points[:, 2], 1e-6)
    rows, columns = k.fy * points[:, 1] / z + k.cy, k.fx * points[:, 0] / z + k.cx
    return np.rint(np.stack([rows, columns], axis=1)).astype(np.int64)


def depth_of(
    index: NDArray[np.integer], depth: NDArray, shape: tuple[int, ...], *, behind: float
) -> NDArray[np.float64]:
    """The nearest surface through points at (M, 2) rows and columns; inf where there is none.

    A pixel shows the mean of its points up to `behind` beyond the nearest: the nearest alone is
    too near where the surface slopes.
    """
    rows, columns = index.T
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    flat, depth = (rows * shape[1] + columns)[inside], depth[inside]
    size = shape[0] * shape[1]
    nearest = np.full(size, np.inf)
    np.minimum.at(nearest, flat, depth)
    front = depth <= nearest[flat] + behind
    count = np.bincount(flat[front], minlength=size)
    total = np.bincount(flat[front], depth[front], minlength=size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    return mean.reshape(shape)
