"""Which topics of a recording hold depth images and their camera, found by a first reading."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from insegan_ros.data.camera_model import CameraInfo, info_from_message
from insegan_ros.data.depth_messages import DEPTH_TYPES, MessageError, stamp_ns
from insegan_ros.data.raw_messages import RawMessage
from insegan_ros.data.store import DatasetError
from insegan_ros.optional import needed_for

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
TRANSPORT = re.compile(r'/(compressedDepth|compressed|zstd)$')  # image_transport's endings
# librealsense's own recorder stores the depth unit under this name, in metres
DEPTH_UNITS_TOPIC = 'option/Depth_Units/value'
STAMP_BYTES = 12  # what comes before the rest of a header: an encapsulation or a number, a stamp


@cache
def _types(ros1: bool) -> Any:
    with needed_for('reading a recording'):
        from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)


def message_of(raw: RawMessage) -> Any:
    """The message that the bytes are.

    Raises:
        MessageError: they are not that kind of message.
    """
    store = _types(raw.ros1)
    try:
        if raw.ros1:
            return store.deserialize_ros1(raw.data, raw.kind)
        return store.deserialize_cdr(raw.data, raw.kind)
    except Exception as error:  # the library has many for bytes that are no such message
        raise MessageError(
            f'its {len(raw.data)} bytes are no {raw.kind} ({type(error).__name__}: {error})'
        ) from None


@dataclass
class ImageTopic:
    """What a recording holds of one image topic."""

    count: int = 0
    frame_id: str = ''
    encoding: str = ''  # or format; of the first image that can be read


@dataclass
class CameraTopic:
    """Each camera that a topic describes, and from when on."""

    stamps: list[int] = field(default_factory=list)
    cameras: list[CameraInfo] = field(default_factory=list)
    last: bytes = b''

    def at(self, stamp: int) -> CameraInfo:
        """The newest one that is no newer; the first for what is older than all."""
        return self.cameras[max(bisect.bisect_right(self.stamps, stamp) - 1, 0)]


@dataclass
class Survey:
    """What one reading of a whole recording shows of its topics."""

    images: dict[str, ImageTopic] = field(default_factory=dict)
    cameras: dict[str, CameraTopic] = field(default_factory=dict)
    depth_units: float | None = None  # metres

    @staticmethod
    def of(messages: Iterable[RawMessage]) -> Survey:
        """Look through all messages once."""
        survey = Survey()
        for raw in messages:
            try:
                if raw.kind in (IMAGE, COMPRESSED):
                    survey._see_image(raw)
                elif raw.kind == CAMERA_INFO:
                    survey._see_camera(raw)
                elif raw.topic.endswith(DEPTH_UNITS_TOPIC):
                    survey.depth_units = round(float(message_of(raw).data), 9) or None
            except (MessageError, AttributeError):
                continue  # of images, the second reading says which; one camera_info is enough
        for camera in survey.cameras.values():
            order = sorted(range(len(camera.stamps)), key=camera.stamps.__getitem__)
            camera.stamps = [camera.stamps[k] for k in order]
            camera.cameras = [camera.cameras[k] for k in order]
        return survey

    def _see_image(self, raw: RawMessage) -> None:
        topic = self.images.setdefault(raw.topic, ImageTopic())
        topic.count += 1
        if not topic.encoding:
            message = message_of(raw)
            topic.frame_id = str(message.header.frame_id)
            topic.encoding = str(message.encoding if raw.kind == IMAGE else message.format)

    def _see_camera(self, raw: RawMessage) -> None:
        topic = self.cameras.setdefault(raw.topic, CameraTopic())
        if raw.data[STAMP_BYTES:] == topic.last:
            return
        message = message_of(raw)
        topic.last = raw.data[STAMP_BYTES:]
        topic.stamps.append(time_of(message, raw))
        topic.cameras.append(info_from_message(message))


def time_of(message: Any, raw: RawMessage) -> int:
    """When a message was made, ns; where its driver set no time, when it was recorded."""
    stamp = stamp_ns(message.header)
    return stamp if stamp > 0 else raw.time_ns


def choose_image_topic(survey: Survey, path: Path, wanted: str | None) -> str:
    """`wanted`, or the only topic of depth images.

    Raises:
        DatasetError: there is none, or there are several; all image topics are listed.
    """
    names = sorted(survey.images)
    # recorded raw and compressed: once will do
    plain = [n for n in names if not (TRANSPORT.search(n) and _base(n) in names)]
    plain = [n for n in plain if not (n.endswith('compressed') and f'{n}Depth' in names)]
    listed = ', '.join(f'{n} ({survey.images[n].encoding or "unreadable"})' for n in names)
    if wanted is not None:
        same = [n for n in (*plain, *names) if wanted.strip('/') in (n.strip('/'), _base(n)[1:])]
        if not same:
            raise DatasetError(
                f'{path} has no topic {wanted}; its image topics: {listed or "none"}'
            )
        return same[0]
    encodings = {n: survey.images[n].encoding.split(';')[0].strip() for n in plain}
    deep = [n for n in plain if encodings[n] in DEPTH_TYPES]
    named = [n for n in plain if 'depth' in n.lower()]
    chosen = [n for n in named if n in deep] or named or deep
    if not chosen:
        raise DatasetError(f'{path} has no depth topic; its image topics: {listed or "none"}')
    if len(chosen) > 1:
        raise DatasetError(
            f'{path} has several depth topics ({", ".join(chosen)}); choose with --topic'
        )
    return chosen[0]


def choose_camera_topic(
    survey: Survey, path: Path, image_topic: str, *, note: Callable[[str], object]
) -> CameraTopic:
    """The camera_info that belongs to the images: by frame_id, and else by name.

    Raises:
        DatasetError: there is none, or only another camera's.
    """
    cameras = {name: topic for name, topic in survey.cameras.items() if topic.cameras}
    if not cameras:
        raise DatasetError(
            f'{path} has no camera_info; record it with the images, or give --camera-info FILE'
        )
    ours = survey.images[image_topic].frame_id
    namespace = _base(image_topic).rsplit('/', 1)[0]

    def likeness(name: str) -> tuple[bool, bool, int]:
        theirs = cameras[name].cameras[0].frame_id
        beside = name.rsplit('/', 1)[0] == namespace
        return theirs == ours, beside, _common_prefix(name, image_topic)

    best = max(cameras, key=likeness)
    theirs = cameras[best].cameras[0].frame_id
    same, beside, _ = likeness(best)
    if same:
        return cameras[best]
    told = f'its frame_id is {theirs!r}, that of the images on {image_topic} {ours!r}'
    if beside or not theirs or not ours:
        note(f'{best} is taken for the camera, though {told}')
        return cameras[best]
    raise DatasetError(
        f'{path}: no camera_info of the depth camera was recorded; {best} is another camera: '
        f'{told}. Record {namespace}/camera_info with the images, or give --camera-info FILE'
    )


def _base(topic: str) -> str:
    return TRANSPORT.sub('', topic)


def _common_prefix(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
