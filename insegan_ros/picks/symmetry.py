"""Turns that bring a part onto itself, so that its orientation does not jump between frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from insegan_ros.picks.scene import posed
from insegan_ros.types import DepthFrame, Segmentation

FOLDS = (2, 3, 4, 5, 6, 8)  # of an axis; with twelve turns about it a part counts as round
ROUND_FOLD = 12
AXES = 60  # directions tried beside the principal ones
MOST = 0.95  # of the points have to agree; a small feature is enough to tell turns apart
APART = np.radians(20)  # nearer turns are one turn, found about slightly different axes

SAME_PART_M = 0.01  # from frame to frame


def symmetries(
    points: NDArray[np.floating], *, tolerance: float = 0.02, seed: int = 0
) -> NDArray[np.float64]:
    """(S, 3, 3) rotations about the points' own origin that bring them onto themselves.

    A rotation counts if 95 % of the turned points have a closest point within `tolerance` of the
    greatest extent, beyond what sampling itself leaves. The first is the identity.

    Args:
        points: (M, 3) on the part's surface, its centre of mass at the origin, metres.
        tolerance: as a share of the greatest distance from the origin, doubled.
        seed: of the directions that are tried.
    """
    points = np.asarray(points, np.float64)
    rng = np.random.default_rng(seed)
    if len(points) > 1500:
        points = points[rng.choice(len(points), 1500, replace=False)]
    size = 2 * float(np.linalg.norm(points, axis=1).max())
    tree = cKDTree(points)
    spacing = float(np.quantile(tree.query(points, k=2)[0][:, 1], MOST))

    def error(turn: NDArray) -> float:
        farthest = float(np.quantile(tree.query(points @ turn.T)[0], MOST))
        return max(farthest - spacing, 0.0) / size

    found = [np.eye(3)]
    for axis in _axes(points, rng):
        for fold in _folds(axis, error, tolerance):
            for step in range(1, fold):
                turn = Rotation.from_rotvec(axis * 2 * np.pi * step / fold).as_matrix()
                if all(_angle(turn @ other.T) > APART for other in found):
                    found.append(turn)
    return np.stack(found)


def steadied(
    rotation: NDArray[np.floating],
    before: NDArray[np.floating],
    alike: NDArray[np.floating],
) -> NDArray[np.float64]:
    """The one of a part's equal orientations that is nearest to the one `before`, all (3, 3)."""
    options = np.asarray(rotation) @ alike  # (S, 3, 3)
    return np.asarray(options[np.argmin([_angle(before.T @ option) for option in options])])


# about each axis of what is known by its principal axes alone: their signs are arbitrary
HALF_TURNS = np.stack(
    [np.diag(signs) for signs in ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])]
)


class Steadier:
    """Gives each part the one of its equal orientations that is nearest to its last frame's."""

    def __init__(self, alike: Sequence[NDArray[np.floating]]) -> None:
        """`alike`: for each kind of part the turns (S, 3, 3) of its template onto itself."""
        self._alike = alike
        self._before: NDArray[np.float64] = np.zeros((0, 4, 4))

    def __call__(self, frame: DepthFrame, found: Segmentation) -> Segmentation:
        """The same parts; a part is the one before that lay nearest, within SAME_PART_M."""
        poses = found.poses.copy()
        for k, pose in enumerate(found.poses.astype(np.float64)):
            apart = np.linalg.norm(self._before[:, :3, 3] - pose[:3, 3], axis=1)
            if not len(apart) or apart.min() > SAME_PART_M:
                continue
            kind = int(found.class_ids[k]) - 1
            whole = kind < len(self._alike) and posed(frame, found, k)
            alike = self._alike[kind] if whole else HALF_TURNS
            before = self._before[apart.argmin(), :3, :3]
            poses[k, :3, :3] = steadied(pose[:3, :3], before, alike)
        self._before = poses.astype(np.float64)
        return replace(found, poses=poses)


def _axes(points: NDArray[np.floating], rng: np.random.Generator) -> list[NDArray[np.float64]]:
    _, principal = np.linalg.eigh(np.cov(points.T))
    axes = [*principal.T]
    others = rng.normal(size=(AXES, 3))
    axes += [axis / np.linalg.norm(axis) for axis in others]
    # sums and differences of principal axes are axes of many regular parts
    for i in range(3):
        for j in range(i):
            for sign in (1, -1):
                axes.append((principal[:, i] + sign * principal[:, j]) / np.sqrt(2))
    return axes


def _folds(axis: NDArray, error: Callable[[NDArray], float], tolerance: float) -> list[int]:
    """The largest fold of an axis that holds, as a list of one, or nothing."""

    def holds(fold: int) -> bool:
        return error(Rotation.from_rotvec(axis * 2 * np.pi / fold).as_matrix()) <= tolerance

    if holds(ROUND_FOLD):
        return [ROUND_FOLD]
    kept = [fold for fold in FOLDS if holds(fold)]
    return [max(kept)] if kept else []


def _angle(turn: NDArray[np.floating]) -> float:
    """Of a rotation matrix, radians."""
    return float(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
