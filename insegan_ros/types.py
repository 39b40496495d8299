"""The data that passes between parts: frozen dataclasses with shapes on their fields.

Units are metres, radians and nanoseconds; poses are in the camera's optical frame (REP 103: x
right, y down, z forward). NaN marks a missing depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from insegan_ros.parts_bin import Bin

FloatImage = NDArray[np.float32]  # (H, W)
Crop = tuple[slice, slice, NDArray]  # rows and columns of an image, and what is there


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera without distortion, in pixels; a pixel's centre has integer coordinates."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f'image size {self.width} x {self.height}: both must be at least 1')
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(np.isfinite(values)) or self.fx <= 0 or self.fy <= 0:
            raise ValueError(
                f'fx, fy, cx, cy = {values}: all must be finite and the focal lengths positive; '
                'is the camera calibrated?'
            )

    def crop(self, x: int, y: int, width: int, *, height: int) -> Intrinsics:
        """Intrinsics of the image's window whose top left pixel is (x, y)."""
        return replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def scaled(self, share: float) -> Intrinsics:
        """Intrinsics of the image resized to `share` of its width and height."""
        width, height = round(self.width * share), round(self.height * share)
        x, y = width / self.width, height / self.height  # pixels' centres are integers
        cx, cy = (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5
        return Intrinsics(width, height, self.fx * x, self.fy * y, cx, cy)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) camera matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)


@dataclass(frozen=True)
class DepthFrame:
    """One depth image and the camera that took it."""

    depth_m: FloatImage  # (H, W) float32, NaN where unmeasured
    intrinsics: Intrinsics
    stamp_ns: int = 0
    frame_id: str = ''

    def __post_init__(self) -> None:
        expected = (self.intrinsics.height, self.intrinsics.width)
        if self.depth_m.shape != expected:
            raise ValueError(
                f'depth is {self.depth_m.shape} (H, W) but the intrinsics are for {expected}'
            )
        if self.depth_m.dtype != np.float32:
            raise ValueError(f'depth is {self.depth_m.dtype}; float32 metres are expected')


