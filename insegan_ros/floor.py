"""The bin's floor in a frame: a plane that nothing lies below."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import Plane, height_map, points_from_depth
from insegan_ros.deadline import check_time
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.types import DepthFrame, Intrinsics

MAX_TILT_DEGREES = 45.0
SEEN_TILT_DEGREES = 65.0  # planes so steep are looked at, to be refused in words
CLEARLY = 2.0  # times as much must speak for a steeper plane than for the floor that was found
FLOOR_POINTS = 4000  # sampled from a frame
FLOOR_CANDIDATES = 600
PATCH_REACHES = (4, 9)  # px: half the side of a patch
FORGIVEN = 0.02  # share of the points that fly, and may lie under the floor
LEAST_HEIGHT_M, USUAL_HEIGHT_M = (
    0.0012,
    0.004,
)  # above the floor: a part, by a quiet camera; a D435
BELOW_WEIGHT = 8.0  # a point under a floor counts against it as much as 8 on it count for it


class FloorNotFoundError(ValueError):
    """No plane in a frame can be the bin's floor; the message says what to do."""


def find_floor(frame: DepthFrame, rng: np.random.Generator) -> Plane:
    """The bin's floor, from one frame of a bin with parts in it, the camera tilted up to 45 deg.

    Parts' tops and walls are planes too, often larger ones than what is seen of the floor, but
    nothing lies below a floor: a candidate is scored by the points on it less 8 times those under
    it. Candidates go through flat patches, one or three that agree; the best are refined by least
    squares on their inliers.

    Raises:
        FloorNotFoundError: too few points are measured, or too few lie on any plane.
    """
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    rows, columns = np.nonzero(np.isfinite(frame.depth_m))
    if len(rows) < 500:
        raise FloorNotFoundError(
            f'only {len(rows)} of {frame.depth_m.size} pixels are measured: too few to find the '
            "bin's floor; check that the camera sees the bin"
        )
    chosen = rng.choice(len(rows), min(FLOOR_POINTS, len(rows)), replace=False)
    sample = points[rows[chosen], columns[chosen]].astype(np.float64)  # (M, 3)
    sigma = D435_NOISE.depth_sigma(sample[:, 2], frame.intrinsics)
    near = np.maximum(0.002, 2 * sigma)  # m: on the plane
    under = np.maximum(0.005, 5 * sigma)  # m: below it
    patches = [_flat_patches(points, frame.intrinsics, reach, rng=rng) for reach in PATCH_REACHES]
    means, normals = (np.concatenate(kind) for kind in zip(*patches))
    planes = _candidate_planes(means, normals, sample, rng=rng)  # (K, 4)
    if len(planes):
        planes = planes[np.argsort(-_floor_scores(planes, sample, near, under=under))[:24]]
        for widen in (4.0, 2.0, 1.0, 1.0):
            check_time()
            planes = np.array([_refit(p, sample, near * widen, sigma=sigma) for p in planes])
        scores = _floor_scores(planes, sample, near, under=under)
        tilts = np.degrees(np.arccos(np.clip(-planes[:, 2], -1, 1)))
        level = tilts <= MAX_TILT_DEGREES
        steep = float(scores[~level].max(initial=-np.inf))
        if steep > CLEARLY * max(float(scores[level].max(initial=0)), 0.1 * len(sample)):
            tilt = float(tilts[np.argmax(scores)])
            raise FloorNotFoundError(
                f'what most looks like a floor is tilted by {tilt:.0f} degrees '
                f'against the image; at most {MAX_TILT_DEGREES:.0f} are supported: let the camera '
                'look down more steeply'
            )
        planes, scores = planes[level], scores[level]
    if not len(planes) or scores.max() < 0.01 * len(sample):
        raise FloorNotFoundError(
            f'no plane within {MAX_TILT_DEGREES:.0f} degrees of the view has enough points on it '
            "and none below; show more of the bin's floor, or calibrate on an empty bin"
        )
    best = planes[np.argmax(scores)]
    all_points = points[rows, columns].astype(np.float64)
    all_sigma = D435_NOISE.depth_sigma(all_points[:, 2], frame.intrinsics)
    nx, ny, nz, offset = _refit(
        best, all_points, np.maximum(0.002, 2 * all_sigma), sigma=all_sigma
    ).tolist()
    return Plane((nx, ny, nz), offset)


