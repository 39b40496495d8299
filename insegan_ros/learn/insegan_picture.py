"""What an InSeGAN run makes of some held-out frames, as one sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros import drawing
from insegan_ros.inference.insegan import FilterConfig, choose_threshold, filtered, nearest


def save_picture(
    file: Path,
    real: Tensor,
    explained: tuple[Tensor, Tensor],
    *,
    generated: tuple[Tensor, Tensor],
    filters: FilterConfig,
) -> None:
    """Rows: held-out frames; re-rendered; segmented; their instances; generated; theirs.

    Args:
        real: (B, S, S) held-out frames, in [-1, 1].
        explained: of them, each instance alone (B, n, S, S), and all re-rendered (B, S, S).
        generated: whole scenes (B, 1, S, S), and each instance alone (B, n, S, S).
    """
    alone, again = explained
    made, single = generated
    threshold = choose_threshold(alone.numpy(), real.numpy(), filters)
    labels = [nearest(filtered(one.numpy(), filters), threshold) for one in alone]
    segmented = [
        drawing.labels_picture((image.numpy() + 1) / 2, found, 1.0)
        for image, found in zip(real, labels)
    ]
    rows = [_grey(real), _grey(again), segmented]
    rows += [_grey(alone[:, k]) for k in range(alone.shape[1])] + [_grey(made[:, 0])]
    rows += [_grey(single[:, k]) for k in range(single.shape[1])]
    drawing.save_rows(file, rows)


def _grey(images: Tensor) -> list[NDArray[np.uint8]]:
    return [drawing.heights_picture((i.numpy() + 1) / 2, 1.0) for i in images]
