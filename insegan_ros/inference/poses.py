"""6-DoF poses by render and compare: the learned template against each instance's depth.

A pose is searched over all rotations, aligned to the measured surface through the template's
signed distance, and judged by rendering: an instance's pixels have to lie on the rendering, and
the rendering must not stand where the camera saw through. Where something nearer hides it, it may
go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from insegan_ros.camera import points_from_depth, rigid
from insegan_ros.deadline import check_time
from insegan_ros.inference.pose_search import PoseSearch, PoseSettings
from insegan_ros.model.surface import (
    DistanceField,
    Surface,
    depth_of,
    pixels_of,
    sample_surface,
)
from insegan_ros.model.template import Template
from insegan_ros.types import DepthFrame, InstanceImages, Intrinsics, Segmentation, crop_of


@dataclass(frozen=True)
class PoseFit:
    """The template in one place, and how well it is there."""

    pose: NDArray[np.float64]  # (4, 4) camera_T_template, its origin the centre of mass
    cost: float  # 0 fits, 1 does not; unexplained and contradicted pixels over the mask's
    visible: float  # of the rendering's pixels, those in the mask


class PoseEstimator:
    """The template's surface, its distance field and its views, made once."""

    clock: Callable[[], float] = staticmethod(time.monotonic)  # s; what `seconds` are measured by

    def __init__(self, template: Template, settings: PoseSettings | None = None, seed: int = 0):
        """Raises: TemplateError, for an empty template."""
        self._settings = settings = settings or PoseSettings()
        self.template = template
        mesh = template.mesh()
        self.centre = np.asarray(mesh.center_mass)  # in the template's own frame
        mesh.apply_translation(-self.centre)
        self.mesh = mesh  # its centre of mass at the origin, as of all poses
        self.diameter = template.diameter_m
        self._tolerance = max(settings.least_tolerance_m, settings.tolerance * self.diameter)
        self._surface = sample_surface(mesh, settings.judged_points, seed)
        self.surface = sample_surface(mesh, settings.rendered_points, seed)
        self._distance = DistanceField.of(template, self.centre)
        self._search = PoseSearch(
            mesh, self.diameter, self._tolerance, settings=settings, seed=seed
        )
        self._trials = _trials(settings, self.diameter, seed)

    def fit(
        self,
        frame: DepthFrame,
        masks: NDArray[np.bool_] | InstanceImages,
        centres: NDArray[np.floating] | None = None,
        *,
        seconds: float = float('inf'),
    ) -> list[PoseFit | None]:
        """A pose for each instance; None where it shows too little, or the time is over.

        Args:
            masks: (N, H, W), the best pick first.
            centres: (N, 3) estimates of the template's origin in the camera frame, or None.
            seconds: for all of them; the first is fitted unless this is negative.
        """
        points = points_from_depth(frame.depth_m, frame.intrinsics)
        begun = self.clock()
        found: list[PoseFit | None] = []
        spent = longest = 0.0  # longest of one instance: none is begun that would take too long
        for k, mask in enumerate(masks):
            check_time()
            late = spent + longest > seconds
            centre = None if centres is None else np.asarray(centres[k], np.float64)
            found.append(None if late else self._fit(frame, points, mask, centre=centre))
            before, spent = spent, self.clock() - begun
            longest = max(longest, spent - before)
        return found

    def _fit(
        self,
        frame: DepthFrame,
        points: NDArray,
        mask: NDArray[np.bool_],
        *,
        centre: NDArray | None,
    ) -> PoseFit | None:
        seen = points[mask & np.isfinite(frame.depth_m)].astype(np.float64)
        if len(seen) < self._settings.least_px:
            return None
        if centre is None:  # behind the middle of what is seen
            centre = np.median(seen, axis=0)
            centre[2] += 0.2 * self.diameter
        window = self._window(frame, mask, centre)
        starts = self._search(frame, mask, centre)
        few = seen[:: max(1, len(seen) // self._settings.mask_points)]
        fits = [self._judge(window, pose) for pose in self._align(np.stack(starts), few)]
        best = min(fits, key=lambda fit: fit.cost)
        for step in self._trials:
            turned = best.pose.copy()
            turned[:3, :3] = step[:3, :3] @ best.pose[:3, :3]
            turned[:3, 3] += step[:3, 3]
            trial = self._judge(window, turned)
            if trial.cost < best.cost:
                best = trial
        again = self._judge(window, self._align(best.pose[None], few)[0])
        return min(best, again, key=lambda fit: fit.cost)

    def _align(self, poses: NDArray, points: NDArray) -> NDArray[np.float64]:
        """Gauss-Newton on the distances of measured points to the template's surface.

        (S, 4, 4) starts, each for itself; together they take little longer than one.
        """
        poses = poses.copy()
        limit = 0.5 * self._tolerance
        for _ in range(self._settings.alignments):
            rotation, shift = poses[:, :3, :3], poses[:, None, :3, 3]
            arm = points - shift  # (S, M, 3)
            distance, gradient = self._distance((arm @ rotation).reshape(-1, 3))
            distance = distance.reshape(arm.shape[:2])
            weight = limit / np.maximum(np.abs(distance), limit)  # Huber
            normal = gradient.reshape(arm.shape) @ rotation.transpose(0, 2, 1)
            # a twist (w, v) of the part moves a point of it by w x r + v
            # radians in the unit of the lengths
            jacobian = np.concatenate([_cross(arm, normal) / self.diameter, normal], axis=2)
            weighted = (jacobian * weight[..., None]).transpose(0, 2, 1)
            system = weighted @ jacobian + 1e-3 * len(points) * np.eye(6)
            twist = np.linalg.solve(system, weighted @ distance[..., None])[..., 0]
            turn = Rotation.from_rotvec(twist[:, :3] / self.diameter).as_matrix()
            poses[:, :3, :3] = turn @ rotation
            poses[:, :3, 3] += twist[:, 3:]
            if np.abs(twist).max() < 2e-5:
                break
        return poses

    def _window(self, frame: DepthFrame, mask: NDArray[np.bool_], centre: NDArray) -> _Window:
        side = 2 * self._settings.window * self.diameter
        return _Window.of(frame, mask, centre, side_m=side, cells=self._settings.window_cells)

    def _judge(self, window: _Window, pose: NDArray) -> PoseFit:
        rendered = window.render(self._surface, pose, 2 * self._tolerance)
        covered = np.isfinite(rendered)
        both = covered & window.mask
        off = np.abs(window.depth - rendered)[both]
        area = max(int(window.mask.sum()), 1)
        cost = np.minimum(off / self._tolerance, 1).sum() + (window.mask & ~covered).sum()
        beyond = (window.depth - rendered)[covered & ~window.mask]
        beyond = beyond[np.isfinite(beyond) & (beyond > self._tolerance / 2)]
        cost += np.minimum(beyond / self._tolerance, 1).sum()
        return PoseFit(
            pose,
            float(cost / area),
            float(both.sum() / max(covered.sum(), 1)),
        )

    def render(self, pose: NDArray, intrinsics: Intrinsics) -> NDArray[np.float32]:
        """(H, W) metres: the template alone at camera_T_template, NaN elsewhere."""
        points = self.surface.facing(pose)
        index = pixels_of(points, intrinsics)
        shape = (intrinsics.height, intrinsics.width)
        rendered = np.full(shape, np.nan, np.float32)
        # around what it shows: the image may be much larger
        low = np.clip(index.min(axis=0, initial=max(shape)) - 2, 0, shape)
        high = np.clip(index.max(axis=0, initial=-1) + 3, low, shape)
        inside, behind = tuple(high - low), 2 * self._tolerance
        depth = depth_of(index - low, points[:, 2], inside, behind=behind)
        closed = ndimage.grey_erosion(depth, size=3)  # holes take their nearest neighbour
        holes = ~np.isfinite(depth) & ndimage.binary_closing(np.isfinite(depth), np.ones((3, 3)))
        depth[holes] = closed[holes]
        window = np.s_[low[0] : high[0], low[1] : high[1]]
        rendered[window] = np.where(np.isfinite(depth), depth, np.nan)
        return rendered


@dataclass(frozen=True)
class _Window:
    """The frame around one instance, in steps of some pixels."""

    depth: NDArray[np.float32]  # (h, w) metres
    mask: NDArray[np.bool_]  # (h, w), measured
    intrinsics: Intrinsics

    @staticmethod
    def of(
        frame: DepthFrame, mask: NDArray[np.bool_], centre: NDArray, *, side_m: float, cells: int
    ) -> _Window:
        k = frame.intrinsics
        radius = side_m / 2 * k.fx / centre[2]
        u, v = k.fx * centre[0] / centre[2] + k.cx, k.fy * centre[1] / centre[2] + k.cy
        stride = max(1, round(2 * radius / cells))
        left, top = (
            int(np.clip(u - radius, 0, k.width - 2)),
            int(np.clip(v - radius, 0, k.height - 2)),
        )
        right, bottom = (
            int(np.clip(u + radius, left + 2, k.width)),
            int(np.clip(v + radius, top + 2, k.height)),
        )
        part = np.s_[top:bottom:stride, left:right:stride]
        depth = frame.depth_m[part]
        small = Intrinsics(
            depth.shape[1],
            depth.shape[0],
            k.fx / stride,
            k.fy / stride,
            (k.cx - left) / stride,
            (k.cy - top) / stride,
        )
        return _Window(depth, mask[part] & np.isfinite(depth), small)

    def render(self, surface: Surface, pose: NDArray, behind: float) -> NDArray[np.float64]:
        """(h, w) metres, inf where nothing is; points up to `behind` beyond the nearest count."""
        points = surface.facing(pose)
        index = pixels_of(points, self.intrinsics)
        return depth_of(index, points[:, 2], self.depth.shape, behind=behind)


def _cross(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """As np.cross along the last axis, of which that spends most of its time on axes."""
    (ax, ay, az), (bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _trials(settings: PoseSettings, diameter: float, seed: int) -> list[NDArray[np.float64]]:
    """Small motions, ever smaller."""
    rng, count = np.random.default_rng(seed), settings.trials
    steps = []
    for size in np.geomspace(1.0, 0.2, max(count, 1))[:count]:
        turn = Rotation.from_rotvec(rng.normal(0, settings.turn_rad * size, 3)).as_matrix()
        steps.append(rigid(turn, rng.normal(0, settings.shift * diameter * size, 3)))
    return steps


def fit_kinds(
    estimators: Sequence[PoseEstimator],
    frame: DepthFrame,
    masks: NDArray[np.bool_] | InstanceImages,
    *,
    centres: NDArray[np.floating],
    kinds: NDArray[np.integer],
    seconds: float = float('inf'),
) -> list[PoseFit | None]:
    """As `PoseEstimator.fit`, each instance by the estimator of its kind (N,): 1, 2, ...

    The first of each kind has its pose, however little time there is.
    """
    clock = estimators[0].clock if estimators else time.monotonic
    begun = clock()
    fits: list[PoseFit | None] = [None] * len(kinds)
    for kind, estimator in enumerate(estimators, 1):
        own = np.flatnonzero(kinds == kind)
        left = max(seconds - (clock() - begun), 0.0)
        share = left * len(own) / max((kinds >= kind).sum(), 1)
        some = masks.take(own) if isinstance(masks, InstanceImages) else masks[own]
        for k, fit in zip(
            own, estimator.fit(frame, some, centres[own], seconds=share), strict=True
        ):
            fits[k] = fit
    return fits


def posed_cues(cues: NDArray[np.floating], fits: Sequence[PoseFit | None]) -> NDArray[np.floating]:
    """(N, C) cues of instances -> (N, C + 2) with their poses' cost and visible fraction."""
    added = [(1.5, 0.0) if fit is None else (min(fit.cost, 1.5), fit.visible) for fit in fits]
    return np.concatenate([cues, np.array(added).reshape(-1, 2)], axis=1)


def with_poses(
    frame: DepthFrame,
    found: Segmentation,
    fits: Sequence[PoseFit | None],
    *,
    scores: NDArray[np.floating],
    estimators: Sequence[PoseEstimator],
) -> Segmentation:
    """A segmentation whose instances have the template's poses and renderings, best score first.

    An instance without a fit keeps what it has.

    Args:
        estimators: one a kind of part.
    """
    poses, visible = found.poses.copy(), found.visible_fraction.copy()
    crops = list(found.depths.crops)
    for k, fit in enumerate(fits):
        if fit is not None:
            poses[k], visible[k] = fit.pose, fit.visible
            estimator = estimators[found.class_ids[k] - 1]
            crops[k] = crop_of(estimator.render(fit.pose, frame.intrinsics), np.float32(np.nan))
    order = np.argsort(-np.asarray(scores), kind='stable')
    renumbered = np.zeros(found.count + 1, np.uint16)
    renumbered[order + 1] = np.arange(1, found.count + 1)
    nearest = np.full(found.labels.shape, np.nan, np.float32)
    for rows, columns, crop in crops:
        nearest[rows, columns] = np.fmin(nearest[rows, columns], crop)
    return Segmentation(
        labels=renumbered[found.labels],
        depths=replace(found.depths, crops=tuple(crops[k] for k in order)),
        rendered_depth=nearest,
        poses=poses[order],
        scores=np.clip(np.asarray(scores, np.float32)[order], 0, 1),
        visible_fraction=np.clip(visible[order], 0, 1).astype(np.float32),
        kinds=None if found.kinds is None else found.kinds[order],
    )
