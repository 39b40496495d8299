"""A dataset's frames as colour pictures, for a person to draw masks on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import Dataset, DatasetError, require_no_dataset
from insegan_ros.drawing import colour_depth, encode_png
from insegan_ros.files import FolderClaim, write_atomically


def write_pictures(
    dataset: Dataset, indices: list[int], out: Path, *, left_out: LeftOut
) -> Iterator[int]:
    """Write <out>/<frame>.png, near red and far blue; yields each index when it is written.

    Raises:
        DatasetError: the folder is a dataset, or holds pictures, which might be of other frames.
        FolderInUseError: another process writes there.
    """
    require_no_dataset(out)
    if out.is_dir() and any(out.glob('*.png')):
        raise DatasetError(f'{out} holds pictures already; remove them or name another folder')
    with FolderClaim(out):
        for sample in dataset.samples(indices, left_out):
            depth_m = sample.frame.depth_m
            measured = depth_m[np.isfinite(depth_m)]
            near, far = np.percentile(measured, [1, 99]) if len(measured) else (0.0, 1.0)
            picture = encode_png(colour_depth(depth_m, near, far))
            write_atomically(out / f'{dataset.name(sample.index)}.png', picture)
            yield sample.index
