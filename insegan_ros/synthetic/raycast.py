"""Depth images and instance ids of a bin's scene, by ray casting (Embree)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.optional import needed_for
from insegan_ros.synthetic.bin_world import BinSpec
from insegan_ros.types import FloatImage, Intrinsics

with needed_for('the simulated bin'):
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the world."""

    intrinsics: Intrinsics
    world_T_camera: NDArray[np.floating]  # (4, 4), the camera's optical frame in the world

    @property
    def camera_T_world(self) -> NDArray[np.floating]:
        """The transform from the world into the camera frame, (4, 4)."""
        return np.linalg.inv(self.world_T_camera)

    def seen(self, poses: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 4, 4) world_T_part -> (N, 4, 4) camera_T_part."""
        return (self.camera_T_world @ poses).astype(np.float32).reshape(-1, 4, 4)


@dataclass(frozen=True)
class Photograph:
    """What a camera without noise sees of parts, and the truth about it."""

    depth_m: FloatImage  # (H, W), NaN where nothing is hit
    labels: NDArray[np.uint8]  # (H, W), 0 background
    poses: NDArray[np.float32]  # (N, 4, 4) camera_T_part; labels k is poses[k - 1]
    visible_fraction: NDArray[np.float32]  # (N,) of each part's outline, in [0, 1]


def looking_down(
    height: float, tilt_degrees: float = 0.0, offset: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """(4, 4) world_T_camera of a camera `height` metres above the floor that looks at the bin.

    The image's x runs along the world's x. Untilted, its y runs against the world's y; a tilted
    camera stands aside at negative y and still looks at the bin's centre. `offset` moves it
    sideways in x and y, metres.
    """
    tilt = np.radians(tilt_degrees)
    pose = trimesh.transformations.rotation_matrix(tilt, (1, 0, 0)) @ np.diag([1.0, -1, -1, 1])
    pose[:3, 3] = offset[0], offset[1] - height * np.tan(tilt), height
    return pose


class Raycaster:
    """Renders parts in a bin on an endless floor. Without a bin there is only the floor.

    Every mesh is cast in its own frame, by rays moved there, within the window of the image that
    it can cover: nothing is rebuilt when parts move.
    """

    def __init__(
        self,
        meshes: trimesh.Trimesh | Sequence[trimesh.Trimesh],
        bin_spec: BinSpec | None = None,
    ) -> None:
        """Make casters of `meshes`, one a kind of part."""
        kinds = [meshes] if isinstance(meshes, trimesh.Trimesh) else meshes
        self._parts = [_Caster(mesh) for mesh in kinds]
        self._walls = None if bin_spec is None else _Caster(_walls(bin_spec))
        self._rays: tuple[Intrinsics, NDArray[np.float32]] | None = None

    def render(
        self,
        poses: NDArray[np.floating],
        camera: Camera,
        bin_offset: NDArray[np.floating] | None = None,
        *,
        kinds: Sequence[int] | NDArray[np.integer] | None = None,
    ) -> tuple[FloatImage, NDArray[np.uint8]]:
        """Cast one ray through each pixel's centre.

        Args:
            poses: (N, 4, 4) world_T_part, N at most 255.
            camera: where from.
            bin_offset: (3,) where the bin and the floor under it are if they have moved.
            kinds: (N,) of the parts: places among the meshes; None: all are the first.

        Returns:
            (H, W) depth along the optical axis in metres, NaN where nothing is hit, and (H, W)
            uint8 ids: k for poses[k - 1], 0 for floor, walls and nothing.
        """
        if len(poses) > 255:
            raise ValueError(f'{len(poses)} parts: 8-bit ids number at most 255')
        offset = np.zeros(3) if bin_offset is None else np.asarray(bin_offset, np.float64)
        camera_T_world = camera.camera_T_world
        rays = self._directions(camera.intrinsics)  # (H, W, 3)
        depth = _floor_depth(rays, camera_T_world, offset)
        depth[np.isnan(depth)] = np.inf
        ids = np.zeros(depth.shape, np.uint8)
        if self._walls is not None:
            moved = camera_T_world @ trimesh.transformations.translation_matrix(offset)
            window, hit = self._walls.cast(moved, rays, camera.intrinsics)
            np.minimum(depth[window], hit, out=depth[window])
        kinds = np.zeros(len(poses), int) if kinds is None else kinds
        for k, (pose, kind) in enumerate(zip(poses, kinds, strict=True), 1):
            window, hit = self._parts[kind].cast(camera_T_world @ pose, rays, camera.intrinsics)
            nearer = hit < depth[window]
            depth[window][nearer] = hit[nearer]
            ids[window][nearer] = k
        depth[np.isinf(depth)] = np.nan
        return depth, ids

    def photograph(
        self,
        poses: NDArray[np.floating],
        camera: Camera,
        kinds: NDArray[np.integer] | None = None,
    ) -> Photograph:
        """Of (N, 4, 4) world_T_part, N at most 255; `kinds` as in `render`."""
        kinds = np.zeros(len(poses), np.int64) if kinds is None else kinds
        depth, labels = self.render(poses, camera, kinds=kinds)
        alone = [self.render_alone(pose, camera, kind) for pose, kind in zip(poses, kinds)]
        outlines = [np.isfinite(outline).sum() for outline in alone]
        visible = np.bincount(labels.ravel(), minlength=len(poses) + 1)[1:]
        share = (visible / np.maximum(outlines, 1)).astype(np.float32)
        return Photograph(depth, labels, camera.seen(poses), share)

    def render_alone(
        self, pose: NDArray[np.floating], camera: Camera, kind: int = 0
    ) -> FloatImage:
        """(H, W) depth of one part at world_T_part with nothing around it, NaN elsewhere."""
        rays = self._directions(camera.intrinsics)
        depth = np.full(rays.shape[:2], np.nan, np.float32)
        window, hit = self._parts[kind].cast(camera.camera_T_world @ pose, rays, camera.intrinsics)
        depth[window] = np.where(np.isfinite(hit), hit, np.nan)
        return depth

    def _directions(self, intrinsics: Intrinsics) -> NDArray[np.float32]:
        """(H, W, 3) ray directions with z = 1, kept for the next image of the same camera."""
        if self._rays is None or self._rays[0] != intrinsics:
            v, u = np.mgrid[: intrinsics.height, : intrinsics.width]
            x = (u - intrinsics.cx) / intrinsics.fx
            y = (v - intrinsics.cy) / intrinsics.fy
            rays = np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32)
            self._rays = (intrinsics, rays)
        return self._rays[1]


class _Caster:
    """One rigid mesh, ready to be hit by rays in its own frame."""

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        self._hull = np.asarray(mesh.convex_hull.vertices, np.float64)
        self._scene = EmbreeScene()
        vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
        TriangleMesh(self._scene, vertices.astype(np.float32), faces.astype(np.int32))

    def cast(
        self, pose: NDArray[np.floating], rays: NDArray[np.float32], intrinsics: Intrinsics
    ) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """The window that the mesh at camera_T_mesh covers, and its depths, inf if missed."""
        rotation = pose[:3, :3]
        window = _window(self._hull @ rotation.T + pose[:3, 3], intrinsics)
        seen = rays[window]
        # a rigid motion keeps a ray's parameter, and with z = 1 that is the depth
        directions = seen.reshape(-1, 3) @ rotation.astype(np.float32)
        origin = (-pose[:3, 3] @ rotation).astype(np.float32)
        origins = np.broadcast_to(origin, directions.shape)
        hits = self._scene.run(np.ascontiguousarray(origins), directions, output=True)
        depth = np.where(hits['geomID'] >= 0, hits['tfar'], np.float32(np.inf))
        return window, depth.reshape(seen.shape[:2])


def _floor_depth(
    directions: NDArray[np.float32],
    camera_T_world: NDArray[np.floating],
    offset: NDArray[np.float64],
) -> FloatImage:
    """(H, W) depth of the plane z = offset[2] of the world, NaN where a ray misses it."""
    normal = camera_T_world[:3, 2]
    point = camera_T_world[:3, :3] @ offset + camera_T_world[:3, 3]
    with np.errstate(divide='ignore'):
        depth = np.float32(normal @ point) / (directions @ normal.astype(np.float32))
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth.astype(np.float32)


def _window(vertices: NDArray[np.float64], intrinsics: Intrinsics) -> tuple[slice, slice]:
    """Rows and columns outside which no vertex's surface can be seen."""
    x, y, z = vertices.T
    if z.min() < 1e-3:  # something at or behind the camera: it may be anywhere in the image
        return slice(0, intrinsics.height), slice(0, intrinsics.width)
    u = intrinsics.fx * x / z + intrinsics.cx
    v = intrinsics.fy * y / z + intrinsics.cy
    rows = slice(max(int(v.min()) - 1, 0), max(int(v.max()) + 3, 0))
    columns = slice(max(int(u.min()) - 1, 0), max(int(u.max()) + 3, 0))
    return rows, columns


def _walls(spec: BinSpec) -> trimesh.Trimesh:
    centre = spec.width / 2 + spec.wall_thickness / 2
    long, thick = spec.width + 2 * spec.wall_thickness, spec.wall_thickness
    boxes = []
    for x, y, size_x, size_y in (
        (centre, 0.0, thick, long),
        (-centre, 0.0, thick, long),
        (0.0, centre, long, thick),
        (0.0, -centre, long, thick),
    ):
        wall = trimesh.creation.box((size_x, size_y, spec.wall_height))
        boxes.append(wall.apply_translation((x, y, spec.wall_height / 2)))
    vertices = np.concatenate([wall.vertices for wall in boxes])
    vertices[:, :2] += spec.wall_lean * vertices[:, 2:] * np.sign(vertices[:, :2])
    faces = np.concatenate([wall.faces + 8 * k for k, wall in enumerate(boxes)])
    return trimesh.Trimesh(vertices, faces, process=False)
