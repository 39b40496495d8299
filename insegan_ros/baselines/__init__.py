"""The classical methods of the paper behind one table of names."""

from __future__ import annotations

from insegan_ros.baselines.felzenszwalb import felzenszwalb
from insegan_ros.baselines.grabcut import grabcut_kmeans
from insegan_ros.baselines.graph_cut import graph_cut
from insegan_ros.baselines.kmeans import kmeans
from insegan_ros.baselines.pixels import ClassicalSegmenter
from insegan_ros.baselines.spectral import spectral
from insegan_ros.parts_bin import Bin

METHODS = {
    'kmeans': kmeans,
    'spectral': spectral,
    'grabcut_kmeans': grabcut_kmeans,
    'graph_cut': graph_cut,
    'felzenszwalb': felzenszwalb,
}


def make(
    name: str, instances: int | None = None, parts_bin: Bin | None = None, *, seed: int = 0
) -> ClassicalSegmenter:
    """A classical method by its name.

    Args:
        instances: parts in every frame; None or 0: estimated in each (`pixels.estimate_count`).
        parts_bin: where the bin is; None: found in the frames.

    Raises:
        ValueError: no such method; the message lists those there are.
    """
    if name not in METHODS:
        raise ValueError(f'unknown method {name!r}; valid: {", ".join(METHODS)}')
    if instances is not None and not 0 <= instances <= 255:
        raise ValueError(f'instances is {instances}; 0 (estimate) to 255 is expected')
    return ClassicalSegmenter(METHODS[name], instances or None, parts_bin, seed=seed)
