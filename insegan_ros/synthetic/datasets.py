"""A dataset of simulated scenes on disk, made here or gathered from other machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import trimesh

from insegan_ros.data.store import PART, Dataset, DatasetError, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.files import write_atomically
from insegan_ros.synthetic.clouds import cloud_file, write_cloud
from insegan_ros.synthetic.generate import SceneConfig
from insegan_ros.synthetic.stored_scenes import dataset_info, restore_scene, store_scenes


def write_dataset(
    out: Path,
    config: SceneConfig,
    wanted: Sequence[int],
    *,
    seed: int,
    workers: int,
    shards: Sequence[Dataset] = (),
    clouds: Literal['ply', 'npz'] | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> int:
    """Store the frames that `out` lacks; how many those were.

    Args:
        wanted: indices of frames.
        shards: datasets of the same settings, whose frames are taken over.
        clouds: ply or npz: also write labelled point clouds.
        progress: called with the number of frames done since the last call.

    Raises:
        DatasetError: `out` or a shard was made with other settings.
    """
    info = dataset_info(config, seed)
    for shard in shards:
        if shard.info != info:
            raise DatasetError(f'{shard.path} was made with other settings than these')
    found = {index: shard for shard in shards for index in shard.indices}
    with DatasetWriter(out, info) as writer:
        if writer.info.generator != info.generator:
            raise DatasetError(
                f'{out} was made by {writer.info.generator!r}, not {info.generator!r}; '
                'choose another folder, or the settings it was made with'
            )
        if config.mesh is not None:  # in the frame of the poses
            mesh = trimesh.exchange.ply.export_ply(config.parts[0].mesh)
            write_atomically(out / PART, mesh)
        missing = [index for index in wanted if index not in writer.indices]
        progress(len(wanted) - len(missing))
        new = [index for index in missing if index not in found]
        made = store_scenes(config, seed, new, workers=workers)
        for index in missing:
            scene = restore_scene(found[index], index) if index in found else next(made)
            if clouds:
                write_cloud(out, scene, info, kind=clouds)
            units = to_units(scene.frame.depth_m, info.depth_scale)
            writer.append(units, scene.labels, scene.poses, record=scene.record, index=index)
            progress(1)
    if clouds:  # of frames that an earlier run stored without
        stored = Dataset(out)
        for index in wanted:
            if not cloud_file(out, index, clouds).exists():
                write_cloud(out, restore_scene(stored, index), info, kind=clouds)
    return len(missing)
