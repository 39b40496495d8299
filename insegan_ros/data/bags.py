"""Recordings made with stock tools, read without ROS: rosbag2 (SQLite, MCAP) and .bag."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from insegan_ros.data.camera_model import CameraInfo, cached_camera
from insegan_ros.data.depth_messages import MILLIMETRES, MessageError, depth_from_message
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.raw_messages import RawMessage
from insegan_ros.data.recording_files import RecordingFiles
from insegan_ros.data.store import DatasetError
from insegan_ros.data.streams import (
    Survey,
    choose_camera_topic,
    choose_image_topic,
    message_of,
    time_of,
)
from insegan_ros.types import DepthFrame


@dataclass(frozen=True)
class Reading:
    """How depth images are to be read, where they do not say it themselves."""

    depth_scale: float | None = None  # metres a unit of 16-bit images; None: as recorded, or mm
    float_scale: float = 1.0  # metres a unit of float images
    rectified: bool | None = None  # None: judged by topic and camera_info
    camera: CameraInfo | None = None  # None: the recording's
    left_out: LeftOut = field(default_factory=lambda: LeftOut('images'), compare=False)

    @property
    def is_trusted(self) -> bool:
        """Whether somebody has said in which unit depths are."""
        return self.depth_scale is not None or self.float_scale != 1


class Recording:
    """A rosbag2 folder, an .mcap or .db3 file, or a .bag file (ROS 1, RealSense Viewer).

    librealsense used to record .bag files of ROS 1; now it records .db3 files. `notes` says what
    is damaged, missing or doubtful; images that cannot be used go to `reading.left_out`.
    """

    def __init__(
        self, path: Path | str, image_topic: str | None = None, reading: Reading | None = None
    ) -> None:
        """Find the depth stream: `image_topic`, or the only one that holds depth.

        Raises:
            DatasetError: no recording, no such topic, several to choose from (all are listed), or
                none of the camera that took the images.
        """
        self.path = Path(path)
        reading = reading or Reading()
        self.left_out = reading.left_out
        self._files = RecordingFiles(self.path)
        try:
            survey = Survey.of(self._files.messages())
            if not survey.images:
                more = '; '.join(self._files.notes)
                raise DatasetError(
                    f'{self.path} holds no image message' + (f': {more}' if more else '')
                )
            self.topic = choose_image_topic(survey, self.path, image_topic)
            self._told: list[str] = []
            self._cameras = (
                choose_camera_topic(survey, self.path, self.topic, note=self._told.append)
                if reading.camera is None
                else None
            )
        except BaseException:
            self._files.close()
            raise
        self._count = survey.images[self.topic].count
        self.reading = replace(
            reading, depth_scale=reading.depth_scale or survey.depth_units or MILLIMETRES
        )

    @property
    def notes(self) -> list[str]:
        """What a reader of the recording should know: damage, and what was left out."""
        return [*self._files.notes, *self._told]

    @property
    def is_whole(self) -> bool:
        """Whether no file was found to be cut short, damaged or missing."""
        return not self._files.damaged

    @property
    def depth_scale(self) -> float:
        """Metres a unit of 16-bit images."""
        return self.reading.depth_scale or MILLIMETRES

    @cached_property
    def identity(self) -> str:
        """Tells recordings apart whatever they are called: a hash of the first image message."""
        first = next(self._raw(), None)
        content = b'' if first is None else str(first.time_ns).encode() + first.data
        return hashlib.sha256(content).hexdigest()[:16]

    def _raw(self) -> Iterator[RawMessage]:
        return (raw for raw in self._files.messages() if raw.topic == self.topic)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[DepthFrame]:
        return (frame for _, frame in self.numbered())

    def numbered(self) -> Iterator[tuple[int, DepthFrame]]:
        """Every image that can be used, and which one it is; one that cannot be is left out."""
        for number, raw in enumerate(self._raw()):
            try:
                message = message_of(raw)
                stamp = time_of(message, raw)
            except MessageError as error:
                self.left_out.add(f'image {number:06d} of {self.topic}', error)
                continue
            try:
                frame = self._frame(message, stamp)
            except MessageError as error:
                self.left_out.add(f'image {number:06d} of {self.topic}, stamp {stamp} ns', error)
                continue
            yield number, frame

    def _frame(self, message: Any, stamp: int) -> DepthFrame:
        reading = self.reading
        depth_m = depth_from_message(message, self.depth_scale, reading.float_scale)
        info = reading.camera
        if self._cameras is not None:
            info = self._cameras.at(stamp)
        assert info is not None
        camera = cached_camera(info, depth_m.shape[::-1], reading.rectified, topic=self.topic)
        for note in camera.notes:
            if note not in self._told:
                self._told.append(note)
        return camera.frame(depth_m, stamp, str(message.header.frame_id))

    def close(self) -> None:
        """Close the files; what was unpacked is deleted."""
        self._files.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
