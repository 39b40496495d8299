"""The dataset of a collection: opened with its first frame, judged against its last."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from insegan_ros.camera import Plane
from insegan_ros.collection.quality import rejection
from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.data.store import Dataset, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.depth_camera import D435_DEPTH_SCALE
from insegan_ros.floor import FloorNotFoundError, find_floor
from insegan_ros.types import DepthFrame, FloatImage


class Recorder:
    """Frames go through `open` (the first one), `rejection`, and where that is None, `store`."""

    def __init__(self, settings: CollectorSettings, warn: Callable[[str], object]) -> None:
        self._settings, self._warn = settings, warn
        self._writer: DatasetWriter | None = None
        self._floor: Plane | None = None  # of the bin, when collection began
        self._last: FloatImage | None = None  # depth of the frame stored last, metres

    @property
    def is_open(self) -> bool:
        """Whether a dataset folder has been opened."""
        return self._writer is not None

    @property
    def stored(self) -> int:
        """Frames in the folder, those of earlier runs included; 0 before `open`."""
        return 0 if self._writer is None else len(self._writer.indices)

    def open(self, frame: DepthFrame) -> None:
        """Make the folder, or go on with one that was begun earlier.

        Raises:
            DatasetError: it holds something else, or another process writes to it.
            OSError: the disk is full or gone.
        """
        settings = self._settings
        info = DatasetInfo(
            part=settings.part,
            intrinsics=frame.intrinsics,
            source='collector',
            instances=settings.instances or None,
            depth_scale=D435_DEPTH_SCALE,
            floor=self._find_floor(frame),
        )
        self._writer = DatasetWriter(settings.dataset, info)
        if self._writer.info.floor is not None:  # a folder begun earlier keeps its floor
            nx, ny, nz, offset = self._writer.info.floor
            self._floor = Plane((nx, ny, nz), offset)
        if self._writer.indices:
            newest = Dataset(settings.dataset)[max(self._writer.indices)]
            self._last = newest.frame.depth_m

    def _find_floor(self, frame: DepthFrame) -> tuple[float, ...] | None:
        try:
            floor = find_floor(frame, np.random.default_rng(self._settings.seed))
        except FloorNotFoundError as error:
            self._warn(f'{error}; frames are not checked for a moved bin')
            return None
        return (*floor.normal, floor.offset)

    def rejection(self, frame: DepthFrame) -> str | None:
        """Why not to store a frame, in words, or None for a good one."""
        return rejection(frame, self._last, self._floor, gates=self._settings.gates)

    def store(self, frame: DepthFrame, joints: Mapping[str, float] | None) -> None:
        """Append a frame and where the arm's joints were then, rad.

        Raises:
            DatasetError: it is of another size than those before.
            OSError: the disk is full or gone; frames stored before are unharmed.
        """
        assert self._writer is not None
        record = {'stamp_ns': frame.stamp_ns, 'joints': joints}
        self._writer.append(to_units(frame.depth_m, D435_DEPTH_SCALE), record=record)
        self._last = frame.depth_m

    def close(self) -> None:
        """Close the folder; another process may write to it then."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
