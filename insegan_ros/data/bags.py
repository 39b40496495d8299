"""Recordings made with stock tools, read and written without ROS: rosbag2 (SQLite, MCAP), .bag.

Reading and writing are the `rosbags` library's; this module finds the depth stream and its camera.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.image import ImageError, message_to_cvimage
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from insegan_ros.data.store import Dataset, DatasetError, to_units
from insegan_ros.types import DepthFrame, Intrinsics

DEPTH_ENCODINGS = ('16UC1', 'mono16', '32FC1')
COMPRESSED = '/compressedDepth'  # how topics of depth images with PNGs in them end
# librealsense's own recorder stores the depth unit under this name, in metres
DEPTH_UNITS_TOPIC = 'option/Depth_Units/value'


@dataclass(frozen=True)
class DepthStream:
    """The topics of a recording that hold depth images and their camera."""

    image_topic: str
    info_topic: str
    frames: int


class Recording:
    """A rosbag2 folder, an .mcap or .db3 file, or a .bag file (ROS 1, RealSense Viewer).

    librealsense used to record .bag files of ROS 1; now it records .db3 files.
    """

    def __init__(self, path: Path | str, image_topic: str | None = None) -> None:
        """Find the depth stream: `image_topic`, or the only one whose name says depth.

        Raises:
            DatasetError: no recording, no such topic, or several to choose from (all are listed).
        """
        self.path = Path(path)
        if not self.path.exists():
            raise DatasetError(f'there is no recording {self.path}')
        self._reader = AnyReader([self.path], default_typestore=get_typestore(Stores.LATEST))
        try:
            self._reader.open()
        except (AnyReaderError, OSError, ValueError) as error:
            raise DatasetError(f'{self.path} cannot be read as a recording: {error}') from None
        self.stream = self._find_stream(image_topic)
        self.intrinsics = self._read_intrinsics()
        self.depth_scale = self._read_depth_scale()

    def _find_stream(self, image_topic: str | None) -> DepthStream:
        topics = self._reader.topics
        kinds = {name: _type_name(t.msgtype) for name, t in topics.items()}
        images = [name for name, kind in kinds.items() if kind == 'Image']
        images += [
            name
            for name, kind in kinds.items()
            if kind == 'CompressedImage'
            and name.endswith(COMPRESSED)
            and name.removesuffix(COMPRESSED) not in images  # recorded twice: once will do
        ]
        infos = [name for name, t in topics.items() if _type_name(t.msgtype) == 'CameraInfo']
        chosen = [
            name
            for name in images
            if name == image_topic or (not image_topic and 'epth' in name.removesuffix(COMPRESSED))
        ]
        listed = ', '.join(images) or 'none'
        if not chosen:
            raise DatasetError(
                f'{self.path} has no depth topic {image_topic or ""}; its image topics: {listed}'
            )
        if len(chosen) > 1:
            raise DatasetError(
                f'{self.path} has several depth topics ({", ".join(chosen)}); choose with --topic'
            )
        if not infos:
            raise DatasetError(f'{self.path} has no camera_info; record it with the images')
        # the camera's topic is the one that shares the longest beginning with the image's
        info = max(infos, key=lambda name: _common_prefix(name, chosen[0]))
        return DepthStream(chosen[0], info, topics[chosen[0]].msgcount)

    def _read_intrinsics(self) -> Intrinsics:
        info = next(self._messages(self.stream.info_topic), (0, None))[1]
        if info is None:
            raise DatasetError(f'{self.path}: no message on {self.stream.info_topic}')
        k = info.k if hasattr(info, 'k') else info.K  # ROS 2, ROS 1
        try:
            return Intrinsics(info.width, info.height, *(float(k[i]) for i in (0, 4, 2, 5)))
        except ValueError as error:
            raise DatasetError(f'{self.path}, {self.stream.info_topic}: {error}') from None

    def _read_depth_scale(self) -> float:
        units = [t for t in self._reader.topics if t.endswith(DEPTH_UNITS_TOPIC)]
        message = next(self._messages(units[0]), (0, None))[1] if units else None
        return 0.001 if message is None else round(float(message.data), 9)

    def _messages(self, topic: str) -> Iterator[tuple[int, Any]]:
        connections = [c for c in self._reader.connections if c.topic == topic]
        for connection, stamp_ns, raw in self._reader.messages(connections=connections):
            yield stamp_ns, self._reader.deserialize(raw, connection.msgtype)

    def __len__(self) -> int:
        return self.stream.frames

    def __iter__(self) -> Iterator[DepthFrame]:
        """Raises: DatasetError for an image that is no depth image."""
        for received_ns, message in self._messages(self.stream.image_topic):
            try:
                image = decode(message)
            except (ImageError, ValueError) as error:
                raise DatasetError(f'{self.path}, {self.stream.image_topic}: {error}') from None
            depth_m = image.astype(np.float32)
            if image.dtype == np.uint16:
                depth_m *= np.float32(self.depth_scale)
            depth_m[~np.isfinite(depth_m) | (depth_m <= 0)] = np.nan
            stamp = message.header.stamp
            stamp_ns = stamp.sec * 10**9 + stamp.nanosec
            yield DepthFrame(
                depth_m, self.intrinsics, stamp_ns or received_ns, message.header.frame_id
            )

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def decode(message: Any) -> NDArray[Any]:
    """sensor_msgs Image or CompressedImage -> (H, W) 16-bit units, or floats in metres.

    Raises:
        ValueError: no depth image, or one that is damaged.
    """
    compressed = hasattr(message, 'format')
    encoding = message.format.split(';')[0] if compressed else message.encoding
    if encoding not in DEPTH_ENCODINGS:
        raise ValueError(f'it is {encoding}; depth is one of {", ".join(DEPTH_ENCODINGS)}')
    if not compressed:
        return message_to_cvimage(message)
    # image_transport's compressedDepth: an integer, two floats, then a PNG
    raw = np.asarray(message.data, np.uint8)[12:]
    units: Any = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
    if units is None or units.ndim != 2 or units.dtype != np.uint16:
        raise ValueError(f'its format is {message.format!r} and it holds no 16-bit PNG')
    if encoding != '32FC1':
        return units
    _, a, b = struct.unpack_from('<iff', bytes(message.data[:12]))
    with np.errstate(divide='ignore'):  # units = a / metres + b, 0 unmeasured
        return np.where(units > 0, a / (units - np.float32(b)), np.nan).astype(np.float32)


def write_mcap(dataset: Dataset, path: Path, frame_id: str, topic: str) -> Iterator[int]:
    """Write a dataset as a rosbag2 folder with MCAP storage; yields each index when written.

    Images are 16UC1 millimetres on `<topic>/image_rect_raw`, beside `<topic>/camera_info`. Frames
    without a stamp are spaced a thirtieth of a second apart.

    Raises:
        DatasetError: `path` exists, or a frame is damaged.
    """
    if path.exists():
        raise DatasetError(f'{path} exists; choose another name')
    store = get_typestore(Stores.ROS2_HUMBLE)
    image_type, info_type = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection(f'{topic}/image_rect_raw', image_type, typestore=store)
        infos = writer.add_connection(f'{topic}/camera_info', info_type, typestore=store)
        for position, sample in enumerate(dataset):
            stamp_ns = sample.frame.stamp_ns or (position + 1) * 33_333_333
            header = _header(store, stamp_ns, frame_id)
            image = _image(store, header, to_units(sample.frame.depth_m, 0.001))
            info = _camera_info(store, header, sample.frame.intrinsics)
            writer.write(images, stamp_ns, store.serialize_cdr(image, image_type))
            writer.write(infos, stamp_ns, store.serialize_cdr(info, info_type))
            yield sample.index


def _header(store: Any, stamp_ns: int, frame_id: str) -> Any:
    stamp = store.types['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
    return store.types['std_msgs/msg/Header'](stamp, frame_id)


def _image(store: Any, header: Any, units: np.ndarray) -> Any:
    height, width = units.shape
    data = units.astype('<u2').reshape(-1).view(np.uint8)
    return store.types['sensor_msgs/msg/Image'](
        header, height, width, '16UC1', is_bigendian=0, step=2 * width, data=data
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


def _type_name(message_type: str | None) -> str:
    return (message_type or '').rsplit('/', 1)[-1]


def _common_prefix(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
