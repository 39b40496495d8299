"""Seeds -> frames ready to be stored: parallel, resumable, shardable.

Frame i of a dataset depends on (seed, i) and the configuration alone, never on the number of
workers, the shard or what was interrupted: the same command gives the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from insegan_ros import __version__
from insegan_ros.data.cad import content_hash
from insegan_ros.data.depth_messages import metres
from insegan_ros.data.store import Dataset, DatasetInfo, Sample, to_units
from insegan_ros.synthetic.camera_presets import errors_of
from insegan_ros.synthetic.generate import SceneConfig, floor_plane, make_scene
from insegan_ros.synthetic.raycast import Camera, looking_down
from insegan_ros.synthetic.workers import in_processes
from insegan_ros.types import DepthFrame


def dataset_info(config: SceneConfig, seed: int) -> DatasetInfo:
    """What the dataset says of itself."""
    low, high = config.instances
    pose = looking_down(config.camera_height, config.tilt_degrees)
    floor = floor_plane(Camera(config.intrinsics, pose))
    told = dataclasses.asdict(config)
    if config.mesh is None:  # as before there were meshes
        del told['mesh'], told['units']
    else:
        told['mesh'] = content_hash(config.mesh)
    for name in ('camera', 'noise'):
        if told[name] and Path(str(told[name])).expanduser().is_file():
            told[name] = content_hash(Path(str(told[name])).expanduser())
    settings = ' '.join(f'{k}={v}' for k, v in sorted(told.items()))
    return DatasetInfo(
        part=config.part,
        intrinsics=config.intrinsics,
        source='simulated',
        instances=low if low == high else None,
        depth_scale=errors_of(config.noise)[1],
        floor=(*floor.normal, floor.offset),  # nominal; each frame's line holds its own
        generator=f'insegan_ros {__version__}: {settings}',
        seed=seed,
    )


def restore_scene(shard: Dataset, index: int) -> Sample:
    """A frame that another machine has made, ready to be written again."""
    sample = shard[index]
    if sample.labels is None or sample.poses is None:
        raise ValueError(f'{shard.path}, frame {index}: its labels or poses are missing')
    computed = ('index', 'valid_fraction', 'sha256')
    record = {k: v for k, v in sample.record.items() if k not in computed}
    return dataclasses.replace(sample, record=record)


def store_scenes(
    config: SceneConfig, seed: int, indices: Iterable[int], *, workers: int
) -> Iterator[Sample]:
    """The frames in the order of `indices`, made by `workers` processes."""
    tasks = ((config, seed, index) for index in indices)
    yield from in_processes(_made, tasks, workers, ahead=8)


def _made(task: tuple[SceneConfig, int, int]) -> Sample:
    """Frame `index` of the dataset of `seed`, as it will be read."""
    config, seed, index = task
    scene, scale = make_scene(config, (seed, index)), errors_of(config.noise)[1]
    depth_m = metres(to_units(scene.frame.depth_m, scale), scale)
    record = {
        'seed': [seed, index],
        'attempt': scene.attempt,
        'instances': len(scene.poses),
        'visible': [round(float(share), 3) for share in scene.visible_fraction],
        'floor': [round(value, 6) for value in (*scene.floor.normal, scene.floor.offset)],
        'region': list(scene.region),
    }
    if len(config.kinds) > 1:
        record['kinds'] = scene.kinds.tolist()
    frame = DepthFrame(depth_m, scene.frame.intrinsics)
    return Sample(index, frame, scene.labels, scene.poses, record)
