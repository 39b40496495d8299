"""Depth images and instance ids of a bin's scene, by ray casting (Embree)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from insegan_ros.synthetic.bin_world import BinSpec
from insegan_ros.types import FloatImage, Intrinsics

FLOOR_REACH = 4.0  # metres: half the side of the square floor that is rendered


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the world."""

    intrinsics: Intrinsics
    world_T_camera: NDArray[np.floating]  # (4, 4), the camera's optical frame in the world

    @property
    def camera_T_world(self) -> NDArray[np.floating]:
        return np.linalg.inv(self.world_T_camera)


def looking_down(
    height: float,
    tilt_degrees: float = 0.0,
    turn_degrees: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """(4, 4) world_T_camera of a camera `height` metres above the floor over the bin.

    Untilted, the image's x runs along the world's x and its y against the world's y. A tilted
    camera swings about the bin's centre, so that it keeps looking at it; `turn_degrees` is the
    direction it swings to.
    """
    down = np.diag([1.0, -1.0, -1.0, 1.0])
    down[2, 3] = height
    pose = _rotation(2, turn_degrees) @ _rotation(0, tilt_degrees) @ _rotation(2, -turn_degrees)
    pose = pose @ down
    pose[2, 3] = height
    if tilt_degrees:
        away = height * np.tan(np.radians(tilt_degrees))
        direction = np.radians(turn_degrees)
        pose[:2, 3] = away * np.sin(direction), -away * np.cos(direction)
    pose[:2, 3] += offset
    return pose


def _rotation(axis: int, degrees: float) -> NDArray[np.float64]:
    direction = np.eye(3)[axis]
    return trimesh.transformations.rotation_matrix(np.radians(degrees), direction)


class Raycaster:
    """Renders parts in a bin. Without a bin there is only the floor."""

    def __init__(self, mesh: trimesh.Trimesh, bin_spec: BinSpec | None = None) -> None:
        self._vertices = np.asarray(mesh.vertices, np.float64)
        self._faces = np.asarray(mesh.faces, np.int32)
        self._surroundings = _surroundings(bin_spec)
        self._rays: tuple[Intrinsics, NDArray[np.float32]] | None = None

    def render(
        self,
        poses: NDArray[np.floating],
        camera: Camera,
        bin_offset: NDArray[np.floating] | None = None,
    ) -> tuple[FloatImage, NDArray[np.uint8]]:
        """Cast one ray through each pixel's centre.

        Args:
            poses: (N, 4, 4) world_T_part, N at most 255.
            camera: where from.
            bin_offset: (3,) where the bin stands if it has moved.

        Returns:
            (H, W) depth along the optical axis in metres, NaN where nothing is hit, and (H, W)
            uint8 ids: k for poses[k - 1], 0 for floor, walls and nothing.
        """
        if len(poses) > 255:
            raise ValueError(f'{len(poses)} parts: 8-bit ids tell at most 255 apart')
        intrinsics = camera.intrinsics
        directions = self._directions(intrinsics)
        scene = EmbreeScene()
        around, faces = self._surroundings
        if bin_offset is not None:
            around = around + np.where(np.arange(len(around))[:, None] < 4, 0, bin_offset)
        camera_T_world = camera.camera_T_world
        TriangleMesh(scene, _moved(around, camera_T_world), faces)
        for pose in poses:
            TriangleMesh(scene, _moved(self._vertices, camera_T_world @ pose), self._faces)
        hits = scene.run(np.zeros_like(directions), directions, output=True)
        # the directions have z = 1, so the ray's parameter is the depth
        shape = (intrinsics.height, intrinsics.width)
        hit = hits['geomID'] >= 0
        depth = np.where(hit, hits['tfar'], np.nan).astype(np.float32).reshape(shape)
        ids = np.where(hit, hits['geomID'], 0).astype(np.uint8).reshape(shape)
        return depth, ids

    def _directions(self, intrinsics: Intrinsics) -> NDArray[np.float32]:
        """(H * W, 3) ray directions with z = 1, kept for the next image of the same camera."""
        if self._rays is None or self._rays[0] != intrinsics:
            v, u = np.mgrid[: intrinsics.height, : intrinsics.width]
            x = (u - intrinsics.cx) / intrinsics.fx
            y = (v - intrinsics.cy) / intrinsics.fy
            rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3).astype(np.float32)
            self._rays = (intrinsics, rays)
        return self._rays[1]


def _moved(vertices: NDArray[np.float64], pose: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vertices @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)


def _surroundings(spec: BinSpec | None) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices and faces of the floor (the first four vertices) and the walls."""
    r = FLOOR_REACH
    floor = np.array([[-r, -r, 0], [r, -r, 0], [r, r, 0], [-r, r, 0]], np.float64)
    vertices, faces = [floor], [np.array([[0, 1, 2], [0, 2, 3]])]
    if spec is not None:
        span = spec.width / 2 + spec.wall_thickness / 2
        long, thick = spec.width + 2 * spec.wall_thickness, spec.wall_thickness
        sides = [(span, 0.0, thick, long), (-span, 0.0, thick, long)]
        sides += [(0.0, span, long, thick), (0.0, -span, long, thick)]
        for x, y, size_x, size_y in sides:
            wall = trimesh.creation.box((size_x, size_y, spec.wall_height))
            faces.append(np.asarray(wall.faces) + sum(map(len, vertices)))
            vertices.append(np.asarray(wall.vertices) + (x, y, spec.wall_height / 2))
    return np.concatenate(vertices), np.concatenate(faces).astype(np.int32)
