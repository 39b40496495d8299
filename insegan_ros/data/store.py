"""The dataset folder: what lies in it, how it is read and verified.

    <dataset>/dataset.yaml         what was captured and how (DatasetInfo)
              depth/000000.png     16-bit, depth_scale metres a unit, 0 = unmeasured
              labels/000000.png    8-bit instance ids, evaluation only     } where ground
              poses/000000.npy     (N, 4, 4) float32 camera_T_part         } truth exists
              frames.jsonl         a line a frame
              splits.yaml          lists of frame indices by split name
              part.ply             the part's true mesh in the frame of its poses, if it is known

A frame exists when its line is in frames.jsonl; `data.writer` adds it last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from insegan_ros import config
from insegan_ros.data.depth_messages import decode_picture, metres
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.npy import decode_npy
from insegan_ros.files import read_text
from insegan_ros.types import DepthFrame, Intrinsics

FORMAT_VERSION = 1
SPLITS = 'splits.yaml'
PART = 'part.ply'
GATHERED = 'gathered'  # source of frames that were given as files or a recording, not imported


class DatasetError(ValueError):
    """A dataset that cannot be used as asked; the message says what to do."""


@dataclass(frozen=True)
class DatasetInfo:
    """What dataset.yaml holds."""

    part: str
    intrinsics: Intrinsics
    source: str  # 'simulated', 'realsense', 'rosbag2', ...
    instances: int | None = None  # parts in every frame; None where it varies or is unknown
    depth_scale: float = 0.001  # metres a unit of the 16-bit images
    floor: tuple[float, ...] | None = None  # nx, ny, nz, d: height = n . p + d, metres
    generator: str | None = None  # version of what made it
    seed: int | None = None
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Sample:
    """A stored frame with the ground truth that lies beside it."""

    index: int
    frame: DepthFrame
    labels: NDArray[np.uint8] | None  # (H, W), 0 background
    poses: NDArray[np.float32] | None  # (N, 4, 4) camera_T_part
    record: Mapping[str, Any]  # the frame's line of frames.jsonl


def kinds_of(sample: Sample) -> NDArray[np.int64]:
    """(N,) which kind of part each instance is: 1, 2, ...; all are 1 where there is one kind."""
    stored = sample.record.get('kinds')
    if stored is not None:
        return np.asarray(stored, np.int64)
    count = 0 if sample.labels is None else int(sample.labels.max(initial=0))
    return np.ones(max(count, 0 if sample.poses is None else len(sample.poses)), np.int64)


def to_units(depth_m: NDArray[np.floating[Any]], depth_scale: float) -> NDArray[np.uint16]:
    """Metres with NaN -> 16-bit units with 0; what lies beyond their range is unmeasured too."""
    units = np.rint(np.nan_to_num(depth_m / depth_scale, nan=0.0, posinf=0.0, neginf=0.0))
    return np.where((units > 0) & (units <= 65535), units, 0).astype(np.uint16)


class Dataset:
    """A dataset folder, read only. Indices are frame numbers, not positions."""

    def __init__(self, path: Path | str) -> None:
        """Raises: DatasetError if `path` is no dataset, or one of another format version."""
        self.path = Path(path)
        self.info = read_info(self.path)
        self.notes: list[str] = []  # what is damaged beside the frames that are left
        self.records = read_records(self.path / 'frames.jsonl', self.notes.append)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def indices(self) -> list[int]:
        """The indices of all frames, in order."""
        return sorted(self.records)

    def __getitem__(self, index: int) -> Sample:
        """Raises: DatasetError for a frame that is absent or damaged."""
        if index not in self.records:
            raise DatasetError(f'{self.path} has no frame {index}; it has {len(self)} frames')
        record = self.records[index]
        size = (self.info.intrinsics.height, self.info.intrinsics.width)
        units = _read_png(self._file('depth', index, 'png'), np.uint16, size)
        depth_m = metres(units, self.info.depth_scale)
        stamp = record.get('stamp_ns')
        stamp_ns = stamp if isinstance(stamp, int) else 0
        frame = DepthFrame(depth_m, self.info.intrinsics, stamp_ns=stamp_ns)
        labels_file = self._file('labels', index, 'png')
        labels = _read_png(labels_file, np.uint8, size) if labels_file.exists() else None
        poses_file = self._file('poses', index, 'npy')
        try:
            content = poses_file.read_bytes() if poses_file.exists() else None
            poses = None if content is None else decode_npy(content, str(poses_file))
        except (OSError, ValueError) as error:
            raise DatasetError(f'{poses_file} is damaged: {error}') from None
        if poses is not None and (poses.shape[1:] != (4, 4) or poses.dtype.kind != 'f'):
            raise DatasetError(f'{poses_file} is {poses.shape} {poses.dtype}; (N, 4, 4) floats')
        return Sample(index, frame, labels, poses, record)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in self.indices)

    def name(self, index: int) -> str:
        """What pictures of a frame are called: its number or, where it was given so, its file."""
        file = self.records[index].get('file') if self.info.source == GATHERED else None
        return f'{index:06d}' if file is None else str(file)

    def split(self, name: str) -> list[int]:
        """Frame indices of a split; 'all' is every frame.

        Raises:
            DatasetError: no such split (the message lists those there are).
        """
        if name == 'all':
            return self.indices
        splits = self.splits()
        if name not in splits and name in (told := self._told_splits()):
            raise DatasetError(
                f'{self.path / SPLITS}: {name!r} holds {told[name]!r}; a list of frame numbers is '
                'expected, as in [0, 1, 5]'
            )
        if name not in splits:
            raise DatasetError(
                f'{self.path} has no split {name!r}; it has {", ".join(["all", *splits])}'
            )
        if absent := sorted(set(splits[name]) - set(self.records)):
            self.notes.append(
                f'{self.path / SPLITS}: {len(absent)} frames of {name!r} are not in the dataset: '
                f'{", ".join(map(str, absent[:5]))}'
            )
        return [index for index in splits[name] if index in self.records]

    def samples(self, indices: Iterable[int], left_out: LeftOut) -> Iterator[Sample]:
        """Those of the frames that can be read; the others are left out."""
        for index in indices:
            try:
                sample = self[index]
            except DatasetError as error:
                left_out.add(f'frame {index:06d}', error)
            else:
                yield sample

    def splits(self) -> dict[str, list[int]]:
        """Raises: DatasetError where splits.yaml is no YAML of lists of frame numbers."""
        file, told = self.path / SPLITS, self._told_splits()
        lists = {name: entry for name, entry in told.items() if isinstance(entry, list)}
        for name, entry in lists.items():
            wrong = [item for item in entry if type(item) is not int]
            if wrong:
                raise DatasetError(
                    f'{file}: {name!r} holds {wrong[0]!r}; frame numbers are expected'
                )
        return lists

    def _told_splits(self) -> dict[str, Any]:
        """What splits.yaml holds, by name: lists, and the rule in words."""
        file = self.path / SPLITS
        loaded = (read_yaml(file) or {}) if file.exists() else {}
        if not isinstance(loaded, Mapping):
            raise DatasetError(f'{file} holds {type(loaded).__name__}; lists by name are expected')
        return {str(name): entry for name, entry in loaded.items()}

    def content_hash(self) -> str:
        """A short hash of the frames' list and files' sizes: equal data gives equal hashes."""
        digest = hashlib.sha256((self.path / 'dataset.yaml').read_bytes())
        for index in self.indices:
            file = self._file('depth', index, 'png')
            size = file.stat().st_size if file.exists() else -1
            digest.update(f'{index}:{size}:{self.records[index].get("sha256", "")};'.encode())
        return digest.hexdigest()[:16]

    def verify(self) -> Iterator[list[str]]:
        """For each frame, what is wrong with it: an empty list for a whole one."""
        if self.notes:
            yield list(self.notes)
        for index in self.indices:
            problems = []
            try:
                self[index]
                stored = self.records[index].get('sha256')
                actual = sha256(self._file('depth', index, 'png').read_bytes())
                if stored is not None and stored != actual:
                    problems.append(f'frame {index}: depth differs from what was captured')
            except (DatasetError, OSError) as error:
                problems.append(f'frame {index}: {error}')
            yield problems

    def _file(self, kind: str, index: int, suffix: str) -> Path:
        return self.path / kind / f'{index:06d}.{suffix}'


def sha256(content: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the content."""
    return hashlib.sha256(content).hexdigest()[:16]


