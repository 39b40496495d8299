"""Whatever was recorded, as one endless or finite row of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.bags import Recording
from insegan_ros.data.pngs import CAMERA_FILE, PngFolder
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.types import DepthFrame

KINDS = (
    'a dataset folder (dataset.yaml), a folder of 16-bit PNGs with camera_info.yaml, '
    'or a recording (rosbag2 folder, .mcap, .db3, .bag)'
)


@dataclass(frozen=True)
class Replayed:
    """One recorded frame, with the true labels where the recording has them."""

    frame: DepthFrame
    labels: NDArray[np.uint8] | None = None  # (H, W), 0 background


class Replay:
    """Frames of any kind of recording, in their order.

    A damaged frame does not end a replay: `skipped` says which ones were left out and why.
    """

    def __init__(self, path: Path | str) -> None:
        """Raises: DatasetError if `path` is nothing that can be replayed."""
        self.path = Path(path).expanduser()
        self.skipped: list[str] = []
        self._source: Dataset | PngFolder | Recording
        if not self.path.exists():
            raise DatasetError(f'there is no {self.path}; {KINDS} is expected')
        if (self.path / 'dataset.yaml').exists():
            self._source = Dataset(self.path)
        elif (self.path / CAMERA_FILE).exists() or any(self.path.glob('*.png')):
            self._source = PngFolder(self.path)
        elif self.path.is_dir() and not (self.path / 'metadata.yaml').exists():
            raise DatasetError(f'{self.path} cannot be replayed; {KINDS} is expected')
        else:
            self._source = Recording(self.path)
        if len(self._source) == 0:
            raise DatasetError(f'{self.path} holds no frame')

    @property
    def instances(self) -> int | None:
        """Parts in every frame, where the recording says so."""
        return self._source.info.instances if isinstance(self._source, Dataset) else None

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Replayed]:
        if isinstance(self._source, Recording):
            for frame in self._source:
                yield Replayed(frame)
            return
        indices = self._source.indices if isinstance(self._source, Dataset) else range(len(self))
        for index in indices:
            try:
                item = self._source[index]
            except DatasetError as error:
                self.skipped.append(str(error))
                continue
            if isinstance(item, DepthFrame):
                yield Replayed(item)
            else:
                yield Replayed(item.frame, item.labels)

    def close(self) -> None:
        if isinstance(self._source, Recording):
            self._source.close()
