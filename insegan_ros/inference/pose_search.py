"""Where a template may be, from a mask alone: all its views compared with the depth, coarsely.

The views are orthographic, seen once; the place is corrected by whole cells and along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from insegan_ros.camera import rigid
from insegan_ros.model.surface import Surface, depth_of, sample_surface
from insegan_ros.types import DepthFrame

NOWHERE_M = np.float32(1e3)  # the height of a view's cells that show nothing: further than any


@dataclass(frozen=True)
class PoseSettings:
    """How much is searched, and what fits; the defaults take some 25 ms an instance and core."""

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
        views = np.stack([self._view(few, r).ravel() for r in self._rotations])
        self._views = _Views(np.where(np.isfinite(views), views, NOWHERE_M), np.isfinite(views))

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
        ours = mask[pixels].astype(bool) & inside
        depth = np.where(inside, frame.depth_m[pixels] - np.float32(centre[2]), np.float32(np.nan))
        middle = np.s_[2:-2, 2:-2]
        cost, _ = self._views.compare(depth[middle], ours[middle], self._tolerance)
        kept = np.argsort(cost)[: self._settings.kept]
        some = self._views.take(kept)
        cells_aside = [(dx, dy) for dy in range(-2, 3) for dx in range(-2, 3)]
        parts = [np.s_[2 + dy : 2 + dy + cells, 2 + dx : 2 + dx + cells] for dx, dy in cells_aside]
        compared = [some.compare(depth[part], ours[part], self._tolerance) for part in parts]
        costs, lifts = (np.stack(column) for column in zip(*compared, strict=True))  # (S, K)
        best = costs.argmin(axis=0)  # of a view's shifts
        shifts_m = self._cell * np.array(cells_aside)
        views = np.argsort(costs.min(axis=0), kind='stable')[: self._settings.refined]
        return [
            rigid(
                turn @ self._rotations[int(kept[k])],
                centre + [*shifts_m[best[k]], lifts[best[k], k]],
            )
            for k in views
        ]


@dataclass(frozen=True)
class _Views:
    """K views of P cells each."""

    height_m: NDArray[np.float32]  # (K, P) from the origin along +z; NOWHERE_M beside the part
    covered: NDArray[np.bool_]  # (K, P)

    def take(self, which: NDArray[np.integer]) -> _Views:
        """Some of them."""
        return _Views(self.height_m[which], self.covered[which])

    def compare(
        self, depth: NDArray[np.float32], ours: NDArray[np.bool_], tolerance: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth beyond the centre, and which of it is the instance's -> (K,) costs, lifts in m."""
        depth, known = depth.ravel(), np.isfinite(depth.ravel())
        own = np.flatnonzero(ours.ravel() & known)
        others = np.flatnonzero(~ours.ravel() & known)
        covered, limit = self.covered[:, own], 3 * tolerance
        off = depth[own] - self.height_m[:, own]
        clipped = np.where(covered, np.clip(off, -limit, limit), 0)
        lift = clipped.sum(1) / np.maximum(covered.sum(1), 1)
        cost = np.minimum(np.abs(off - lift[:, None]) / tolerance, 1).sum(1)  # 1 where uncovered
        beyond = (depth[others] - self.height_m[:, others] - lift[:, None]) / tolerance
        cost += np.where(beyond > 0.5, np.minimum(beyond, 1), 0).sum(1)
        return cost / max(len(own), 1), lift


def _between(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """The smallest rotation that takes unit vector a to unit vector b."""
    axis = np.cross(a, b)
    return Rotation.from_rotvec(
        axis / max(np.linalg.norm(axis), 1e-12) * np.arctan2(np.linalg.norm(axis), a @ b)
    ).as_matrix()
