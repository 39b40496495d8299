"""Images of a public benchmark, with masks and poses, stored as a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from insegan_ros.data.benchmark_image import BenchmarkImage
from insegan_ros.data.bop import bop_images, chosen_object
from insegan_ros.data.importing import Imported
from insegan_ros.data.ipa import ipa_images
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.sileane import sileane_images
from insegan_ros.data.store import DatasetError, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter

DEPTH_SCALE = 0.0001  # metres a unit of what is written: finer than most cameras measure
LEAST_PIXELS = 60  # of an instance by which poses are checked


@dataclass(frozen=True)
class BenchmarkRequest:
    """What is asked for besides the folder itself."""

    out: Path
    layout: str  # 'bop', 'sileane' or 'ipa'
    object_id: int | None = None  # of BOP, where there are several
    part: str | None = None  # None: the object's or the folder's name
    instances: int | None = None  # in every image, if it is known
    depth_scale: float | None = None  # metres a unit as stored; None: DEPTH_SCALE


def import_benchmark(path: Path, request: BenchmarkRequest, left_out: LeftOut) -> Imported:
    """Append the images that are not there yet to a dataset.

    Args:
        left_out: tallies images that cannot be read.

    Raises:
        DatasetError: another layout, an object that is to be chosen, no image that can be read,
            or the dataset holds something else.
    """
    part, images = _images(path, request, left_out)
    first = next(images, None)
    if first is None:
        reasons = '; '.join(left_out.reasons[:3])
        raise DatasetError(f'{path}: no image can be read: {reasons}')
    info = DatasetInfo(
        part=request.part or part,
        intrinsics=first.frame.intrinsics,
        source=request.layout,
        instances=request.instances,
        depth_scale=DEPTH_SCALE if request.depth_scale is None else request.depth_scale,
    )
    check, added = PoseCheck(), 0
    with DatasetWriter(request.out, info) as writer:
        known = {record.get('file') for record in writer.records.values()}
        for image in chain([first], images):
            if image.name in known:
                continue
            if image.frame.intrinsics != info.intrinsics:  # a dataset has one camera
                left_out.add(image.name, 'another camera than that of the first image')
                continue
            visible = {} if image.visible is None else {'visible': image.visible}
            record: dict[str, Any] = {'file': image.name, 'instances': len(image.poses)}
            units = to_units(image.frame.depth_m, info.depth_scale)
            writer.append(units, image.labels, image.poses, record=record | visible)
            check.add(image)
            added += 1
        total = len(writer.records) + added
    said = [*first.doubts, *([check.warning] if check.warning else [])]
    return Imported(added, len(known), total, '; '.join(said) or None)


def _images(
    path: Path, request: BenchmarkRequest, left_out: LeftOut
) -> tuple[str, Iterator[BenchmarkImage]]:
    """The object's name as the folder says it, and its images."""
    if request.layout == 'bop':
        number = chosen_object(path, request.object_id)
        return f'object_{number}', bop_images(path, number, left_out)
    if request.object_id is not None:
        raise DatasetError(
            f'--object {request.object_id}: a folder of {request.layout} has one object'
        )
    read = sileane_images if request.layout == 'sileane' else ipa_images
    return path.resolve().name, read(path, left_out)


@dataclass
class PoseCheck:
    """Whether instances lie where their poses say; another convention would show."""

    inside: int = 0
    seen: int = 0

    def add(self, image: BenchmarkImage) -> None:
        """Count instances whose origin is drawn within the box around their mask."""
        k = image.frame.intrinsics
        for number, pose in enumerate(image.poses, 1):
            rows, columns = np.nonzero(image.labels == number)
            if len(rows) < LEAST_PIXELS or pose[2, 3] <= 0:
                continue
            self.seen += 1
            margin = max(np.ptp(rows), np.ptp(columns)) / 2  # the origin need not be the middle
            column = k.fx * pose[0, 3] / pose[2, 3] + k.cx
            row = k.fy * pose[1, 3] / pose[2, 3] + k.cy
            self.inside += bool(
                rows.min() - margin <= row <= rows.max() + margin
                and columns.min() - margin <= column <= columns.max() + margin
            )

    @property
    def warning(self) -> str | None:
        """In words, where most instances lie elsewhere than their poses say."""
        if 2 * self.inside >= self.seen:
            return None
        return (
            f'only {self.inside} of {self.seen} instances lie where their poses say; the folder '
            'may be of another edition than this program knows: do not judge poses with it'
        )
