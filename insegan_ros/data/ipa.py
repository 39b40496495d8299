"""The folder layout of the Fraunhofer IPA Bin-Picking dataset: one part's drops, perspective view.

    <part>/parameter.json                    perspectiveAngle, clip_start, clip_end, resolution...
           p_depth/cycle_0000/002_depth_uint16.png           16 bits from clip_start to clip_end
           p_segmentation/cycle_0000/002_segmentation.png    row of the instance in the table
           gt/cycle_0000/002.csv             a row an instance; the first is the bin

As Kleeberger et al., "Large-scale 6D object pose estimation dataset for industrial bin-picking",
2019, and the tools that come with the dataset describe it. A view is cut out of a square one of
resolution_big px, in which perspectiveAngle is the angle of view. Poses are in the camera's frame,
turned by half a turn about its axis.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from insegan_ros.camera import rigid
from insegan_ros.data.benchmark_image import (
    DAMAGED,
    MOST_INSTANCES,
    BenchmarkImage,
    clipped_depth,
    read_grey,
)
from insegan_ros.data.camera_doubts import doubts
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import DatasetError
from insegan_ros.types import DepthFrame, Intrinsics

PARAMETERS = 'parameter.json'
LAYOUT = '<part>/{parameter.json, p_depth/, p_segmentation/, gt/cycle_0000/*.csv}'
HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])  # optical frame <- frame of the poses
# its columns are the part's axes
ROTATION = [[f'rot_{axis}_axis_{row}' for axis in 'xyz'] for row in (1, 2, 3)]
VISIBLE = 'visibility_score_p'


def ipa_images(path: Path, left_out: LeftOut) -> Iterator[BenchmarkImage]:
    """The drops of all cycles; those that cannot be read are left out.

    Raises:
        DatasetError: the folder has another layout.
    """
    tables = sorted((path / 'gt').glob('*/*.csv'))
    if not tables or not (path / PARAMETERS).is_file():
        raise DatasetError(f'{path} is no part of the IPA dataset; {LAYOUT} is expected')
    intrinsics, clipping, odd = _view(path / PARAMETERS)
    for table in tables:
        name = f'{table.parent.name}/{table.stem}'
        try:
            yield _drop(path, name, intrinsics, clipping=clipping, odd=odd)
        except DAMAGED as error:
            left_out.add(name, error)


def _view(file: Path) -> tuple[Intrinsics, tuple[float, float], tuple[str, ...]]:
    """The camera, its clipping planes in metres, and what is odd about it, in words.

    Raises: DatasetError.
    """
    try:
        told: dict[str, Any] = json.loads(file.read_text())
        whole = float(told['resolution_big'])
        focal = whole / 2 / math.tan(math.radians(float(told['perspectiveAngle'])) / 2)
        left, top = (float(told[f'pixelOffset_{axis}_KoSyTopLeft']) for axis in 'XY')
        width, height = int(told['resolutionX']), int(told['resolutionY'])
        near, far = float(told['clip_start']), float(told['clip_end'])
        middle = (whole - 1) / 2
        odd = tuple(doubts(Intrinsics(int(whole), int(whole), focal, focal, middle, middle)))
        camera = Intrinsics(width, height, focal, focal, middle - left, middle - top)
    except KeyError as error:
        raise DatasetError(f'{file} lacks {error}') from None
    except (OSError, ValueError, TypeError, ArithmeticError) as error:
        raise DatasetError(f'{file}: {error}') from None
    return camera, (near, far), odd


def _drop(
    path: Path,
    name: str,
    intrinsics: Intrinsics,
    *,
    clipping: tuple[float, float],
    odd: tuple[str, ...],
) -> BenchmarkImage:
    """Raises: DatasetError, KeyError, ValueError, TypeError: something is absent or damaged."""
    file = path / 'p_depth' / f'{name}_depth_uint16.png'
    frame = DepthFrame(clipped_depth(read_grey(file), *clipping, file=file), intrinsics)
    rows = read_grey(path / 'p_segmentation' / f'{name}_segmentation.png')
    if rows.shape != frame.depth_m.shape:
        raise DatasetError(
            f'its segmentation is {rows.shape}, its depth image {frame.depth_m.shape}'
        )
    with open(path / 'gt' / f'{name}.csv', newline='') as table:
        instances = list(csv.DictReader(table))[1:]  # the first is the bin
    if len(instances) > MOST_INSTANCES - 1:  # 255 is the background of the segmentation
        raise DatasetError(f'{len(instances)} instances; {MOST_INSTANCES - 1} are the most')
    labels = np.where(rows <= len(instances), rows, 0).astype(np.uint8)
    poses = []
    for one in instances:
        turn = [[float(one[name]) for name in row] for row in ROTATION]
        poses.append(HALF_TURN @ rigid(turn, [float(one[axis]) for axis in 'xyz']))
    visible = [float(np.clip(float(one[VISIBLE]), 0, 1)) for one in instances]
    return BenchmarkImage(
        name, frame, labels, np.array(poses, np.float32).reshape(-1, 4, 4), visible, odd
    )