@dataclass(frozen=True)
class InstanceImages:
    """(N, H, W) images of one instance each, of which only a window around the instance is held.

    A hundred instances of a large image would fill the memory otherwise. An integer index or
    iteration gives (H, W) arrays, `numpy.asarray` all of them.
    """

    size: tuple[int, int]  # H, W
    crops: tuple[Crop, ...]
    fill: np.generic  # the value outside the windows; of the images' type

    @staticmethod
    def of(images: Iterable[NDArray], size: Sequence[int], fill: np.generic) -> InstanceImages:
        """Of (H, W) arrays, one an instance."""
        height, width = size
        crops = tuple(crop_of(image, fill) for image in images)
        return InstanceImages((height, width), crops, fill)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, H, W), as of the dense array."""
        return (len(self.crops), *self.size)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, k: int) -> NDArray:
        image = np.full(self.size, self.fill, self.fill.dtype)
        rows, columns, crop = self.crops[k]
        image[rows, columns] = crop
        return image

    def __iter__(self) -> Iterator[NDArray]:
        return (self[k] for k in range(len(self)))

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> NDArray:
        whole = np.full(self.shape, self.fill, dtype or self.fill.dtype)
        for image, (rows, columns, crop) in zip(whole, self.crops):
            image[rows, columns] = crop
        return whole

    def take(self, order: Sequence[int] | NDArray[np.integer]) -> InstanceImages:
        """Those of these indices, in this order."""
        return replace(self, crops=tuple(self.crops[int(k)] for k in order))


def crop_of(image: NDArray, fill: np.generic) -> Crop:
    """What differs from `fill` in a (H, W) array, and where."""
    inside = ~np.isnan(image) if np.isnan(fill) else image != fill
    rows, columns = _extent(inside.any(axis=1)), _extent(inside.any(axis=0))
    return rows, columns, image[rows, columns].astype(fill.dtype)


def _extent(marked: NDArray[np.bool_]) -> slice:
    """From the first True to the last."""
    where = np.flatnonzero(marked)
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)


@dataclass(frozen=True)
class Segmentation:
    """The instances in one frame, at its native size, best pick first.

    Instance k of `labels` is row k - 1 of every per-instance array. Masks follow from the labels.
    """

    labels: NDArray[np.uint16]  # (H, W), 0 background, k = instance k
    depths: InstanceImages  # (N, H, W) float32 metres, rendered single instances, NaN elsewhere
    rendered_depth: FloatImage  # (H, W) metres, all instances composed, NaN elsewhere
    poses: NDArray[np.float32]  # (N, 4, 4) camera_T_instance
    scores: NDArray[np.float32]  # (N,) in [0, 1], not increasing
    visible_fraction: NDArray[np.float32]  # (N,) in [0, 1]
    # (N,) 1, 2, ... which kind of part; None: the method knows no kinds
    kinds: NDArray[np.uint16] | None = None
    # why the frame is not to be trusted, in words; None: not judged (trust)
    doubts: tuple[str, ...] | None = None

    @property
    def verdict(self) -> str:
        """'trusted', 'doubtful', or 'not judged'."""
        return 'not judged' if self.doubts is None else 'doubtful' if self.doubts else 'trusted'

    @property
    def class_ids(self) -> NDArray[np.uint16]:
        """(N,) which kind of part each instance is: 1, 2, ...; all 1 where there is one kind."""
        return np.ones(self.count, np.uint16) if self.kinds is None else self.kinds

    @property
    def classes(self) -> NDArray[np.uint16]:
        """(H, W) the kind of the part that a pixel shows, 0 background."""
        return np.append(np.uint16(0), self.class_ids)[self.labels]

    @property
    def count(self) -> int:
        """How many instances were found."""
        return len(self.scores)

    @cached_property
    def masks(self) -> InstanceImages:
        """(N, H, W) bool, the visible mask of each instance."""
        found = ndimage.find_objects(self.labels, max_label=self.count) if self.count else []
        windows = [where or (slice(0, 0), slice(0, 0)) for where in found]
        crops = [(*where, self.labels[where] == k) for k, where in enumerate(windows, 1)]
        height, width = self.labels.shape
        return InstanceImages((height, width), tuple(crops), np.False_)

    def best(self, most: int) -> Segmentation:
        """The first `most` instances alone."""
        if self.count <= most:
            return self
        labels = np.where(self.labels <= most, self.labels, np.uint16(0))
        kept = np.arange(most)
        return Segmentation(
            labels=labels,
            depths=self.depths.take(kept),
            rendered_depth=np.where(labels > 0, self.rendered_depth, np.float32(np.nan)),
            poses=self.poses[kept],
            scores=self.scores[kept],
            visible_fraction=self.visible_fraction[kept],
            kinds=None if self.kinds is None else self.kinds[kept],
            doubts=self.doubts,
        )


class Segmenter(Protocol):
    """What the node, the benchmark and the CLI call: learned models and baselines alike."""

    @property
    def part_length_m(self) -> float | None:
        """Metres along the part's longest side; None where the method does not know it."""

    @property
    def parts_bin(self) -> Bin | None:
        """Where the bin was in the frame segmented last; None before there was one."""

    @property
    def misfit(self) -> float | None:
        """How much dearer poses of its template were lately than where the model is the part's.

        1: as usual; None where the method has no template, or not enough was seen.
        """

    def segment(
        self,
        frame: DepthFrame,
        *,
        pose_seconds: float = 0.0,
        answer_seconds: float = float('inf'),
    ) -> Segmentation:
        """The instances in a frame.

        Args:
            pose_seconds: for the 6-DoF poses of all instances, by methods that know the part's
                shape; 0: poses are the visible points' centroid and principal axes.
            answer_seconds: in which all of it shall be done: poses end earlier then, but the
                likeliest instance of each kind has its own.

        Raises:
            FloorNotFoundError: no bin was given and the frame shows none.
        """
