"""Random shapes that look like the part in the frames: whom to learn from where no shape is found.

Frames that no shape explains still show what kind of part is in them: how long, broad, full and
high its views are. Of many random shapes, those whose views are most alike teach the network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from insegan_ros.data.store import DatasetError
from insegan_ros.distillation.piles import PileConfig, PileMaker, Shape, store_piles
from insegan_ros.distillation.surroundings import Surroundings
from insegan_ros.files import FolderInUseError
from insegan_ros.synthetic.random_parts import random_part
from insegan_ros.synthetic.workers import in_processes

COMPARED = 300  # views of each side at most
FEWEST = 8  # views that show what a shape looks like


@dataclass(frozen=True)
class AlikeConfig:
    """How many shapes are looked at, and how many are learned from."""

    shapes: int = 240
    looks: int = 4  # piles of each, to look at it
    kept: int = 16
    piles: int = 90  # of each that is kept
    # a higher rate forgets what the start knows of shapes not among these
    learning_rate: float = 2e-4
    length: tuple[float, float] = (0.95, 1.1)  # of the part's: frames show it rather too short


@dataclass(frozen=True)
class Order:
    """So many piles of one shape, in a folder; small enough to be sent to processes."""

    around: Surroundings
    length_m: float
    config: AlikeConfig
    seed: int
    shape: int
    path: Path
    count: int

    def __call__(self) -> None:
        """Make those that the folder lacks; none where the shape does not fit the bin.

        Raises:
            DatasetError: the folder holds piles of another shape.
        """
        piles = store_piles(self._maker(), self.path, self.seed, workers=1)
        try:
            for made in piles:
                if made >= self.count:
                    break
        except (DatasetError, FolderInUseError):
            raise
        except ValueError:  # it does not fit
            return
        finally:
            piles.close()

    def _maker(self) -> PileMaker:
        """Piles of one random shape in the bin and under the camera of the frames."""
        rng = np.random.default_rng([self.seed, 2, self.shape])
        part = random_part(rng, self.length_m * rng.uniform(*self.config.length))
        pieces = tuple((np.asarray(p.vertices), np.asarray(p.faces)) for p in part.convex_pieces)
        shape = Shape(np.asarray(part.mesh.vertices), np.asarray(part.mesh.faces), pieces)
        return PileMaker((shape,), self.around, PileConfig(count=self.config.piles))


def carry_out(
    orders: Sequence[Order], workers: int, seconds: float = math.inf, *, least: int = 1
) -> Iterator[None]:
    """Yields after each, in order.

    Args:
        seconds: after which no further one is begun, but the `least` always are.
    """
    begun = time.monotonic()

    def due() -> Iterator[Order]:
        for k, order in enumerate(orders):
            if k >= least and time.monotonic() - begun > seconds:
                return
            yield order

    yield from in_processes(Order.__call__, due(), workers, ahead=1)


def view_cues(points: NDArray[np.floating], pixel_m: float, length_m: float) -> NDArray:
    """Describe one view by eight figures.

    They are its length, breadth and area; its share of the rectangle around it and of its convex
    hull; the mean, the top and the spread of its height.

    Args:
        points: (K, 3) x, y across the view and height above the floor, metres, one a pixel.
        length_m: of the part; lengths are given in it.
    """
    flat = np.ascontiguousarray(points[:, :2], np.float32)
    _, (width, height), _ = cv2.minAreaRect(flat)
    sides = np.sort([width + pixel_m, height + pixel_m])
    area = len(points) * pixel_m**2
    hull = cv2.convexHull(flat)
    # points stand for pixels, half of which lie outside the hull of their middles
    around = cv2.contourArea(hull) + cv2.arcLength(hull, True) * pixel_m / 2 + pixel_m**2
    z = points[:, 2] / length_m
    return np.array(
        [
            sides[1] / length_m,
            sides[0] / length_m,
            area / length_m**2,
            area / (sides[0] * sides[1]),
            area / around,
            z.mean(),
            np.quantile(z, 0.95),
            z.std(),
        ]
    )


def unlike(seen: NDArray, shown: NDArray, rng: np.random.Generator) -> float:
    """Energy distance of two sets of cues (N, C) and (M, C), each cue by its spread in the first.

    Infinite where there are too few.
    """
    if min(len(seen), len(shown)) < FEWEST:
        return float('inf')
    scale = seen.std(axis=0) + 1e-6
    a, b = (some[rng.permutation(len(some))[:COMPARED]] / scale for some in (seen, shown))
    return float(2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean())
