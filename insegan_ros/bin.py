"""The bin in a frame: its floor, its walls, and which pixels show parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros import config
from insegan_ros.camera import Plane, height_map, pixel_rays, points_from_depth
from insegan_ros.types import DepthFrame, Intrinsics

# One pixel of disparity error at this focal length and baseline is the depth noise of a stereo
# camera: sigma_z = z^2 s / (f B), with s = 0.08 px and B = 50 mm for a D435.
STEREO_SIGMA_PX = 0.08
STEREO_BASELINE_M = 0.05
MAX_TILT_DEGREES = 45.0
FLOOR_POINTS = 4000  # sampled from a frame
FLOOR_CANDIDATES = 600
PATCH_REACHES = (4, 9)  # px: half the side of a patch
BELOW_WEIGHT = 8.0  # a point under a floor counts against it as much as 8 on it count for it


class FloorNotFoundError(ValueError):
    """No plane in a frame can be the bin's floor; the message says what to do."""


def depth_sigma(depth_m: NDArray[np.floating], intrinsics: Intrinsics) -> NDArray[np.floating]:
    """Standard deviation of a D435's depth in metres, for each depth in metres."""
    return depth_m**2 * (STEREO_SIGMA_PX / (intrinsics.fx * STEREO_BASELINE_M))


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
    sigma = depth_sigma(sample[:, 2], frame.intrinsics)
    near = np.maximum(0.002, 2 * sigma)  # m: on the plane
    under = np.maximum(0.005, 5 * sigma)  # m: below it
    patches = [_flat_patches(points, frame.intrinsics, reach, rng) for reach in PATCH_REACHES]
    means, normals = (np.concatenate(kind) for kind in zip(*patches))
    planes = _candidate_planes(means, normals, sample, rng)  # (K, 4)
    if len(planes):
        planes = planes[np.argsort(-_floor_scores(planes, sample, near, under))[:24]]
        for widen in (4.0, 2.0, 1.0, 1.0):
            planes = np.array([_refit(p, sample, near * widen, sigma) for p in planes])
        scores = _floor_scores(planes, sample, near, under)
        best = planes[np.argmax(scores)]
    if not len(planes) or scores.max() < 0.01 * len(sample):
        raise FloorNotFoundError(
            f'no plane within {MAX_TILT_DEGREES:.0f} degrees of the view has enough points on it '
            "and none below; show more of the bin's floor, or calibrate on an empty bin"
        )
    all_points = points[rows, columns].astype(np.float64)
    all_sigma = depth_sigma(all_points[:, 2], frame.intrinsics)
    nx, ny, nz, offset = _refit(
        best, all_points, np.maximum(0.002, 2 * all_sigma), all_sigma
    ).tolist()
    return Plane((nx, ny, nz), offset)


