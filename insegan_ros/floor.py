"""The bin's floor in a frame: a plane that nothing lies below."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import Plane, height_map, points_from_depth
from insegan_ros.deadline import check_time
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.types import DepthFrame, Intrinsics


@dataclass(frozen=True, kw_only=True)
class FloorConfig:
    """What decides which plane of a frame is the bin's floor.

    Shares are of the sampled points, sigma is the camera's noise at a point's distance.
    """

    max_tilt_degrees: float = 45.0  # of the floor against the image: beyond it walls hide the bin
    seen_tilt_degrees: float = 65.0  # planes so steep are looked at, to be refused in words
    # a steeper plane is the floor if its score is so many times that of the best permitted one
    steep_ratio: float = 2.0
    points: int = 4000  # sampled from a frame: more cost time, and fewer miss a floor hardly seen
    patches: int = 600  # flat windows that are looked at, for each of the reaches
    patch_reaches_px: tuple[int, ...] = (4, 9)  # half a window's side: floor between parts, wide
    patch_agreement_degrees: float = 15.0  # of a patch's normal with the plane through three
    # a point is on a plane within the larger of these two: noise is that at 2 sigma
    on_m: float = 0.002
    on_sigma: float = 2.0
    # and below it beyond the larger of these: farther than noise reaches
    under_m: float = 0.005
    under_sigma: float = 5.0
    flying_share: float = 0.02  # share that may lie under the floor: a camera has flying pixels
    # a point under a plane counts against it as much as 8 on it count for it: parts' tops have
    # many points below, a floor has none
    below_weight: float = 8.0
    least_score: float = 0.01  # share of the points; what scores less is no floor
    least_measured_px: int = 500  # in a frame; fewer do not show a bin
    # from the known floor: points beyond are not taken for it when a frame corrects its distance
    level_within_m: float = 0.008


DEFAULT = FloorConfig()


class FloorNotFoundError(ValueError):
    """No plane in a frame can be the bin's floor; the message says what to do."""


def find_floor(
    frame: DepthFrame, rng: np.random.Generator, *, config: FloorConfig = DEFAULT
) -> Plane:
    """The bin's floor, from one frame of a bin with parts in it, the camera tilted up to 45 deg.

    Parts' tops and walls are planes too, often larger ones than what is seen of the floor, but
    nothing lies below a floor. Of all planes p, the one is sought that maximises

        score(p) = |{i : |h_i(p)| < n_i}| - b(p) - (w - 1) max(b(p) - f M, 0),
        b(p) = |{i : h_i(p) < -u_i}|,

    where h_i(p) is the height of sampled point i of M above the plane (m), n_i = max(`on_m`,
    `on_sigma` sigma_i) and u_i = max(`under_m`, `under_sigma` sigma_i) with sigma_i the camera's
    noise there (m), w is `below_weight` and f `flying_share`. Candidates go through flat patches,
    one or three that agree; the best are refined by least squares on their inliers.

    Raises:
        FloorNotFoundError: too few points are measured, or too few lie on any plane.
    """
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    rows, columns = np.nonzero(np.isfinite(frame.depth_m))
    if len(rows) < config.least_measured_px:
        raise FloorNotFoundError(
            f'only {len(rows)} of {frame.depth_m.size} pixels are measured: too few to find the '
            "bin's floor; check that the camera sees the bin"
        )
    chosen = rng.choice(len(rows), min(config.points, len(rows)), replace=False)
    sample = points[rows[chosen], columns[chosen]].astype(np.float64)  # (M, 3)
    sigma = D435_NOISE.depth_sigma(sample[:, 2], frame.intrinsics)
    patches = [
        _flat_patches(points, frame.intrinsics, reach, rng=rng, count=config.patches)
        for reach in config.patch_reaches_px
    ]
    means, normals = (np.concatenate(kind) for kind in zip(*patches))
    planes = _candidate_planes(means, normals, sample, rng=rng, config=config)  # (K, 4)
    scores: NDArray[np.floating] = np.zeros(0)
    if len(planes):
        planes, scores = _refined(planes, sample, sigma=sigma, config=config)
    if not len(planes) or scores.max() < config.least_score * len(sample):
        raise FloorNotFoundError(
            f'no plane within {config.max_tilt_degrees:.0f} degrees of the view has enough points '
            "on it and none below; show more of the bin's floor, or calibrate on an empty bin"
        )
    best = planes[np.argmax(scores)]
    all_points = points[rows, columns].astype(np.float64)
    all_sigma = D435_NOISE.depth_sigma(all_points[:, 2], frame.intrinsics)
    near = np.maximum(config.on_m, config.on_sigma * all_sigma)
    refined = _refit(best[None], all_points, near, sigma=all_sigma, config=config)
    nx, ny, nz, offset = refined[0].tolist()
    return Plane((nx, ny, nz), offset)


