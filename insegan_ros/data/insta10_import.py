"""A class of the published Insta-10 layout becomes a dataset with its splits and masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from insegan_ros.data.insta10 import Colour, DepthCode, Insta10
from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics


def import_insta10(
    path: Path,
    out: Path,
    camera: Intrinsics,
    *,
    code: DepthCode,
    background: Sequence[Colour],
    part: str,
    instances: int | None,
) -> str:
    """Append what is not there yet; what was done, and what a person should look at, in words.

    Args:
        background: the masks' colours that are no instance; empty: found.

    Raises:
        DatasetError: another layout, or a folder that was made of something else.
    """
    with tqdm(unit='mask', desc='masks') as bar:
        source = Insta10(path, camera, code, background=background, progress=bar.update)
    info = DatasetInfo(
        part=part,
        intrinsics=camera,
        source='insta10',
        instances=instances,
        depth_scale=source.depth_scale,
    )
    with DatasetWriter(out, info) as writer:
        known = Dataset(out).records
        for index, record in known.items():
            if index >= len(source) or record.get('file') != source.name(index):
                raise DatasetError(
                    f'{out} was not made of {path} as it is now: frame {index} is '
                    f'{record.get("file")}; choose another folder'
                )
        colours = ' '.join(','.join(map(str, colour)) for colour in sorted(source.background))
        # before the frames: an unfinished import must not pass for one without splits
        writer.write_splits(source.splits, f'as published; mask background: {colours}')
        missing = [index for index in range(len(source)) if index not in known]
        for index in tqdm(missing, total=len(missing), unit='frame'):
            found = source[index]
            units = to_units(found.frame.depth_m, info.depth_scale)
            writer.append(units, found.labels, record=found.record, index=index)
    stored = Dataset(out)
    labelled = [stored[i].labels for split in ('val', 'test') for i in stored.split(split)]
    counts = Counter(int(labels.max()) for labels in labelled if labels is not None)
    seen = ', '.join(f'{n} in {count}' for n, count in sorted(counts.items()))
    measured = stored[0].frame.depth_m
    measured = measured[np.isfinite(measured)]
    span = f'{measured.min():.3f} to {measured.max():.3f} m' if len(measured) else 'unmeasured'
    return (
        f'{out}: {len(missing)} frames added, {len(source)} in all\n'
        f'background of the masks: {colours}; instances: {seen} masks\n'
        f'depth of frame 0: {span}; --depth-scale and --depth-offset say how it is to be read'
    )
