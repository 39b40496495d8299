"""The folder layout of the Siléane dataset: one object's scenes, their masks and poses.

    <object>/camera_params.txt          a name and numbers a line
             depth/scene_000.PNG        16 bits from clip_start to clip_end, white unmeasured
             segmentation/scene_000.PNG 16 bits, each instance its segmentation_id
             gt/scene_000.json          a list: R, t, segmentation_id, occlusion_rate
             mesh.ply, poseutils.json   the part and its symmetries, for `insegan evaluate --poses`

As https://rbregier.github.io/dataset2017 describes it. Poses are those in the absolute frame, in
which `location` and `rotation` (w, x, y, z) are the camera's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

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
from insegan_ros.files import read_text
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = 'camera_params.txt'
LAYOUT = '<object>/{camera_params.txt, depth/, segmentation/, gt/}'
WIDTHS = {'location': 3, 'rotation': 4}  # numbers of a line; of others, one
NAMES = (
    'width', 'height', 'fu', 'fv', 'cu', 'cv', 'clip_start', 'clip_end', 'location', 'rotation'
)  # fmt: skip


def sileane_images(path: Path, left_out: LeftOut) -> Iterator[BenchmarkImage]:
    """The scenes of an object; those that cannot be read are left out.

    Raises:
        DatasetError: the folder has another layout.
    """
    truths = sorted((path / 'gt').glob('*.json'))
    if not truths or not (path / CAMERA).is_file():
        raise DatasetError(f'{path} is no object of the Siléane dataset; {LAYOUT} is expected')
    camera = _camera_parameters(path / CAMERA)
    for truth in truths:
        try:
            yield _scene(path, truth, camera)
        except DAMAGED as error:
            left_out.add(truth.stem, error)


def _camera_parameters(file: Path) -> dict[str, list[float]]:
    """Raises: DatasetError, where a line is absent or holds other numbers."""
    told: dict[str, list[float]] = {}
    try:
        for line in read_text(file).splitlines():
            name, *values = line.split('#')[0].split() or ['']
            if name in NAMES:
                told[name] = [float(value) for value in values]
    except (OSError, ValueError) as error:
        raise DatasetError(f'{file}: {error}') from None
    for name in NAMES:
        count = WIDTHS.get(name, 1)
        if len(told.get(name, [])) != count or not np.isfinite(told[name]).all():
            raise DatasetError(f'{file}: {name} is {told.get(name)}; {count} numbers are expected')
    if not np.linalg.norm(told['rotation']):
        raise DatasetError(f'{file}: rotation is 0; a unit quaternion w, x, y, z is expected')
    return told


def _scene(path: Path, truth: Path, camera: dict[str, list[float]]) -> BenchmarkImage:
    """Raises: DatasetError, KeyError, ValueError, TypeError: something is absent or damaged."""
    width, height, fu, fv, cu, cv, near, far = (camera[name][0] for name in NAMES[:8])
    intrinsics = Intrinsics(int(width), int(height), fu, fv, cu, cv)
    odd = tuple(doubts(intrinsics))
    file = _picture(path / 'depth', truth.stem)
    depth_m = clipped_depth(read_grey(file), near, far, file=file)
    frame = DepthFrame(depth_m, intrinsics)
    ids = read_grey(_picture(path / 'segmentation', truth.stem))
    if ids.shape != depth_m.shape:
        raise DatasetError(f'its segmentation is {ids.shape}, its depth image {depth_m.shape}')
    instances = json.loads(truth.read_text())
    if len(instances) > MOST_INSTANCES:
        raise DatasetError(f'{len(instances)} instances; at most {MOST_INSTANCES} are stored')
    labels = np.zeros(ids.shape, np.uint8)
    for number, one in enumerate(instances, 1):
        labels[ids == int(one['segmentation_id'])] = number
    w, x, y, z = camera['rotation']
    world_T_camera = rigid(Rotation.from_quat([x, y, z, w]).as_matrix(), camera['location'])
    camera_T_world = np.linalg.inv(world_T_camera)
    own = [rigid(np.reshape(one['R'], (3, 3)), np.reshape(one['t'], 3)) for one in instances]
    poses = [camera_T_world @ pose for pose in own]
    visible = [float(np.clip(1 - float(one['occlusion_rate']), 0, 1)) for one in instances]
    return BenchmarkImage(
        truth.stem, frame, labels, np.array(poses, np.float32).reshape(-1, 4, 4), visible, odd
    )


def _picture(folder: Path, stem: str) -> Path:
    """The image of that name, whichever way its ending is written."""
    for ending in ('.PNG', '.png'):
        if (folder / f'{stem}{ending}').is_file():
            return folder / f'{stem}{ending}'
    raise DatasetError(f'there is no {folder}/{stem}.PNG')
