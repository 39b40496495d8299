"""The folder layout of the BOP benchmark: scenes of depth images, masks and poses.

    <split>/000001/scene_camera.json            per image: cam_K, depth_scale (mm a unit)
                   scene_gt.json                per image: obj_id, cam_R_m2c, cam_t_m2c (mm)
                   scene_gt_info.json           per image: visib_fract of each instance
                   depth/000000.png             16-bit; .tif in some
                   mask_visib/000000_000002.png visible mask of the image's instance 2

This is the layout of the toolkit's `docs/bop_datasets_format.md`. Images are taken whose instances
include the object asked for; instances of other objects are background.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import rigid
from insegan_ros.data.benchmark_image import DAMAGED, MOST_INSTANCES, BenchmarkImage, read_grey
from insegan_ros.data.camera_doubts import doubts, require_pinhole
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import DatasetError
from insegan_ros.types import DepthFrame, Intrinsics

LAYOUT = '<split>/000001/{scene_camera.json, scene_gt.json, depth/, mask_visib/}'
MM = 0.001


def objects_of(path: Path) -> dict[int, int]:
    """Object ids of a split, and in how many images each is.

    Raises:
        DatasetError: the folder has another layout.
    """
    counts: dict[int, int] = {}
    for scene in _scenes(path):
        for instances in _json(scene / 'scene_gt.json').values():
            with contextlib.suppress(*DAMAGED):  # `bop_images` says which
                for number in set(_objects(instances)):
                    counts[number] = counts.get(number, 0) + 1
    return counts


def chosen_object(path: Path, number: int | None) -> int:
    """The object asked for, or the only one.

    Raises:
        DatasetError: another layout, an object that is not in it, or several to choose from.
    """
    objects = objects_of(path)
    if number is None and len(objects) == 1:
        return next(iter(objects))
    if number is None or number not in objects:
        told = ', '.join(f'{key} (in {count} images)' for key, count in sorted(objects.items()))
        raise DatasetError(f'{path} has objects {told}; choose one: --object ID')
    return number


def bop_images(path: Path, number: int, left_out: LeftOut) -> Iterator[BenchmarkImage]:
    """The images of a split that show an object; those that cannot be read are left out.

    Raises:
        DatasetError: the folder has another layout.
    """
    for scene in _scenes(path):
        cameras, truth = (_json(scene / f'scene_{kind}.json') for kind in ('camera', 'gt'))
        file = scene / 'scene_gt_info.json'
        infos = _json(file) if file.exists() else {}
        for key in sorted(truth, key=lambda key: (len(key), key)):  # numbers, by their value
            name = f'{scene.name}/{key:0>6}'
            try:
                if number not in _objects(truth[key]):
                    continue
                told = infos.get(key) or [{}] * len(truth[key])
                pairs = list(zip(truth[key], told, strict=True))
                yield _image(scene, name, cameras[key], instances=pairs, number=number)
            except DAMAGED as error:
                left_out.add(name, error)


def _objects(instances: list[dict[str, Any]]) -> list[int]:
    """The object of each instance of an image."""
    return [int(one['obj_id']) for one in instances]


def _image(
    scene: Path,
    name: str,
    camera: dict[str, Any],
    *,
    instances: list[tuple[dict[str, Any], dict[str, Any]]],
    number: int,
) -> BenchmarkImage:
    """Raises: DatasetError, OSError, KeyError, ValueError: something is absent or damaged."""
    key = name.split('/')[1]
    units = _picture(scene / 'depth', key)
    depth_m = units.astype(np.float32) * np.float32(float(camera['depth_scale']) * MM)
    depth_m[units == 0] = np.nan
    matrix = [float(value) for value in camera['cam_K']]
    require_pinhole('cam_K', matrix)
    fx, skew, cx, _, fy, cy = matrix[:6]
    height, width = depth_m.shape
    intrinsics = Intrinsics(width, height, fx, fy, cx, cy)
    odd = tuple(doubts(intrinsics, skew=skew))
    labels = np.zeros((height, width), np.uint8)
    poses: list[NDArray[np.float64]] = []
    visible: list[float | None] = []
    for k, (truth, info) in enumerate(instances):
        if int(truth['obj_id']) != number:
            continue
        if len(poses) == MOST_INSTANCES:
            raise DatasetError(f'more than {MOST_INSTANCES} instances')
        turn = np.reshape(truth['cam_R_m2c'], (3, 3))
        poses.append(rigid(turn, np.array(truth['cam_t_m2c'], np.float64) * MM))
        labels[_picture(scene / 'mask_visib', f'{key}_{k:06d}') > 0] = len(poses)
        visible.append(info.get('visib_fract'))
    known = [float(v) for v in visible if v is not None]
    frame = DepthFrame(depth_m, intrinsics)
    told = known if len(known) == len(poses) else None
    return BenchmarkImage(name, frame, labels, np.array(poses, np.float32), told, odd)


def _scenes(path: Path) -> list[Path]:
    """Raises: DatasetError, where there are none."""
    found = sorted(p.parent for p in [*path.glob('scene_gt.json'), *path.glob('*/scene_gt.json')])
    if not found:
        raise DatasetError(f'{path} has no BOP scenes; {LAYOUT} is expected')
    return found


def _json(file: Path) -> dict[str, Any]:
    """Raises: DatasetError, for a file that is absent or damaged."""
    try:
        loaded = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(f'{file}: {error}') from None
    if not isinstance(loaded, dict):
        raise DatasetError(f'{file} holds {type(loaded).__name__}; images by number are expected')
    return loaded


def _picture(folder: Path, name: str) -> NDArray:
    """Raises: DatasetError, where there is none or it is damaged."""
    files = [folder / f'{name}{suffix}' for suffix in ('.png', '.tif', '.tiff')]
    return read_grey(next((file for file in files if file.exists()), files[0]))
