"""Small recordings of every kind, and what goes wrong with them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from insegan_ros import cli
from insegan_ros.data.bags import Recording
from insegan_ros.data.store import Dataset, to_units
from insegan_ros.types import Intrinsics

HEIGHT, WIDTH = 12, 16
CAMERA = Intrinsics(WIDTH, HEIGHT, 42.0, 43.0, 8.5, 6.5)
START = 1_700_000_000_000_000_000
STEP = 100_000_000
DEPTH = '/cam/depth'
NO_DISTORTION = (0.0,) * 5


def depth_units(k: int = 0) -> np.ndarray:
    """(H, W) millimetres, another image for each k."""
    units = np.full((HEIGHT, WIDTH), 500 + k, np.uint16)
    units[3:6, 4:9] = 460
    units[0, 0] = 0
    return units


@dataclass
class Bag:
    """Messages to be recorded, in this order."""

    ros1: bool = False
    messages: list[tuple[str, str, Any, int]] = field(default_factory=list)

    @property
    def store(self) -> Any:
        return get_typestore(Stores.ROS1_NOETIC if self.ros1 else Stores.ROS2_HUMBLE)

    def header(self, stamp: int, frame_id: str) -> Any:
        types = self.store.types
        time = types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9))
        make = types['std_msgs/msg/Header']
        return make(0, time, frame_id) if self.ros1 else make(time, frame_id)

    def add(self, topic: str, kind: str, message: Any, time: int) -> Bag:
        self.messages.append((topic, kind, message, time))
        return self

    def image(
        self,
        stamp: int = START,
        pixels: np.ndarray | None = None,
        *,
        encoding: str = '16UC1',
        topic: str = f'{DEPTH}/image_rect_raw',
        frame_id: str = 'optical',
        padding: int = 0,
        big: bool = False,
        time: int | None = None,
        **changes: Any,
    ) -> Bag:
        pixels = depth_units() if pixels is None else pixels
        rows = pixels.astype(pixels.dtype.newbyteorder('>' if big else '<')).tobytes()
        rows = np.frombuffer(rows, np.uint8).reshape(
            len(pixels), pixels.dtype.itemsize * pixels.shape[1]
        )
        rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=9)
        kind = 'sensor_msgs/msg/Image'
        fields = {
            'header': self.header(stamp, frame_id),
            'height': pixels.shape[0],
            'width': pixels.shape[1],
            'encoding': encoding,
            'is_bigendian': int(big),
            'step': rows.shape[1],
            'data': rows.reshape(-1).copy(),
        }
        message = self.store.types[kind](**(fields | changes))
        return self.add(topic, kind, message, stamp if time is None else time)

    def compressed(self, form: str, data: bytes, stamp: int = START, ending='compressedDepth'):
        kind = 'sensor_msgs/msg/CompressedImage'
        content = np.frombuffer(data, np.uint8)
        message = self.store.types[kind](self.header(stamp, 'optical'), form, content)
        return self.add(f'{DEPTH}/image_rect_raw/{ending}', kind, message, stamp)

    def info(
        self,
        stamp: int = START,
        camera: Intrinsics = CAMERA,
        *,
        topic: str = f'{DEPTH}/camera_info',
        frame_id: str = 'optical',
        d: tuple[float, ...] = NO_DISTORTION,
        model: str = 'plumb_bob',
        k: np.ndarray | None = None,
        p: np.ndarray | None = None,
        size: tuple[int, int] | None = None,
        binning: tuple[int, int] = (0, 0),
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Bag:
        types, kind = self.store.types, 'sensor_msgs/msg/CameraInfo'
        k = camera.matrix if k is None else k
        p = np.hstack([k, np.zeros((3, 1))]) if p is None else p
        width, height = size or (camera.width, camera.height)
        x, y, roi_width, roi_height = roi
        window = types['sensor_msgs/msg/RegionOfInterest'](x, y, roi_height, roi_width, False)
        message = types[kind](
            self.header(stamp, frame_id),
            height,
            width,
            model,
            np.asarray(d, float),
            np.asarray(k, float).reshape(-1),
            np.eye(3).reshape(-1),
            np.asarray(p, float).reshape(-1),
            *binning,
            window,
        )
        return self.add(topic, kind, message, stamp)

    def frames(self, count: int = 4, start: int = START) -> Bag:
        """Pairs of camera_info and image a tenth of a second apart."""
        for k in range(count):
            self.info(start + k * STEP).image(start + k * STEP, depth_units(k))
        return self

    def write(self, path: Path, storage: str = 'mcap', compress: str = '') -> Path:
        """A rosbag2 folder, or a .bag of ROS 1."""
        if self.ros1:
            writer: Any = Writer1(path)
            if compress:
                writer.set_compression(getattr(Writer1.CompressionFormat, compress.upper()))
        else:
            mode = CompressionMode[compress.upper() or 'NONE']
            plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
            writer = Writer(path, version=9, storage_plugin=plugin)
            if compress:
                from rosbags.rosbag2 import CompressionFormat

                writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            connections: dict[tuple[str, str], Any] = {}
            for topic, kind, message, time in self.messages:
                key = (topic, kind)
                if key not in connections:
                    connections[key] = writer.add_connection(topic, kind, typestore=self.store)
                serialize = self.store.serialize_ros1 if self.ros1 else self.store.serialize_cdr
                writer.write(connections[key], time, serialize(message, kind))
        return path


def storage_file(folder: Path) -> Path:
    """The one file with messages in a rosbag2 folder."""
    return next(itertools.chain(folder.glob('*.mcap'), folder.glob('*.db3')))


def imported(path: Path, out: Path, *more: str) -> int:
    return cli.main(['import', str(path), '--part', 'nut', '--out', str(out), *more])


def stored(out: Path) -> list[int]:
    return [round(float(s.frame.depth_m[-1, -1]) * 1000) for s in Dataset(out)]


def fine(scale: float = 0.0001) -> np.ndarray:
    """(H, W) metres with detail of a tenth of a millimetre."""
    steps = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    return (0.6 + steps * scale).astype(np.float32)


def seen(path: Path, topic: str | None = None) -> list[int]:
    """The millimetres of a corner of every frame."""
    with Recording(path, topic) as recording:
        return [int(to_units(frame.depth_m, 0.001)[-1, -1]) for frame in recording]


def notes(path: Path) -> str:
    """What is said of a recording, and of what is left out."""
    with Recording(path) as recording:
        list(recording)
        return '; '.join([*recording.notes, *recording.left_out.reasons])