def read_yaml(file: Path) -> Any:
    """The one document of a YAML file.

    Raises:
        DatasetError: it cannot be read or is no YAML; the message says where.
    """
    try:
        return yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        hint = '; indent with spaces, YAML takes no tabs' if '\\t' in str(error) else ''
        raise DatasetError(f'{file} is no YAML: {error}{hint}') from None
    except (OSError, ValueError) as error:
        raise DatasetError(f'{file}: {error}') from None
    except Exception as error:  # PyYAML has many for a tag on what is none of it
        raise DatasetError(f'{file} is no YAML: {error!r}') from None


def read_info(path: Path) -> DatasetInfo:
    """Raises: DatasetError where dataset.yaml is absent, damaged, or of another version."""
    file = path / 'dataset.yaml'
    if not file.exists():
        raise DatasetError(f'{path} is no dataset: it has no dataset.yaml')
    loaded = read_yaml(file)
    if not isinstance(loaded, Mapping):
        raise DatasetError(
            f'{file} holds {type(loaded).__name__}; part, intrinsics and source are expected'
        )
    version = loaded.get('format_version', FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise DatasetError(
            f'{path} has format_version {version}; this program reads {FORMAT_VERSION}'
        )
    try:
        info = config.from_mapping(DatasetInfo, loaded)
    except (ValueError, AttributeError, OverflowError) as error:
        raise DatasetError(f'{file}: {error}') from None
    if not 0 < info.depth_scale < 1:
        raise DatasetError(f'{file}: depth_scale is {info.depth_scale}; metres a unit, e.g. 0.001')
    if info.floor is not None and (len(info.floor) != 4 or not np.isfinite(info.floor).all()):
        raise DatasetError(f'{file}: floor is {info.floor}; nx, ny, nz, d are expected')
    return info


def require_no_dataset(path: Path) -> None:
    """Raises: DatasetError, where results would overwrite a dataset's own files."""
    if (path / 'dataset.yaml').exists():
        raise DatasetError(f'{path} is a dataset; name another folder for what is made of it')


def whole_lines(path: Path) -> bytes:
    """A file's content up to its last newline."""
    content = path.read_bytes()
    return content[: content.rfind(b'\n') + 1]


def read_records(
    path: Path, damaged: Callable[[str], object] = lambda _: None
) -> dict[int, dict[str, Any]]:
    """Lines by frame index. A last line without its newline was being written: it does not count.

    Args:
        damaged: called with each other line that is none; its frame is left out.
    """
    if not path.exists():
        return {}
    records = {}
    for number, line in enumerate(whole_lines(path).splitlines(), 1):
        try:
            record = json.loads(line)
            index = record['index']
            if type(index) is not int or index < 0:
                raise ValueError(index)
            records[index] = record
        except (KeyError, TypeError, ValueError, RecursionError):
            if line.strip():
                damaged(f'{path}, line {number}, is damaged and left out: {line[:80]!r}')
    return records


def _read_png(path: Path, dtype: type, size: tuple[int, int]) -> Any:
    try:
        image = decode_picture(path.read_bytes(), str(path))
    except (OSError, ValueError) as error:
        raise DatasetError(str(error)) from None
    if image.shape != size or image.dtype != dtype:
        raise DatasetError(
            f'{path} is {image.shape} {image.dtype}; {size} {np.dtype(dtype)} is expected'
        )
    return image
