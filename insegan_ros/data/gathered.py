"""Images, point clouds or a recording as a dataset, for what works on datasets alone.

They are imported once into a folder beside the results, and known again when the same command is
given again. Frames keep the names of their files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from insegan_ros.data.bags import Reading
from insegan_ros.data.importing import ImportRequest, import_all
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.replay import Replay
from insegan_ros.data.store import GATHERED, Dataset, DatasetError


@dataclass(frozen=True)
class Gathered:
    """A dataset, and what of its source could not be used."""

    dataset: Dataset
    left_out: LeftOut
    is_whole: bool = True  # nothing was found to be missing otherwise


def dataset_of(
    path: Path,
    beside: Path,
    reading: Reading,
    *,
    camera_file: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Gathered:
    """The dataset in `path`, or one in `beside` that is made of what is there.

    Args:
        reading: how images are read; a dataset says that itself.
        camera_file: of images and clouds; None: the one in their folder, or the clouds show it.
        say: called with what was left out or is doubtful.

    Raises:
        DatasetError: nothing that can be read, depths in another unit than is said, or `beside`
            holds something else, or frames that are not there any more, or were read otherwise.
    """
    if (path / 'dataset.yaml').exists():
        return Gathered(Dataset(path), LeftOut('frames'))
    with Replay(path, reading, camera_file=camera_file) as replay:
        request = ImportRequest(
            beside,
            path.resolve().name,
            depth_scale=reading.depth_scale,
            trusted=reading.is_trusted,
            source=GATHERED,
        )
        done = import_all(replay, request, say)
        others = done.total - done.added - done.known
        if others > 0:
            raise DatasetError(
                f'{beside} holds {others} frames besides those in {path}: of files that are gone, '
                'or read in another unit; delete that folder, and it is made anew'
            )
        return Gathered(Dataset(beside), replay.left_out, replay.is_whole)
