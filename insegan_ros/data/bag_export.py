"""A dataset as a rosbag2 folder that every ROS 2 plays, Humble and Iron too."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import Dataset, DatasetError, to_units
from insegan_ros.files import FolderClaim
from insegan_ros.optional import needed_for
from insegan_ros.types import DepthFrame, Intrinsics

# From 9 on metadata.yaml holds QoS profiles as a list, which Humble and Iron do not read.
METADATA_VERSION: Literal[8] = 8
SPACING_NS = 33_333_333  # of frames without a stamp
MILLIMETRES = 0.001


def write_bag(
    dataset: Dataset,
    path: Path,
    *,
    frame_id: str,
    topic: str,
    storage: Literal['mcap', 'sqlite3'] = 'mcap',
    left_out: LeftOut,
) -> Iterator[int]:
    """Write a dataset as a rosbag2 folder; yields each index when written.

    Images on `<topic>/image_rect_raw` are 16UC1 millimetres where the dataset's are, and else
    32FC1 metres, which lose nothing; `<topic>/camera_info` is beside them. Frames without a stamp
    are spaced a thirtieth of a second apart. The folder has its name once it is whole.

    Raises:
        FolderInUseError: another process exports to the same name.
        OSError: the disk is full or gone.
        DatasetError: `path` exists.
    """
    if path.exists():
        raise DatasetError(f'{path} exists; choose another name')
    partial = path.with_name(f'.{path.name}.partial')
    with FolderClaim(partial):
        shutil.rmtree(partial / path.name, ignore_errors=True)  # of an interrupted export
        try:
            yield from _write(
                dataset,
                partial / path.name,
                frame_id,
                topic=topic,
                storage=storage,
                left_out=left_out,
            )
            (partial / path.name).rename(path)
        except sqlite3.Error as error:
            raise OSError(f'{path} cannot be written ({error}); is the disk full?') from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write(
    dataset: Dataset,
    path: Path,
    frame_id: str,
    *,
    topic: str,
    storage: str,
    left_out: LeftOut,
) -> Iterator[int]:
    with needed_for('writing a recording'):
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_typestore
    store = get_typestore(Stores.ROS2_HUMBLE)
    image_type, info_type = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    with Writer(path, version=METADATA_VERSION, storage_plugin=plugin) as writer:
        images = writer.add_connection(f'{topic}/image_rect_raw', image_type, typestore=store)
        infos = writer.add_connection(f'{topic}/camera_info', info_type, typestore=store)
        for position, sample in enumerate(dataset.samples(dataset.indices, left_out)):
            frame = sample.frame
            stamp_ns = frame.stamp_ns if frame.stamp_ns > 0 else (position + 1) * SPACING_NS
            header = _header(store, stamp_ns, frame_id)
            image = _image(store, header, frame, depth_scale=dataset.info.depth_scale)
            info = _camera_info(store, header, frame.intrinsics)
            writer.write(infos, stamp_ns, store.serialize_cdr(info, info_type))
            writer.write(images, stamp_ns, store.serialize_cdr(image, image_type))
            yield sample.index


def _header(store: Any, stamp_ns: int, frame_id: str) -> Any:
    stamp = store.types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
    return store.types['std_msgs/msg/Header'](stamp, frame_id)


def _image(store: Any, header: Any, frame: DepthFrame, *, depth_scale: float) -> Any:
    height, width = frame.depth_m.shape
    if depth_scale == MILLIMETRES:
        encoding, pixels = '16UC1', to_units(frame.depth_m, MILLIMETRES).astype('<u2')
    else:
        encoding, pixels = '32FC1', frame.depth_m.astype('<f4')
    data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    step = width * pixels.itemsize
    return store.types['sensor_msgs/msg/Image'](
        header, height, width, encoding, is_bigendian=0, step=step, data=data
    )


def _camera_info(store: Any, header: Any, camera: Intrinsics) -> Any:
    k = camera.matrix.reshape(-1)
    roi = store.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return store.types['sensor_msgs/msg/CameraInfo'](
        header,
        camera.height,
        camera.width,
        'plumb_bob',
        d=np.zeros(5),
        k=k,
        r=np.eye(3).reshape(-1),
        p=np.hstack([camera.matrix, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )
