"""The camera and the bin of an unlabelled dataset, measured in its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from insegan_ros.bin_finding import find_bin
from insegan_ros.camera import TopDownView, points_from_depth
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.floor import FloorNotFoundError, floor_coordinates
from insegan_ros.parts_bin import DEFAULT, Bin, FindingConfig
from insegan_ros.types import DepthFrame, Intrinsics

WINDOW_MARGIN = 8  # px around the bin
WINDOW_STEP = 16  # px: the network halves its resolution four times
MIN_WALL_M = 0.008  # lower rims are floor noise


@dataclass(frozen=True)
class Surroundings:
    """The camera and the bin of a dataset, as its frames show them."""

    intrinsics: Intrinsics  # of the window around the bin, seen straight down
    camera_height: float  # m above the floor
    bin_centre: tuple[float, float]  # m along the image's x and y from below the camera
    bin_width: float  # m between the walls
    bin_turn: float  # rad of the walls against the image's axes
    wall_height: float  # m; 0 where no wall is seen


def measure_surroundings(
    dataset: Dataset,
    rng: np.random.Generator,
    frames: int = 24,
    *,
    finding: FindingConfig = DEFAULT,
) -> Surroundings:
    """Medians over some of the dataset's frames.

    Raises:
        DatasetError: no bin is found in any of them.
    """
    usable = dataset.split('train' if 'train' in dataset.splits() else 'all')
    indices = rng.permutation(usable)[:frames]
    found = []
    for index in indices:
        frame = dataset[int(index)].frame
        try:
            parts_bin = find_bin(frame, rng, config=finding)
        except FloorNotFoundError:
            continue
        found.append(_seen(frame, parts_bin))
    if not found:
        raise DatasetError(
            f'{dataset.path}: no floor is found in {len(indices)} frames; look at some, and '
            'let the camera see more of the bin'
        )
    height, x, y, width, turn, wall = (float(np.median([f[k] for f in found])) for k in range(6))
    views = [f[6].intrinsics for f in found]
    sizes = [max(seen.width, seen.height) + 2 * WINDOW_MARGIN for seen in views]
    size = _rounded(float(np.median(sizes)))  # of an even number it lies between two
    f = views[0].fx
    middle = (size - 1) / 2
    return Surroundings(
        intrinsics=Intrinsics(size, size, f, f, middle - f * x / height, middle - f * y / height),
        camera_height=height,
        bin_centre=(x, y),
        bin_width=width,
        bin_turn=turn,
        wall_height=wall if wall > MIN_WALL_M else 0.0,
    )


def _seen(frame: DepthFrame, parts_bin: Bin) -> tuple[Any, ...]:
    """Of one frame: height, centre, width, turn and wall as in Surroundings; the view."""
    view = TopDownView.of(frame.intrinsics, parts_bin.floor, parts_bin.region)
    if parts_bin.corners is None:
        width = frame.intrinsics.width * parts_bin.floor.offset / frame.intrinsics.fx
        return parts_bin.floor.offset, 0.0, 0.0, width, 0.0, 0.0, view
    corners = floor_coordinates(np.asarray(parts_bin.corners, np.float32), parts_bin.floor)[:, :2]
    centre = corners.mean(axis=0)
    side = corners[1] - corners[0]
    turn = float(np.arctan2(side[1], side[0]))
    turn = (turn + np.pi / 4) % (np.pi / 2) - np.pi / 4
    width = float(np.sqrt(np.linalg.norm(side) * np.linalg.norm(corners[2] - corners[1])))
    points = points_from_depth(frame.depth_m, frame.intrinsics)
    flat = floor_coordinates(points, parts_bin.floor)
    c, s = np.cos(turn), np.sin(turn)
    off = (flat[..., :2] - centre) @ np.array([[c, -s], [s, c]])
    beyond = np.abs(off).max(axis=-1) - width / 2  # NaN where unmeasured
    rim = flat[..., 2][(beyond > 0.001) & (beyond < 0.012)]
    wall = float(np.percentile(rim, 90)) if len(rim) > 30 else 0.0
    return parts_bin.floor.offset, *centre, width, turn, wall, view


def _rounded(size: float) -> int:
    return int(np.ceil(size / WINDOW_STEP)) * WINDOW_STEP
