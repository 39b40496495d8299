"""Where a template may be, from a mask alone: all its views compared with the depth, coarsely.

The views are orthographic, seen once; the place is corrected by whole cells and along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from insegan_ros.model.surface import Surface, depth_of, sample_surface
from insegan_ros.types import DepthFrame


@dataclass(frozen=True)
class PoseSettings:
    """How much is searched, and what fits; the defaults take some 40 ms an instance and core."""

    rotations: int = 1200  # about 20 degrees apart
    kept: int = 60  # after the search without shifts
    refined: int = 4  # given out; aligned and judged then
    trials: int = 24  # small changes of the best, kept where they help

    # depth that is off by more counts as wrong: a share of the template's diameter, but not less
    # than a depth camera's noise
    tolerance: float = 0.06
    least_tolerance_m: float = 0.003
    least_px: int = 12  # measured, of an instance: fewer show no pose

    # the search over all rotations
    coarse_points: int = 1500  # of the surface, for the views
    cells: int = 24  # of a view's side
    margin: float = 1.15  # of a view's side, of the template's diameter

    # the alignment, and the small changes
    mask_points: int = 150  # of an instance
    alignments: int = 12  # Gauss-Newton steps at most
    turn_rad: float = 0.1  # standard deviation of a change's turn, of the first, largest one
    shift: float = 0.02  # the same of its shift, of the template's diameter

    # judging by rendering
    judged_points: int = 6000  # of the surface: some to each of a window's cells
    window: float = 0.75  # of a window's half side, of the template's diameter
    window_cells: int = 34  # of a window's side
    rendered_points: int = 30000  # for the rendering that is given out


class PoseSearch:
    """The template's views from all sides, made once; a call finds those that fit a mask."""

    def __init__(
        self,
        mesh: trimesh.Trimesh,
        diameter: float,
        tolerance: float,
        *,
        settings: PoseSettings,
        seed: int,
    ) -> None:
        """The mesh in metres, about its centre; depth off by `tolerance` m counts as wrong."""
        self._settings, self._tolerance = settings, tolerance
        self._rotations = Rotation.random(settings.rotations, random_state=seed).as_matrix()
        self._cells = settings.cells
        self._cell = settings.margin * diameter / self._cells
        few = sample_surface(mesh, settings.coarse_points, seed)
        self._views = np.stack([self._view(few, r) for r in self._rotations])  # (K, C, C) m

    def _view(self, surface: Surface, rotation: NDArray) -> NDArray[np.float32]:
        """(C, C) metres from the origin along +z to the surface, orthographic; inf beside it."""
        points = surface.points @ rotation.T
        points = points[surface.normals @ rotation[2] < 0]
        cells = self._cells
        index = np.floor(points[:, :2] / self._cell + cells / 2).astype(int)[:, ::-1]
        behind = 2 * self._tolerance
        return depth_of(index, points[:, 2], (cells, cells), behind=behind).astype(np.float32)

    def __call__(
        self, frame: DepthFrame, mask: NDArray[np.bool_], centre: NDArray
    ) -> list[NDArray[np.float64]]:
        """(4, 4) camera_T_template each, the best first, of different rotations.

        Args:
            mask: (H, W) of the instance.
            centre: (3,) about where the template's origin is, camera frame, metres.
        """
        k = frame.intrinsics
        # the views look along +z; the part is seen along its ray
        turn = _between(np.array([0.0, 0.0, 1.0]), centre / np.linalg.norm(centre))
        cell_px = self._cell * k.fx / centre[2]
        cells = self._cells
        reach = cells // 2 + 2  # cells beside the middle, and two for shifts
        steps = (np.arange(-reach, reach) + 0.5) * cell_px
        u = np.rint(k.fx * centre[0] / centre[2] + k.cx + steps).astype(int)
        v = np.rint(k.fy * centre[1] / centre[2] + k.cy + steps).astype(int)
        inside = ((v >= 0) & (v < k.height))[:, None] & ((u >= 0) & (u < k.width))
        pixels = np.clip(v, 0, k.height - 1)[:, None], np.clip(u, 0, k.width - 1)[None]
        ours = (mask[pixels] & inside).astype(bool)
        depth = np.where(inside, frame.depth_m[pixels] - centre[2], np.nan)
        middle = np.s_[2:-2, 2:-2]
        cost, lift = self._compare(self._views, depth[middle], ours[middle])
        kept = np.argsort(cost)[: self._settings.kept]
        entries = []
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                part = np.s_[2 + dy : 2 + dy + cells, 2 + dx : 2 + dx + cells]
                cost, lift = self._compare(self._views[kept], depth[part], ours[part])
                entries += [(c, int(r), dx, dy, float(z)) for c, r, z in zip(cost, kept, lift)]
        entries.sort(key=lambda entry: entry[0])
        poses: list[NDArray[np.float64]] = []
        used: set[int] = set()
        for _, index, dx, dy, lift_m in entries:
            if index in used:
                continue
            used.add(index)
            pose = np.eye(4)
            pose[:3, :3] = turn @ self._rotations[index]
            pose[:3, 3] = centre + [dx * self._cell, dy * self._cell, lift_m]
            poses.append(pose)
            if len(poses) == self._settings.refined:
                break
        return poses

    def _compare(
        self, views: NDArray, depth: NDArray, ours: NDArray[np.bool_]
    ) -> tuple[NDArray, NDArray]:
        """(K, C, C) views and (C, C) depth beyond the centre -> (K,) costs, (K,) lifts in m."""
        views, depth = views.reshape(len(views), -1), depth.ravel()
        ours = ours.ravel() & np.isfinite(depth)
        covered = np.isfinite(views)
        height = np.where(covered, views, 0)
        both = covered & ours
        off = np.where(both, np.nan_to_num(depth) - height, 0)
        limit = 3 * self._tolerance
        lift = np.clip(off, -limit, limit).sum(1) / np.maximum(both.sum(1), 1)
        off = np.abs(off - lift[:, None])
        cost = np.where(both, np.minimum(off / self._tolerance, 1), ours)
        beyond = np.where(covered & ~ours, depth - height - lift[:, None], np.nan)
        with np.errstate(invalid='ignore'):
            through = np.clip(beyond / self._tolerance, 0, 1) * (beyond > self._tolerance / 2)
        cost = cost + np.nan_to_num(through)
        return cost.sum(1) / max(ours.sum(), 1), lift


def _between(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """The smallest rotation that takes unit vector a to unit vector b."""
    axis = np.cross(a, b)
    return Rotation.from_rotvec(
        axis / max(np.linalg.norm(axis), 1e-12) * np.arctan2(np.linalg.norm(axis), a @ b)
    ).as_matrix()