def _flat_patches(
    points: NDArray[np.float32], intrinsics: Intrinsics, reach: int, *, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Windows of the image whose points lie on a plane: (K, 3) centres and (K, 3) unit normals."""
    height, width = points.shape[:2]
    steps = np.linspace(-reach, reach, 6).round().astype(int)
    window = np.stack(np.meshgrid(steps, steps, indexing='ij'), axis=-1).reshape(-1, 2)
    measured = np.argwhere(np.isfinite(points[..., 2]))
    centres = measured[rng.integers(len(measured), size=FLOOR_CANDIDATES)]
    pixels = np.clip(centres[:, None] + window, 0, [height - 1, width - 1])  # (K, P, 2)
    patches = points[pixels[..., 0], pixels[..., 1]].astype(np.float64)  # (K, P, 3)
    valid = np.isfinite(patches).all(axis=2)
    enough = valid.mean(axis=1) > 0.5
    patches, valid = patches[enough], valid[enough]
    count = valid.sum(axis=1)[:, None]
    patches = np.where(valid[..., None], patches, 0.0)
    means = patches.sum(axis=1) / count
    spread = (patches - means[:, None]) * valid[..., None]
    variances, axes = np.linalg.eigh(np.einsum('kpi,kpj->kij', spread, spread) / count[..., None])
    flat = np.sqrt(np.maximum(variances[:, 0], 0)) < 2 * D435_NOISE.depth_sigma(
        means[:, 2], intrinsics
    )
    normals = axes[flat][:, :, 0]
    return means[flat], -normals * np.sign(normals[:, 2:])


def _candidate_planes(
    means: NDArray, normals: NDArray, sample: NDArray, *, rng: np.random.Generator
) -> NDArray:
    """(K', 4) planes through the patches with least below them, alone and in threes that agree."""
    single = np.concatenate([normals, -(normals * means).sum(axis=1, keepdims=True)], axis=1)
    if len(means) < 3:
        return _facing(single)
    thin = sample[::8].T
    below = (single[:, :3] @ thin + single[:, 3:] < -0.01).mean(axis=1)
    most = max(30, len(below) // 4, int((below <= FORGIVEN).sum()))
    low = np.argsort(below)[:most]
    single, means, normals = single[low], means[low], normals[low]
    triples = rng.integers(len(means), size=(20 * FLOOR_CANDIDATES, 3))
    a, b, c = (means[triples[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    length = np.linalg.norm(across, axis=1)
    across = -across / np.maximum(length, 1e-12)[:, None] * np.sign(across[:, 2:])
    agreement = np.einsum('ki,kji->kj', across, normals[triples]).min(axis=1)
    sound = (length > 1e-4) & (agreement > np.cos(np.radians(15)))  # m^2; not nearly on a line
    across, a = across[sound][:FLOOR_CANDIDATES], a[sound][:FLOOR_CANDIDATES]
    spanned = np.concatenate([across, -(across * a).sum(axis=1, keepdims=True)], axis=1)
    return _facing(np.concatenate([single, spanned]))


def _facing(planes: NDArray) -> NDArray:
    """Those of (K, 4) planes that face the camera within SEEN_TILT_DEGREES."""
    return planes[-planes[:, 2] > np.cos(np.radians(SEEN_TILT_DEGREES))]


def _floor_scores(planes: NDArray, sample: NDArray, near: NDArray, *, under: NDArray) -> NDArray:
    """(K, 4) planes and (M, 3) points -> (K,) points on each less 8 times those below it.

    A few below count once: a camera has flying pixels, and a side wall of a tote, which has none
    below, would else be its floor.
    """
    heights = planes[:, :3] @ sample.T + planes[:, 3:]  # (K, M)
    below = (heights < -under).sum(1)
    many = np.maximum(below - FORGIVEN * len(sample), 0)
    return (np.abs(heights) < near).sum(1) - below - (BELOW_WEIGHT - 1) * many


def _refit(plane: NDArray, sample: NDArray, near: NDArray, *, sigma: NDArray) -> NDArray:
    """Least squares through the points near a plane, weighted by their noise."""
    inside = np.abs(sample @ plane[:3] + plane[3]) < near
    if inside.sum() < 10:
        return plane
    points, weights = sample[inside], 1 / sigma[inside] ** 2
    centre = np.average(points, axis=0, weights=weights)
    spread = (points - centre) * np.sqrt(weights)[:, None]
    normal = np.linalg.eigh(spread.T @ spread)[1][:, 0]
    normal = -normal * np.sign(normal[2])
    if -normal[2] < np.cos(np.radians(SEEN_TILT_DEGREES)):
        return plane
    return np.append(normal, -normal @ centre)


def floor_tolerance(heights: NDArray[np.floating], expected: float) -> float:
    """Metres above the floor below which noise may be what is seen.

    Parts lie above the floor: what is measured under it is noise, and tells how much there is.

    Args:
        heights: of a frame above its floor, NaN where unmeasured.
        expected: standard deviation, where too little of the floor is seen.
    """
    under = -heights[(heights < 0) & (heights > -0.02)]
    sigma = 1.4826 * float(np.median(under)) if len(under) >= 200 else expected
    return max(LEAST_HEIGHT_M, min(USUAL_HEIGHT_M, 4 * sigma), 3 * sigma)


def floor_frame(floor: Plane) -> tuple[NDArray, NDArray]:
    """The floor's point nearest the camera (3,), and two axes along the floor (2, 3)."""
    normal = np.asarray(floor.normal)
    x = np.array([1.0, 0, 0]) - normal[0] * normal
    x /= np.linalg.norm(x)
    return -floor.offset * normal, np.stack([x, np.cross(-normal, x)])


def floor_coordinates(points: NDArray[np.float32], floor: Plane) -> NDArray[np.float32]:
    """(..., 3) points in the camera frame -> (..., 3): x, y along the floor and the height, m."""
    origin, axes = floor_frame(floor)
    flat = (points - origin.astype(np.float32)) @ axes.T.astype(np.float32)
    return np.concatenate([flat, floor.heights(points)[..., None]], axis=-1).astype(np.float32)


def levelled(frame: DepthFrame, floor: Plane) -> Plane:
    """The floor with its distance as this frame shows it: bins move by millimetres."""
    heights = height_map(frame, floor)
    near = heights[np.abs(heights) < 0.008]
    if len(near) < 200:
        return floor
    return replace(floor, offset=floor.offset - float(np.median(near)))