def _flat_patches(
    points: NDArray[np.float32], intrinsics: Intrinsics, reach: int, rng: np.random.Generator
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
    flat = np.sqrt(np.maximum(variances[:, 0], 0)) < 2 * depth_sigma(means[:, 2], intrinsics)
    normals = axes[flat][:, :, 0]
    return means[flat], -normals * np.sign(normals[:, 2:])


def _candidate_planes(
    means: NDArray, normals: NDArray, sample: NDArray, rng: np.random.Generator
) -> NDArray:
    """(K', 4) planes through the patches with least below them, alone and in threes that agree."""
    single = np.concatenate([normals, -(normals * means).sum(axis=1, keepdims=True)], axis=1)
    if len(means) < 3:
        return _facing(single)
    thin = sample[::8].T
    below = (single[:, :3] @ thin + single[:, 3:] < -0.01).mean(axis=1)
    low = np.argsort(below)[: max(30, len(below) // 4)]
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
    """Those of (K, 4) planes that face the camera within MAX_TILT_DEGREES."""
    return planes[-planes[:, 2] > np.cos(np.radians(MAX_TILT_DEGREES))]


def _floor_scores(planes: NDArray, sample: NDArray, near: NDArray, under: NDArray) -> NDArray:
    """(K, 4) planes and (M, 3) points -> (K,) points on each less 8 times those below it."""
    heights = planes[:, :3] @ sample.T + planes[:, 3:]  # (K, M)
    return (np.abs(heights) < near).sum(1) - BELOW_WEIGHT * (heights < -under).sum(1)


def _refit(plane: NDArray, sample: NDArray, near: NDArray, sigma: NDArray) -> NDArray:
    """Least squares through the points near a plane, weighted by their noise."""
    inside = np.abs(sample @ plane[:3] + plane[3]) < near
    if inside.sum() < 10:
        return plane
    points, weights = sample[inside], 1 / sigma[inside] ** 2
    centre = np.average(points, axis=0, weights=weights)
    spread = (points - centre) * np.sqrt(weights)[:, None]
    normal = np.linalg.eigh(spread.T @ spread)[1][:, 0]
    normal = -normal * np.sign(normal[2])
    if -normal[2] < np.cos(np.radians(MAX_TILT_DEGREES)):
        return plane
    return np.append(normal, -normal @ centre)


@dataclass(frozen=True)
class Bin:
    """Where the bin is for a camera that does not move."""

    floor: Plane
    region: tuple[int, int, int, int] | None = None  # x, y, width, height of its window, px
    corners: tuple[tuple[float, float, float], ...] | None = None  # of its floor, camera frame, m


MIN_INSIDE = 0.05  # of a bin's area in the image is lower than its walls
BOX_SHARE = 0.9  # of the rectangle around it a bin fills
MIN_ENCLOSED = 0.3  # of the walls' own area in the image; the holes in parts make up less
WALL_MARGIN_M = 0.004  # from the walls' inner faces: measured walls waver by as much,
WALL_LEAN = 0.06  # and the more the higher above the floor

HIDDEN_M = 0.008  # a rim further out than the floor's end: more than walls lean outwards


def find_bin(frame: DepthFrame, rng: np.random.Generator, floor: Plane | None = None) -> Bin:
    """The floor and what the walls enclose, from one frame.

    Walls are taken to be at least half as tall as the tallest thing in sight. Without walls all
    that is seen is the inside.

    Raises:
        FloorNotFoundError: as `find_floor`, where `floor` is not given.
    """
    floor = find_floor(frame, rng) if floor is None else floor
    heights = height_map(frame, floor)
    measured = np.isfinite(heights)
    if not measured.any():
        raise FloorNotFoundError('no pixel is measured; check that the camera sees the bin')
    tallest = float(np.percentile(heights[measured], 99))
    inside = _enclosed(heights, ~measured | (heights > 0.5 * tallest))
    low = inside & measured & (heights < 0.3 * tallest)
    rim = measured & (heights > 0.85 * tallest) & ~inside
    corners = _floor_rectangle(frame, floor, low, rim)
    if corners is None:
        return Bin(floor, _window(measured), None)
    top = corners - np.asarray(floor.normal) * -tallest  # the walls lean outwards in the image
    region = _project(np.concatenate([corners, top]), frame.intrinsics)
    return Bin(floor, region, tuple(tuple(c) for c in corners.tolist()))


def _enclosed(heights: NDArray, tall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) what tall or unmeasured pixels surround, tall things that stand in it included."""
    closed = cv2.morphologyEx(tall.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    low_areas = cv2.connectedComponents((closed == 0).astype(np.uint8), connectivity=4)[1]
    outside = np.isin(low_areas, np.setdiff1d(_at_edge(low_areas), 0))
    tall_areas = cv2.connectedComponents(closed, connectivity=8)[1]
    beside = cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    walls = np.union1d(_at_edge(tall_areas), tall_areas[beside])
    surrounded = ~outside & ~np.isin(tall_areas, np.setdiff1d(walls, 0))
    if outside.any():
        _, areas, stats, _ = cv2.connectedComponentsWithStats((~outside).astype(np.uint8))
        block = areas == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]) if len(stats) > 1 else tall
        walled = _is_box(block) and (surrounded & block).sum() > MIN_INSIDE * block.sum()
    else:
        around = (closed > 0) & ~surrounded & np.isfinite(heights)
        walled = surrounded.sum() > MIN_ENCLOSED * around.sum()
    return surrounded if walled else np.ones_like(tall)


def _is_box(block: NDArray[np.bool_]) -> bool:
    """Whether an area fills the rectangle around it, as a bin does and scattered parts do not."""
    corners = cv2.minAreaRect(np.argwhere(block).astype(np.float32))
    return float(block.sum()) > BOX_SHARE * (corners[1][0] + 1) * (corners[1][1] + 1)


def _at_edge(areas: NDArray) -> NDArray:
    return np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))


def _floor_rectangle(
    frame: DepthFrame, floor: Plane, low: NDArray[np.bool_], rim: NDArray[np.bool_]
) -> NDArray | None:
    """(4, 3) corners of the bin's floor, camera frame, or None where too little of it is seen.

    The sides lie where low points end. Where parts or a wall hide the floor before it ends, the
    inner edge of the walls' rim tells how much further it goes.
    """
    if low.sum() < 100:
        return None
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    origin, axes = floor_frame(floor)
    flat = (points[low] - origin) @ axes.T  # (M, 2) metres along the floor
    middle = np.median(flat, axis=0)
    edge = (points[rim] - origin) @ axes.T - middle
    _, sides, degrees = cv2.minAreaRect(cv2.convexHull((flat - middle).astype(np.float32)))
    if len(edge) > 400:  # the rim is straight, what parts leave of the floor is not
        _, rim_sides, rim_degrees = cv2.minAreaRect(cv2.convexHull(edge.astype(np.float32)))
        if np.all(np.sort(rim_sides) > np.sort(sides)):  # else it is a part of it, or tall parts
            degrees = rim_degrees
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    ends = np.percentile((flat - middle) @ turn, [0.3, 99.7], axis=0)  # (2, 2) low, high of x, y
    edge = edge @ turn
    centre, half = ends.mean(axis=0), np.ptp(ends, axis=0) / 2
    for axis in (0, 1):
        beside = np.abs(edge[:, 1 - axis] - centre[1 - axis]) < 0.6 * half[1 - axis]
        for end, sign in ((0, -1), (1, 1)):
            beyond = sign * (edge[beside, axis] - ends[end, axis])
            beyond = beyond[beyond > 0]
            if len(beyond) > 20 and np.percentile(beyond, 3) > HIDDEN_M:
                ends[end, axis] += sign * np.percentile(beyond, 3)
    box = np.array([ends[0], [ends[1, 0], ends[0, 1]], ends[1], [ends[0, 0], ends[1, 1]]])
    return origin + (box @ turn.T + middle) @ axes


def floor_frame(floor: Plane) -> tuple[NDArray, NDArray]:
    """The floor's point nearest the camera (3,), and two axes along the floor (2, 3)."""
    normal = np.asarray(floor.normal)
    x = np.array([1.0, 0, 0]) - normal[0] * normal
    x /= np.linalg.norm(x)
    return -floor.offset * normal, np.stack([x, np.cross(-normal, x)])


def _window(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1


def _project(points: NDArray, intrinsics: Intrinsics) -> tuple[int, int, int, int]:
    """The window of the image around (M, 3) points."""
    pixels = points @ intrinsics.matrix.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    size = [intrinsics.width, intrinsics.height]
    low = np.clip(np.floor(pixels.min(axis=0)), 0, np.array(size) - 1).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)), low, np.array(size) - 1).astype(int)
    return int(low[0]), int(low[1]), int(high[0] - low[0] + 1), int(high[1] - low[1] + 1)


def foreground(frame: DepthFrame, bin: Bin, min_height_m: float = 0.004) -> NDArray[np.bool_]:
    """(H, W) measured pixels of parts: above the floor by more than noise, inside the walls."""
    heights = height_map(frame, bin.floor)
    with np.errstate(invalid='ignore'):
        above = heights > np.maximum(
            min_height_m, 3 * depth_sigma(frame.depth_m, frame.intrinsics)
        )
    if bin.region is not None:
        x, y, width, height = bin.region
        inside = np.zeros(above.shape, bool)
        inside[y : y + height, x : x + width] = True
        above &= inside
    if bin.corners is not None:
        above &= _within_walls(frame, heights, bin)
    return above


def _within_walls(frame: DepthFrame, heights: NDArray, bin: Bin) -> NDArray[np.bool_]:
    """(H, W) points inside each of the four walls, by a margin that grows with the height."""
    rays = pixel_rays(frame.intrinsics)
    corners = np.asarray(bin.corners)
    centre = corners.mean(axis=0)
    margin = WALL_MARGIN_M + WALL_LEAN * heights
    inside = np.ones(frame.depth_m.shape, bool)
    for a, b in zip(corners, np.roll(corners, -1, axis=0)):
        inward = np.cross(bin.floor.normal, b - a)
        inward *= np.sign((centre - a) @ inward) / np.linalg.norm(inward)
        distance = (rays @ inward.astype(np.float32)) * frame.depth_m - np.float32(inward @ a)
        inside &= distance > margin
    return inside


def save_bin(path: Path, bin: Bin) -> None:
    """Write what `insegan calibrate` found, as YAML."""
    path.write_text(config.dump(bin))


def load_bin(path: Path) -> Bin:
    """Raises: ConfigError, for a file that is absent or holds something else."""
    return config.load(Bin, [path])


class BinTracker:
    """The bin of a camera that rarely moves: found again when it no longer fits.

    Parts hide the walls' feet in some frames, so it is looked for in the first few, and what most
    of them agree on is kept.
    """

    LOOKS = 5  # frames
    STRIDE = 8  # pixels skipped when the fit is checked
    BELOW_M = 0.008  # under the floor by more than noise

    def __init__(self, bin: Bin | None = None, seed: int = 0) -> None:
        """A given bin is kept whatever the frames show; None finds one in the frames."""
        self._given = bin
        self._looks: list[tuple[Bin, float]] = []  # with the share of points on the floor
        self._rng = np.random.default_rng(seed)

    def __call__(self, frame: DepthFrame) -> Bin:
        """Raises: FloorNotFoundError, as `find_bin`."""
        if self._given is not None:
            return self._given
        if self._looks and not self._fits(frame):
            self._looks = []
        if len(self._looks) < self.LOOKS:
            try:
                seen = find_bin(frame, self._rng)
                self._looks.append((seen, self._shares(frame, seen)[0]))
            except FloorNotFoundError:
                if not self._looks:
                    raise
        return self._agreed()[0]

    def _agreed(self) -> tuple[Bin, float]:
        """The look whose window overlaps most with all others'; of two, the first."""
        windows = [look[0].region for look in self._looks]
        return self._looks[int(np.argmax([sum(_overlap(a, b) for b in windows) for a in windows]))]

    def _fits(self, frame: DepthFrame) -> bool:
        agreed, then = self._agreed()
        on, below = self._shares(frame, agreed)
        return below < 0.02 and on > 0.3 * then

    def _shares(self, frame: DepthFrame, bin: Bin) -> tuple[float, float]:
        """Of the measured points: the share on the floor, the share below it."""
        rays = pixel_rays(frame.intrinsics)[:: self.STRIDE, :: self.STRIDE]
        depth = frame.depth_m[:: self.STRIDE, :: self.STRIDE]
        heights = bin.floor.heights(rays * depth[..., None])
        heights = heights[np.isfinite(heights)]
        if not len(heights):
            return 0.0, 0.0
        return float((np.abs(heights) < 0.004).mean()), float((heights < -self.BELOW_M).mean())


def _overlap(a: tuple[int, int, int, int] | None, b: tuple[int, int, int, int] | None) -> float:
    """Intersection over union of two windows x, y, width, height."""
    if a is None or b is None:
        return float(a is b)
    sides = [min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]) for k in (0, 1)]
    both = max(sides[0], 0) * max(sides[1], 0)
    return both / max(a[2] * a[3] + b[2] * b[3] - both, 1)


def floor_coordinates(points: NDArray[np.float32], floor: Plane) -> NDArray[np.float32]:
    """(..., 3) points in the camera frame -> (..., 3): x, y along the floor and the height, m."""
    origin, axes = floor_frame(floor)
    flat = (points - origin.astype(np.float32)) @ axes.T.astype(np.float32)
    return np.concatenate([flat, floor.heights(points)[..., None]], axis=-1).astype(np.float32)