def _flat_patches(
    points: NDArray[np.float32],
    intrinsics: Intrinsics,
    reach: int,
    *,
    rng: np.random.Generator,
    count: int,
) -> tuple[NDArray, NDArray]:
    """Windows of the image whose points lie on a plane: (K, 3) centres and (K, 3) unit normals."""
    height, width = points.shape[:2]
    steps = np.linspace(-reach, reach, 6).round().astype(int)
    window = np.stack(np.meshgrid(steps, steps, indexing='ij'), axis=-1).reshape(-1, 2)
    measured = np.argwhere(np.isfinite(points[..., 2]))
    centres = measured[rng.integers(len(measured), size=count)]
    pixels = np.clip(centres[:, None] + window, 0, [height - 1, width - 1])  # (K, P, 2)
    patches = points[pixels[..., 0], pixels[..., 1]].astype(np.float64)  # (K, P, 3)
    valid = np.isfinite(patches).all(axis=2)
    enough = valid.mean(axis=1) > 0.5
    patches, valid = patches[enough], valid[enough]
    sizes = valid.sum(axis=1)[:, None]
    patches = np.where(valid[..., None], patches, 0.0)
    means = patches.sum(axis=1) / sizes
    spread = (patches - means[:, None]) * valid[..., None]
    variances, axes = np.linalg.eigh(np.einsum('kpi,kpj->kij', spread, spread) / sizes[..., None])
    flat = np.sqrt(np.maximum(variances[:, 0], 0)) < 2 * D435_NOISE.depth_sigma(
        means[:, 2], intrinsics
    )
    normals = axes[flat][:, :, 0]
    return means[flat], -normals * np.sign(normals[:, 2:])


