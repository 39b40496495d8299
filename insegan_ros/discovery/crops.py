"""Crops that probably show one whole part, found in unlabelled frames by geometry alone.

A crop is seen along the camera's ray through it, orthographically and in metres: within the size
of a part, perspective is then a rotation, which reconstruction estimates anyway.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from tqdm import tqdm

from insegan_ros.bin_finding import find_bin
from insegan_ros.bin_tracker import BinTracker
from insegan_ros.camera import Plane, height_map, points_from_depth
from insegan_ros.data.store import Dataset
from insegan_ros.floor import FloorNotFoundError, floor_coordinates, levelled
from insegan_ros.parts_bin import DEFAULT as FINDING
from insegan_ros.parts_bin import Bin, FindingConfig, foreground, lowest_part
from insegan_ros.types import DepthFrame

# how far beyond its outermost points a part may go on, px: segments end before depth edges, whose
# pixels mix two depths; a network's masks end where the part does
SEGMENT_EDGE, MASK_EDGE = 2.0, 0.8
PIXEL = 0.6  # px around a point that surely are the part: no gaps between neighbours
FINER = 4  # cells along a crop's pixel while it is drawn


@dataclass(frozen=True, kw_only=True)
class PieceConfig:
    """What decides which segments of a frame may show one whole part."""

    step_m: float = 0.005  # between neighbouring pixels: a depth edge, where a part may end
    lower_m: float = 0.003  # what is lower by more is hidden by the segment, and does not hide it
    least_px: int = 30  # of a segment; smaller ones show too little of a part
    surroundings_px: int = 3  # around a segment that say whether it is alone or on top
    alone: float = 0.97  # share of the surroundings that must be floor or unmeasured
    on_top: float = 0.90  # share of the surroundings that must be lower or unmeasured
    whole: float = 0.9  # share of a lone blob above which a segment of it is the blob once more


DEFAULT = PieceConfig()


@dataclass(frozen=True)
class Piece:
    """Points of one segment, seen along the ray through its middle."""

    points: NDArray[np.float32]  # (K, 3) x, y about the middle, z above the floor, metres
    length_m: float  # greatest distance between two points in x, y
    alone: bool  # floor all around: it rests on it, and shows all of itself
    pixel_m: float  # between the points of neighbouring pixels, metres
    edge_px: float = SEGMENT_EDGE  # beyond the outermost points, in which the part may go on


@dataclass(frozen=True)
class Crops:
    """N crops of P x P pixels, centred on what they show."""

    mask: NDArray[np.float32]  # (N, P, P) 1 where the part is
    sure: NDArray[np.float32]  # (N, P, P) 0 at its edge, where a camera is unsure
    height: NDArray[np.float32]  # (N, P, P) metres above the floor, 0 outside the mask
    alone: NDArray[np.bool_]  # (N,)
    width_m: float  # of a crop

    def __len__(self) -> int:
        return len(self.mask)

    def select(self, index: NDArray) -> Crops:
        """Those of an index array or a mask."""
        return replace(
            self,
            mask=self.mask[index],
            sure=self.sure[index],
            height=self.height[index],
            alone=self.alone[index],
        )


def frame_pieces(
    frame: DepthFrame,
    parts_bin: Bin,
    stacked: bool = True,
    *,
    config: PieceConfig = DEFAULT,
) -> Iterator[Piece]:
    """What lies alone; with `stacked`, also segments that hide all that they touch."""
    parts_bin = replace(parts_bin, floor=levelled(frame, parts_bin.floor))
    floor = parts_bin.floor
    inside = foreground(frame, parts_bin).astype(np.uint8)
    heights = height_map(frame, floor)
    lowest = lowest_part(frame, parts_bin, heights)
    solid = np.nan_to_num(heights, nan=-1.0)
    points = floor_coordinates(points_from_depth(frame.depth_m, frame.intrinsics), floor)
    focal = (frame.intrinsics.fx + frame.intrinsics.fy) / 2
    count, labels = cv2.connectedComponents(inside, connectivity=8)
    for k in range(1, count):
        mask = labels == k
        if mask.sum() < config.least_px:
            continue
        ring = _ring(mask, config.surroundings_px)
        alone = (solid[ring] < lowest).mean() >= config.alone
        if alone:
            yield _piece(points[mask], floor.offset, focal, alone=True)
        if not stacked:
            continue
        for segment in _segments(mask, solid, config):
            whole = alone and segment.sum() > config.whole * mask.sum()
            if not whole and _hides_its_neighbours(segment, solid, config):
                yield _piece(points[segment], floor.offset, focal, alone=False)


def pieces_of(
    frame: DepthFrame,
    parts_bin: Bin,
    labels: NDArray[np.integer],
    *,
    longest_m: float,
    config: PieceConfig = DEFAULT,
) -> Iterator[Piece]:
    """One of every label, as whoever labelled the frame saw it.

    Args:
        labels: (H, W), 0 where no whole part is seen.
        longest_m: what is longer is no part.
    """
    parts_bin = replace(parts_bin, floor=levelled(frame, parts_bin.floor))
    floor = parts_bin.floor
    heights = height_map(frame, floor)
    lowest = lowest_part(frame, parts_bin, heights)
    solid = np.nan_to_num(heights, nan=-1.0)
    points = floor_coordinates(points_from_depth(frame.depth_m, frame.intrinsics), floor)
    focal = (frame.intrinsics.fx + frame.intrinsics.fy) / 2
    for k in np.unique(labels[labels > 0]):
        mask = (labels == k) & np.isfinite(frame.depth_m)
        if mask.sum() < config.least_px:
            continue
        ring = _ring(mask, config.surroundings_px)
        alone = (solid[ring] < lowest).mean() >= config.alone
        piece = _piece(points[mask], floor.offset, focal, alone=bool(alone), edge_px=MASK_EDGE)
        if piece.length_m <= longest_m:
            yield piece


def _ring(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return (cv2.dilate(mask.astype(np.uint8), kernel) > 0) & ~mask


def _segments(
    mask: NDArray[np.bool_], heights: NDArray, config: PieceConfig
) -> Iterator[NDArray[np.bool_]]:
    """Parts of a mask whose neighbouring pixels differ by less than a depth edge."""
    ids = np.arange(mask.size).reshape(mask.shape)
    pairs = []
    for a, b in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        linked = mask[a] & mask[b] & (np.abs(heights[a] - heights[b]) < config.step_m)
        pairs.append(np.stack([ids[a][linked], ids[b][linked]]))
    start, end = np.concatenate(pairs, axis=1)
    graph = sparse.coo_matrix((np.ones(len(start)), (start, end)), (mask.size, mask.size))
    labels = csgraph.connected_components(graph, directed=False)[1].reshape(mask.shape)
    values, sizes = np.unique(labels[mask], return_counts=True)
    for value in values[sizes >= config.least_px]:
        yield labels == value


def _hides_its_neighbours(
    segment: NDArray[np.bool_], heights: NDArray, config: PieceConfig
) -> bool:
    """Nothing around it is as high as it is there: no other part can hide some of it."""
    ring = _ring(segment, config.surroundings_px)
    edge = np.where(segment, heights, -1.0).astype(np.float32)
    side = 2 * config.surroundings_px + 1
    nearest = cv2.dilate(edge, np.ones((side, side), np.uint8))  # highest of its pixels nearby
    return bool((heights[ring] < nearest[ring] - config.lower_m).mean() >= config.on_top)


def _piece(
    points: NDArray[np.float32],
    camera_height: float,
    focal: float,
    *,
    alone: bool,
    edge_px: float = SEGMENT_EDGE,
) -> Piece:
    """(K, 3) x, y along the floor and the height -> along the ray through their middle."""
    points = points * np.array([1, -1, 1], np.float32)  # y as in the image is left-handed
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    ray = middle - [0, 0, camera_height]
    foot = np.append(middle[:2] - ray[:2] * middle[2] / ray[2], 0)  # where it meets the floor
    z = -ray / np.linalg.norm(ray)
    x = np.array([1.0, 0, 0]) - z[0] * z
    x /= np.linalg.norm(x)
    turned = (points - foot) @ np.stack([x, np.cross(z, x), z]).T
    pixel_m = float(np.linalg.norm(ray)) / focal
    length_m = _length(turned[:, :2]) + pixel_m
    return Piece(turned.astype(np.float32), length_m, alone, pixel_m, edge_px)


def _length(flat: NDArray) -> float:
    try:
        flat = flat[ConvexHull(flat).vertices]
    except QhullError:
        return 0.0
    return float(pdist(flat).max())


def dataset_pieces(
    dataset: Dataset,
    indices: Sequence[int],
    rng: np.random.Generator,
    *,
    progress: bool = True,
    cut: Callable[[DepthFrame, Bin], Iterable[Piece]] = frame_pieces,
    enough: float = math.inf,
    finding: FindingConfig = FINDING,
) -> list[Piece]:
    """Pieces of many frames of one camera that does not move.

    Args:
        enough: pieces after which no more frames are looked at.

    Raises:
        FloorNotFoundError: the dataset states no floor and no frame shows one.
    """
    given = dataset.info.floor
    floor = None if given is None else Plane((given[0], given[1], given[2]), given[3])
    first = next(iter(indices), None)
    known = None
    if floor is not None and first is not None:
        known = find_bin(dataset[first].frame, rng, floor, config=finding)
    track = BinTracker(known, int(rng.integers(2**31)), config=finding)
    pieces: list[Piece] = []
    unseen: FloorNotFoundError | None = None
    for index in tqdm(indices, desc='crops', unit='frame', disable=not progress):
        frame = dataset[index].frame
        try:
            pieces.extend(cut(frame, track(frame)))
        except FloorNotFoundError as error:
            unseen = error
        if len(pieces) >= enough:
            break
    if not pieces and unseen is not None:
        raise unseen
    return pieces


def rasterise(pieces: Sequence[Piece], width_m: float, pixels: int) -> Crops:
    """Pieces on a metric grid `width_m` wide, the middle of each one's extent at the centre.

    A point stands for its pixel. Further out, up to `edge_px`, the part may go on: pixels that
    show an edge mix two depths or are not measured, and are in no segment. To take them for
    background makes thin parts a tenth too thin.
    """
    fine = pixels * FINER
    scale = fine / width_m
    masks = np.zeros((len(pieces), pixels, pixels), np.float32)
    sures, heights = np.zeros_like(masks), np.zeros_like(masks)
    for mask, sure, height, piece in zip(masks, sures, heights, pieces, strict=True):
        flat = piece.points[:, :2]
        flat = flat - (flat.min(axis=0) + flat.max(axis=0)) / 2
        cells = np.floor(flat * scale + fine / 2).astype(int)
        seen = ((cells >= 0) & (cells < fine)).all(axis=1)
        at = cells[seen, 1], cells[seen, 0]
        hit, count, total = (np.zeros((fine, fine), np.float32) for _ in range(3))
        hit[at] = 1
        np.add.at(count, at, 1)
        np.add.at(total, at, piece.points[seen, 2])
        inner, outer = (
            _covered(hit, px * piece.pixel_m * scale, pixels) for px in (PIXEL, piece.edge_px)
        )
        # points near a cell give its height, the nearer the more
        reach = max(piece.pixel_m * scale, FINER / 2)
        weight = cv2.GaussianBlur(count, (0, 0), reach)
        blurred = cv2.GaussianBlur(total, (0, 0), reach)
        mean = _mean(blurred / np.maximum(weight, 1e-9), pixels)
        middle = (inner + outer) / 2
        mask[...] = middle > 0.5
        sure[...] = (inner > 0.5) == (outer > 0.5)
        height[...] = mask * mean
    alone = np.array([piece.alone for piece in pieces], bool)
    return Crops(masks, sures, heights, alone, width_m)


def _covered(hit: NDArray[np.float32], radius: float, pixels: int) -> NDArray:
    """(P, P) the share of each pixel that lies within a radius of a point, both in fine cells."""
    return _mean(cv2.dilate(hit, _disc(radius)), pixels)


def _mean(fine: NDArray, pixels: int) -> NDArray:
    return cv2.resize(fine, (pixels, pixels), interpolation=cv2.INTER_AREA)


def _disc(radius: float) -> NDArray[np.uint8]:
    reach = math.ceil(radius)
    line = np.arange(-reach, reach + 1)
    return (line[:, None] ** 2 + line[None] ** 2 <= radius**2).astype(np.uint8)
