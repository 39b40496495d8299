"""How right poses are: MSSD of BOP and ADD-S, which need the true mesh and the true poses.

MSSD allows for the part's symmetries; ADD-S asks only whether the surface lies where it should.

A learned template has a frame of its own. One rigid transform from the true mesh's frame to it is
fitted on validation frames, the same for all instances, and used on the frames that are judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from insegan_ros.camera import rigid
from insegan_ros.data.store import Sample
from insegan_ros.evaluation.metrics import iou_matrix
from insegan_ros.types import Segmentation

POINTS = 400  # of the surface, among which the greatest distance is sought
DENSE = 20_000  # of the surface, of which the nearest one is sought
MATCHED_IOU = 0.5  # of an instance's mask with a true one
HYPOTHESES = 40


@dataclass(frozen=True)
class PartModel:
    """A true mesh as MSSD and ADD-S need it."""

    points: NDArray[np.float64]  # (M, 3) of its surface, metres
    surface: KDTree  # of many more points of it
    diameter: float  # metres
    symmetries: NDArray[np.float64]  # (S, 4, 4) that map it onto itself, the identity first

    @staticmethod
    def of(mesh: trimesh.Trimesh, seed: int = 0, starts: int = 400) -> PartModel:
        """`starts`: rotations from which symmetries are sought; few do where there are few."""
        points = np.asarray(trimesh.sample.sample_surface(mesh, POINTS, seed=seed)[0])
        hull = mesh.convex_hull.vertices
        diameter = float(np.linalg.norm(hull[:, None] - hull[None], axis=2).max())
        dense = np.asarray(trimesh.sample.sample_surface(mesh, DENSE, seed=seed + 1)[0])
        return PartModel(
            points, KDTree(dense), diameter, mesh_symmetries(mesh, diameter, seed, starts=starts)
        )

    def mssd(self, estimated: NDArray[np.floating], true: NDArray[np.floating]) -> float:
        """Metres: the greatest distance of corresponding points, over the best symmetry.

        Args:
            estimated, true: (4, 4) camera_T_part.
        """
        ours = _moved(self.points, estimated)
        turned = np.asarray(true) @ self.symmetries  # (S, 4, 4)
        theirs = np.einsum('sij,mj->smi', turned[:, :3, :3], self.points) + turned[:, None, :3, 3]
        return float(np.linalg.norm(theirs - ours, axis=2).max(axis=1).min())

    def add_s(self, estimated: NDArray[np.floating], true: NDArray[np.floating]) -> float:
        """Metres: the mean distance of true points to the nearest estimated ones.

        ADD-S of Hinterstoisser et al., 2012, and Xiang et al., 2018. A turn that differs from the
        right one only in details costs as little as these are large.
        """
        relative = np.linalg.inv(estimated) @ true
        return float(self.surface.query(_moved(self.points, relative))[0].mean())


def mesh_symmetries(
    mesh: trimesh.Trimesh, diameter: float, seed: int = 0, *, starts: int = 400
) -> NDArray[np.float64]:
    """(S, 4, 4) rigid motions after which no point is further than 1 % of the diameter off.

    Found by closest points from many rotations; a round part's are sampled.
    """
    points = np.asarray(trimesh.sample.sample_surface(mesh, 600, seed=seed)[0])
    dense = np.asarray(trimesh.sample.sample_surface(mesh, 60000, seed=seed + 1)[0])
    few, all_points = KDTree(dense[:4000]), KDTree(dense)
    spacing = float(np.sqrt(mesh.area / len(dense)))  # m, of the points that are compared
    sparse, middle = points[:150], dense.mean(axis=0)
    found = [np.eye(4)]
    for rotation in Rotation.random(starts, random_state=seed).as_matrix():
        turn, shift, last = rotation, middle - rotation @ middle, np.inf
        for _ in range(30):
            distance, index = few.query(sparse @ turn.T + shift)
            if distance.mean() > last - 1e-3 * spacing:
                break
            last, target = distance.mean(), dense[:4000][index]
            a, b = sparse - sparse.mean(axis=0), target - target.mean(axis=0)
            u, _, vt = np.linalg.svd(a.T @ b)
            sign = np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))])
            turn = vt.T @ sign @ u.T
            shift = target.mean(axis=0) - turn @ sparse.mean(axis=0)
        if last > 0.05 * diameter:
            continue
        if all_points.query(points @ turn.T + shift)[0].max() > 0.01 * diameter + spacing:
            continue
        apart = [Rotation.from_matrix(turn @ other[:3, :3].T).magnitude() for other in found]
        if min(apart) > np.radians(4):
            found.append(rigid(turn, shift))
    return np.stack(found)


@dataclass(frozen=True)
class Match:
    """An instance that was found, and the true one it covers."""

    estimated: NDArray[np.float64]  # (4, 4) camera_T_template
    true: NDArray[np.float64]  # (4, 4) camera_T_part


def match_poses(
    found: Segmentation, sample: Sample, least_visible: float = 0.5
) -> tuple[list[Match], int]:
    """Matches by mask, and how many true instances were at least so visible.

    Raises:
        ValueError: the frame has no labels, poses or visible fractions.
    """
    visible = sample.record.get('visible')
    if sample.labels is None or sample.poses is None or visible is None:
        raise ValueError(f'frame {sample.index} has no labels, poses or visible fractions')
    wanted = [k for k, v in enumerate(visible) if v >= least_visible]
    ids = np.unique(sample.labels[sample.labels > 0]).astype(int).tolist()
    ious = iou_matrix(found.labels, sample.labels)  # rows: found ids in order, columns: ids
    rows = np.unique(found.labels[found.labels > 0]).astype(int)
    matches = []
    for k in wanted:
        if k + 1 not in ids or not len(rows):
            continue
        column = ious[:, ids.index(k + 1)]
        best = int(column.argmax())
        if column[best] >= MATCHED_IOU:
            pose = np.asarray(found.poses[rows[best] - 1], np.float64)
            matches.append(Match(pose, np.asarray(sample.poses[k], np.float64)))
    return matches, len(wanted)


def fit_frame(
    part: PartModel, matches: Sequence[Match], limit: float = 0.1
) -> NDArray[np.float64]:
    """(4, 4) template_T_part under which most matches agree.

    Raises:
        ValueError: there are no matches.
    """
    if not matches:
        raise ValueError('no instance was found in the validation frames; no frame can be fitted')
    step = max(1, len(matches) // HYPOTHESES)
    hypotheses = [np.linalg.inv(m.estimated) @ m.true for m in matches[::step]]

    def errors(frame: NDArray) -> NDArray:
        return np.array([part.mssd(m.estimated @ frame, m.true) for m in matches])

    best = min(hypotheses, key=lambda h: np.minimum(errors(h), limit * part.diameter).sum())
    for _ in range(2):  # the mean over those that agree
        agreeing = [m for m, e in zip(matches, errors(best)) if e < limit * part.diameter]
        if not agreeing:
            break
        frames = [_nearest_frame(part, m, best) for m in agreeing]
        turn = Rotation.from_matrix([f[:3, :3] for f in frames]).mean().as_matrix()
        mean = rigid(turn, np.mean([f[:3, 3] for f in frames], axis=0))
        if (
            np.minimum(errors(mean), limit * part.diameter).sum()
            < np.minimum(errors(best), limit * part.diameter).sum()
        ):
            best = mean
    return best


def _nearest_frame(part: PartModel, match: Match, near: NDArray) -> NDArray:
    """Of the frames that a match allows by symmetry, the one nearest to `near`."""
    back = np.linalg.inv(match.estimated)
    allowed = [back @ match.true @ s for s in part.symmetries]
    there = _moved(part.points, near)
    return min(allowed, key=lambda f: float(np.abs(_moved(part.points, f) - there).max()))


def recall(errors: Iterable[float], wanted: int, limit: float) -> float:
    """Share of the wanted instances whose error is below a limit.

    Args:
        errors: of those that a mask matches, metres.
        wanted: true instances, those that no mask matches included.
        limit: metres.
    """
    return sum(error < limit for error in errors) / wanted if wanted else float('nan')


def _moved(points: NDArray, pose: NDArray) -> NDArray:
    return points @ np.asarray(pose)[:3, :3].T + np.asarray(pose)[:3, 3]