def _candidate_planes(
    means: NDArray,
    normals: NDArray,
    sample: NDArray,
    *,
    rng: np.random.Generator,
    config: FloorConfig,
) -> NDArray:
    """(K', 4) planes through the patches with least below them, alone and in threes that agree."""
    single = np.concatenate([normals, -(normals * means).sum(axis=1, keepdims=True)], axis=1)
    if len(means) < 3:
        return _facing(single, config)
    thin = sample[::8].T
    below = (single[:, :3] @ thin + single[:, 3:] < -0.01).mean(axis=1)
    most = max(30, len(below) // 4, int((below <= config.flying_share).sum()))
    low = np.argsort(below)[:most]
    single, means, normals = single[low], means[low], normals[low]
    triples = rng.integers(len(means), size=(20 * config.patches, 3))
    a, b, c = (means[triples[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    length = np.linalg.norm(across, axis=1)
    across = -across / np.maximum(length, 1e-12)[:, None] * np.sign(across[:, 2:])
    agreement = np.einsum('ki,kji->kj', across, normals[triples]).min(axis=1)
    agreed = agreement > np.cos(np.radians(config.patch_agreement_degrees))
    sound = (length > 1e-4) & agreed  # m^2; not nearly on a line
    across, a = across[sound][: config.patches], a[sound][: config.patches]
    spanned = np.concatenate([across, -(across * a).sum(axis=1, keepdims=True)], axis=1)
    return _facing(np.concatenate([single, spanned]), config)


def _facing(planes: NDArray, config: FloorConfig) -> NDArray:
    """Those of (K, 4) planes that face the camera within the tilt that is looked at."""
    return planes[-planes[:, 2] > np.cos(np.radians(config.seen_tilt_degrees))]


def _refined(
    planes: NDArray, sample: NDArray, *, sigma: NDArray, config: FloorConfig
) -> tuple[NDArray, NDArray]:
    """The best of (K, 4) planes, fitted to the points on them and not too steep; their scores.

    Raises:
        FloorNotFoundError: a plane that is too steep looks far more like a floor.
    """
    near = np.maximum(config.on_m, config.on_sigma * sigma)
    under = np.maximum(config.under_m, config.under_sigma * sigma)
    scores = _floor_scores(planes, sample, near, under=under, config=config)
    planes = planes[np.argsort(-scores)[:24]]
    for widen in (4.0, 2.0, 1.0, 1.0):
        check_time()
        planes = _refit(planes, sample, near * widen, sigma=sigma, config=config)
    scores = _floor_scores(planes, sample, near, under=under, config=config)
    tilts = np.degrees(np.arccos(np.clip(-planes[:, 2], -1, 1)))
    level = tilts <= config.max_tilt_degrees
    steep = float(scores[~level].max(initial=-np.inf))
    permitted = max(float(scores[level].max(initial=0)), 0.1 * len(sample))
    if steep > config.steep_ratio * permitted:
        tilt = float(tilts[np.argmax(scores)])
        raise FloorNotFoundError(
            f'what most looks like a floor is tilted by {tilt:.0f} degrees '
            f'against the image; at most {config.max_tilt_degrees:.0f} are supported: let the '
            'camera look down more steeply'
        )
    return planes[level], scores[level]


def _floor_scores(
    planes: NDArray, sample: NDArray, near: NDArray, *, under: NDArray, config: FloorConfig
) -> NDArray:
    """(K, 4) planes and (M, 3) points -> (K,) the scores of `find_floor`.

    The first points below count once: a camera has flying pixels, and a side wall of a tote, which
    has none below, would else be its floor.
    """
    below, on = np.zeros(len(planes)), np.zeros(len(planes))
    for k in range(0, len(planes), 32):  # so many heights stay in the processor's cache
        heights = planes[k : k + 32, :3] @ sample.T + planes[k : k + 32, 3:]  # (32, M)
        below[k : k + 32] = np.count_nonzero(heights < -under, axis=1)
        on[k : k + 32] = np.count_nonzero(np.abs(heights, out=heights) < near, axis=1)
    many = np.maximum(below - config.flying_share * len(sample), 0)
    return on - below - (config.below_weight - 1) * many


def _refit(
    planes: NDArray, sample: NDArray, near: NDArray, *, sigma: NDArray, config: FloorConfig
) -> NDArray:
    """(K, 4) planes, each by least squares through the points near it, weighted by their noise."""
    middle = sample.mean(axis=0)
    points = sample - middle  # so that products keep their digits
    products = (points[:, :, None] * points[:, None]).reshape(-1, 9)
    inside = np.abs(planes[:, :3] @ sample.T + planes[:, 3:]) < near  # (K, M)
    weights = inside / sigma**2
    total = np.maximum(weights.sum(axis=1), 1e-300)[:, None]
    centres = weights @ points / total
    outer = centres[:, :, None] * centres[:, None]
    normals = np.linalg.eigh((weights @ products / total).reshape(-1, 3, 3) - outer)[1][:, :, 0]
    normals = -normals * np.sign(normals[:, 2:])
    offsets = -(normals * (centres + middle)).sum(axis=1)
    steepest = np.cos(np.radians(config.seen_tilt_degrees))
    sound = (inside.sum(axis=1) >= 10) & (-normals[:, 2] >= steepest)
    return np.where(sound[:, None], np.column_stack([normals, offsets]), planes)


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


def levelled(frame: DepthFrame, floor: Plane, within_m: float = DEFAULT.level_within_m) -> Plane:
    """The floor with its distance as this frame shows it: bins move by millimetres."""
    heights = height_map(frame, floor)
    near = heights[np.abs(heights) < within_m]
    if len(near) < 200:
        return floor
    return replace(floor, offset=floor.offset - float(np.median(near)))
