"""Pieces that probably show one whole part, cut from unlabelled frames by geometry alone.

A piece is seen along the camera's ray through it, orthographically and in metres: within the size
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


def frame_pieces(
    frame: DepthFrame, parts_bin: Bin, stacked: bool = True, *, config: PieceConfig = DEFAULT
) -> Iterator[Piece]:
    """What lies alone; with `stacked`, also segments that hide all that they touch."""
    view = _View.of(frame, parts_bin, config)
    parts = foreground(frame, replace(parts_bin, floor=view.floor)).astype(np.uint8)
    count, labels = cv2.connectedComponents(parts, connectivity=8)
    for k in range(1, count):
        mask = labels == k
        if mask.sum() < config.least_px:
            continue
        alone = view.is_alone(mask)
        if alone:
            yield view.piece(mask, alone=True)
        if not stacked:
            continue
        for segment in view.segments(mask):
            whole = alone and segment.sum() > config.whole * mask.sum()
            if not whole and view.hides_its_neighbours(segment):
                yield view.piece(segment, alone=False)


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
    view = _View.of(frame, parts_bin, config)
    for k in np.unique(labels[labels > 0]):
        mask = (labels == k) & np.isfinite(frame.depth_m)
        if mask.sum() < config.least_px:
            continue
        piece = view.piece(mask, alone=view.is_alone(mask), edge_px=MASK_EDGE)
        if piece.length_m <= longest_m:
            yield piece


@dataclass(frozen=True)
class _View:
    """What pieces of one frame are cut from."""

    floor: Plane
    heights: NDArray[np.floating]  # (H, W) m above the floor, -1 where unmeasured
    points: NDArray[np.float32]  # (H, W, 3) x, y along the floor and the height, m
    lowest: float  # m above the floor from which on a part is seen
    focal: float  # px
    config: PieceConfig

    @staticmethod
    def of(frame: DepthFrame, parts_bin: Bin, config: PieceConfig) -> _View:
        floor = levelled(frame, parts_bin.floor)
        heights = height_map(frame, floor)
        lowest = lowest_part(frame, replace(parts_bin, floor=floor), heights)
        points = floor_coordinates(points_from_depth(frame.depth_m, frame.intrinsics), floor)
        focal = (frame.intrinsics.fx + frame.intrinsics.fy) / 2
        return _View(floor, np.nan_to_num(heights, nan=-1.0), points, lowest, focal, config)

    def is_alone(self, mask: NDArray[np.bool_]) -> bool:
        """Whether there is floor all around."""
        ring = _ring(mask, self.config.surroundings_px)
        return bool((self.heights[ring] < self.lowest).mean() >= self.config.alone)

    def segments(self, mask: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
        """Parts of a mask whose neighbouring pixels differ by less than a depth edge."""
        ids = np.arange(mask.size).reshape(mask.shape)
        pairs = []
        for a, b in (
            ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
            ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ):
            step = np.abs(self.heights[a] - self.heights[b])
            linked = mask[a] & mask[b] & (step < self.config.step_m)
            pairs.append(np.stack([ids[a][linked], ids[b][linked]]))
        start, end = np.concatenate(pairs, axis=1)
        graph = sparse.coo_matrix((np.ones(len(start)), (start, end)), (mask.size, mask.size))
        labels = csgraph.connected_components(graph, directed=False)[1].reshape(mask.shape)
        values, sizes = np.unique(labels[mask], return_counts=True)
        for value in values[sizes >= self.config.least_px]:
            yield labels == value

    def hides_its_neighbours(self, segment: NDArray[np.bool_]) -> bool:
        """Nothing around it is as high as it is there: no other part can hide some of it."""
        ring = _ring(segment, self.config.surroundings_px)
        edge = np.where(segment, self.heights, -1.0).astype(np.float32)
        side = 2 * self.config.surroundings_px + 1
        nearest = cv2.dilate(edge, np.ones((side, side), np.uint8))  # highest of its pixels nearby
        lower = self.heights[ring] < nearest[ring] - self.config.lower_m
        return bool(lower.mean() >= self.config.on_top)

    def piece(
        self, mask: NDArray[np.bool_], *, alone: bool, edge_px: float = SEGMENT_EDGE
    ) -> Piece:
        """Its points, turned to the ray through their middle."""
        # y as in the image is left-handed
        points = self.points[mask] * np.array([1, -1, 1], np.float32)  # (K, 3)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        ray = middle - [0, 0, self.floor.offset]
        foot = np.append(middle[:2] - ray[:2] * middle[2] / ray[2], 0)  # where it meets the floor
        z = -ray / np.linalg.norm(ray)
        x = np.array([1.0, 0, 0]) - z[0] * z
        x /= np.linalg.norm(x)
        turned = (points - foot) @ np.stack([x, np.cross(z, x), z]).T
        pixel_m = float(np.linalg.norm(ray)) / self.focal
        length_m = _length(turned[:, :2]) + pixel_m
        return Piece(turned.astype(np.float32), length_m, alone, pixel_m, edge_px)


def _ring(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return (cv2.dilate(mask.astype(np.uint8), kernel) > 0) & ~mask


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
