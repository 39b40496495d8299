"""Images, point clouds or a recording as a dataset, for what works on datasets alone.

They are imported once into a folder beside the results, and known again when the same command is
given again. Frames keep the names of their files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from insegan_ros.data.bags import Reading
from insegan_ros.data.importing import ImportRequest, import_frames
from insegan_ros.data.replay import Replay
from insegan_ros.data.store import GATHERED, Dataset


def dataset_of(
    path: Path,
    beside: Path,
    reading: Reading,
    *,
    camera_file: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Dataset:
    """The dataset in `path`, or one in `beside` that is made of what is there.

    Args:
        reading: how images are read; a dataset tells that itself.
        camera_file: of images and clouds; None: the one in their folder, or the clouds tell it.
        say: called with what was left out or is doubtful.

    Raises:
        DatasetError: nothing that can be read, depths in another unit than is said, or `beside`
            holds something else.
    """
    if (path / 'dataset.yaml').exists():
        return Dataset(path)
    with Replay(path, reading, camera_file=camera_file) as replay:
        trusted = reading.depth_scale is not None or reading.float_scale != 1
        request = ImportRequest(
            beside,
            path.resolve().name,
            depth_scale=reading.depth_scale,
            trusted=trusted,
            source=GATHERED,
        )
        for _ in import_frames(replay, request, say):
            pass
        for text in [*replay.notes, *replay.skipped]:
            say(text)
    return Dataset(beside)
