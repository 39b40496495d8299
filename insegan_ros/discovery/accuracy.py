"""How far a discovered surface lies from a known one: evaluation, never part of discovery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Accuracy:
    """Of the best rigid alignment, reflections excluded."""

    chamfer_m: float  # mean of both directions' mean distances to the nearest point
    diameter_m: float  # of the true mesh

    @property
    def relative(self) -> float:
        """Chamfer distance over the true diameter."""
        return self.chamfer_m / self.diameter_m


def compare(
    found: trimesh.Trimesh,
    true: trimesh.Trimesh,
    rng: np.random.Generator,
    *,
    starts: int = 150,
    points: int = 4000,
) -> Accuracy:
    """Iterative closest points from many rotations; the one with the lowest chamfer distance.

    The whole surface counts, also cavities that no camera sees.
    """
    seed = int(rng.integers(2**31))
    a = trimesh.sample.sample_surface(found, points, seed=seed)[0]
    b = trimesh.sample.sample_surface(true, points, seed=seed)[0]
    few_a, few_b = a[:500], b[:500]
    coarse = KDTree(few_b)
    best: list[tuple[float, NDArray, NDArray]] = []
    for rotation in Rotation.random(starts, random_state=seed).as_matrix():
        turn, shift = rotation, few_b.mean(axis=0) - rotation @ few_a.mean(axis=0)
        turn, shift = _closest_points(few_a, few_b, coarse, turn=turn, shift=shift, rounds=10)
        best.append((_chamfer(few_a @ turn.T + shift, few_b, coarse), turn, shift))
    best.sort(key=lambda entry: entry[0])
    fine = KDTree(b)
    results = []
    for _, turn, shift in best[:5]:
        turn, shift = _closest_points(a, b, fine, turn=turn, shift=shift, rounds=25)
        results.append(_chamfer(a @ turn.T + shift, b, fine))
    hull = true.convex_hull.vertices
    diameter = float(np.linalg.norm(hull[:, None] - hull[None], axis=2).max())
    return Accuracy(min(results), diameter)


def _chamfer(a: NDArray, b: NDArray, tree: KDTree) -> float:
    return float((tree.query(a)[0].mean() + KDTree(a).query(b)[0].mean()) / 2)


def _closest_points(
    a: NDArray, b: NDArray, tree: KDTree, *, turn: NDArray, shift: NDArray, rounds: int
) -> tuple[NDArray, NDArray]:
    """Least-squares rigid motion onto nearest points, both ways, again and again."""
    for _ in range(rounds):
        moved = a @ turn.T + shift
        there = b[tree.query(moved)[1]]
        back = a[KDTree(moved).query(b)[1]]
        source, target = np.concatenate([a, back]), np.concatenate([there, b])
        ms, mt = source.mean(axis=0), target.mean(axis=0)
        u, _, vt = np.linalg.svd((target - mt).T @ (source - ms))
        turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        shift = mt - turn @ ms
    return turn, shift
