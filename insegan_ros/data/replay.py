"""Whatever was recorded, as one row of frames: a dataset, a folder of images, or a recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.bags import Reading, Recording
from insegan_ros.data.camera_files import read_camera_file
from insegan_ros.data.depth_messages import suspicious_depth
from insegan_ros.data.images import ENDINGS, ImageFolder, list_images
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.recording_files import NAMES
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.types import DepthFrame

KINDS = (
    f'a dataset folder (dataset.yaml), depth images or clouds ({ENDINGS}) with camera_info.yaml, '
    'or a recording (rosbag2 folder, .mcap, .db3, .bag)'
)


MOST_READ = 300  # frames of which some are taken: a long recording would take long to read


@dataclass(frozen=True)
class Replayed:
    """One recorded frame, with the true labels where the recording has them."""

    name: str  # of its file without the ending; of a recording, its number
    frame: DepthFrame
    labels: NDArray[np.uint8] | None = None  # (H, W), 0 background


class Replay:
    """Frames of any kind of recording, in their order.

    A damaged frame does not end a replay: `skipped` says which ones were left out and why, and
    `left_out` counts them.
    """

    def __init__(
        self,
        path: Path | str,
        reading: Reading | None = None,
        *,
        camera_file: Path | None = None,
        topic: str | None = None,
        split: str = 'all',
    ) -> None:
        """Open `path`.

        Args:
            camera_file: of images; None: the one in their folder.
            topic: of a recording's depth images; None: the only one.
            split: of a dataset.

        Raises:
            DatasetError: `path` is nothing that can be replayed.
        """
        self.path = Path(path).expanduser()
        self.skipped: list[str] = []
        self.left_out = LeftOut('frames', self.skipped.append)
        reading = replace(reading or Reading(), left_out=self.left_out)
        if not self.path.exists():
            raise DatasetError(f'there is no {self.path}; {KINDS} is expected')
        self.source = _open(self.path, reading, camera_file, topic=topic)
        if split != 'all' and not isinstance(self.source, Dataset):
            raise DatasetError(f'--split {split}: {path} is no dataset and has no splits')
        self._indices = self.source.split(split) if isinstance(self.source, Dataset) else []
        if len(self) == 0:
            of = '' if split == 'all' else f' of split {split!r} (splits.yaml)'
            raise DatasetError(f'{self.path} holds no frame{of}')

    @property
    def instances(self) -> int | None:
        """Parts in every frame, where the recording says so."""
        return self.source.info.instances if isinstance(self.source, Dataset) else None

    @property
    def depth_scale(self) -> float:
        """Metres a unit of 16-bit images."""
        source = self.source
        return source.info.depth_scale if isinstance(source, Dataset) else source.depth_scale

    @property
    def notes(self) -> list[str]:
        """What the user should know of the source, as far as it was read."""
        return self.source.notes

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found to be missing, as far as it was read."""
        recording = self.source if isinstance(self.source, Recording) else None
        return recording is None or recording.is_whole

    def __len__(self) -> int:
        return len(self._indices) if isinstance(self.source, Dataset) else len(self.source)

    def __iter__(self) -> Iterator[Replayed]:
        if isinstance(self.source, Recording):
            for number, frame in self.source.numbered():
                yield Replayed(f'{number:06d}', frame)
        elif isinstance(self.source, ImageFolder):
            for name, frame in self.source.frames():
                yield Replayed(name, frame)
        else:
            for sample in self.source.samples(self._indices, self.left_out):
                yield Replayed(f'{sample.index:06d}', sample.frame, sample.labels)

    def spread(self, count: int) -> Iterator[DepthFrame]:
        """Up to `count` frames from all over the input, or from its first MOST_READ frames.

        What is left out among them is not counted: who works on all frames counts it.
        """
        most, before, said = min(len(self), MOST_READ), self.left_out.count, len(self.skipped)
        try:
            for item in islice(self, 0, most, -(-most // count)):
                yield item.frame
        finally:
            self.left_out.back_to(before)
            del self.skipped[said:]

    def verify(self) -> Iterator[list[str]]:
        """For each frame, what is wrong with it: an empty list for a whole one; then the rest."""
        if isinstance(self.source, Dataset):
            yield from self.source.verify()
            return
        for item in self:
            reason = suspicious_depth(item.frame.depth_m)
            yield [] if reason is None else [f'{item.name}: {reason}']
        unnamed = self.left_out.count - len(self.skipped)
        missing = [] if self.is_whole else self.notes
        yield [*self.skipped, *([f'{unnamed} more are left out'] if unnamed else []), *missing]

    def close(self) -> None:
        """Close the recording, if it is one."""
        if isinstance(self.source, Recording):
            self.source.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(
    path: Path, reading: Reading, camera_file: Path | None, *, topic: str | None
) -> Dataset | ImageFolder | Recording:
    if (path / 'dataset.yaml').exists():
        return Dataset(path)
    if not path.is_dir():
        images = bool(list_images(path))
    else:
        recorded = any(NAMES.search(file.name) for file in path.iterdir())
        images = not recorded and (
            bool(list_images(path)) or not (path / 'metadata.yaml').exists()
        )
        if images and not list_images(path):
            raise DatasetError(
                f'{path} is no dataset and holds no depth image; {KINDS} is expected'
            )
    if images:
        if topic is not None:
            raise DatasetError(f'--topic {topic}: {path} is no recording and has no topics')
        return ImageFolder(path, reading, camera_file)
    if camera_file is not None:
        reading = replace(reading, camera=read_camera_file(camera_file))
    return Recording(path, topic, reading)
