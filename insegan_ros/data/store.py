"""The dataset folder: what lies in it, how it is read and verified.

    <dataset>/dataset.yaml         what was captured and how (DatasetInfo)
              depth/000000.png     16-bit, depth_scale metres a unit, 0 = unmeasured
              labels/000000.png    8-bit instance ids, evaluation only     } where ground
              poses/000000.npy     (N, 4, 4) float32 camera_T_part         } truth exists
              frames.jsonl         a line a frame
              splits.yaml          lists of frame indices by split name

A frame exists when its line is in frames.jsonl; `data.writer` adds it last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from insegan_ros import config
from insegan_ros.types import DepthFrame, Intrinsics

FORMAT_VERSION = 1


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


def to_units(depth_m: NDArray[np.floating[Any]], depth_scale: float) -> NDArray[np.uint16]:
    """Metres with NaN -> 16-bit units with 0."""
    units = np.nan_to_num(depth_m / depth_scale, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(np.rint(units), 0, 65535).astype(np.uint16)


def to_metres(units: NDArray[np.uint16], depth_scale: float) -> NDArray[np.float32]:
    """16-bit units with 0 -> metres with NaN."""
    metres = units.astype(np.float32) * np.float32(depth_scale)
    metres[units == 0] = np.nan
    return metres


class Dataset:
    """A dataset folder, read only. Indices are frame numbers, not positions."""

    def __init__(self, path: Path | str) -> None:
        """Raises: DatasetError if `path` is no dataset, or one of another format version."""
        self.path = Path(path)
        self.info = read_info(self.path)
        self.records = read_records(self.path / 'frames.jsonl')

    def __len__(self) -> int:
        return len(self.records)

    @property
    def indices(self) -> list[int]:
        return sorted(self.records)

    def __getitem__(self, index: int) -> Sample:
        """Raises: DatasetError for a frame that is absent or damaged."""
        if index not in self.records:
            raise DatasetError(f'{self.path} has no frame {index}; it has {len(self)} frames')
        record = self.records[index]
        size = (self.info.intrinsics.height, self.info.intrinsics.width)
        units = _read_png(self._file('depth', index, 'png'), np.uint16, size)
        depth_m = to_metres(units, self.info.depth_scale)
        frame = DepthFrame(depth_m, self.info.intrinsics, stamp_ns=int(record.get('stamp_ns', 0)))
        labels_file = self._file('labels', index, 'png')
        labels = _read_png(labels_file, np.uint8, size) if labels_file.exists() else None
        poses_file = self._file('poses', index, 'npy')
        try:
            poses = np.load(poses_file, allow_pickle=False) if poses_file.exists() else None
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f'{poses_file} is damaged: {error}') from None
        return Sample(index, frame, labels, poses, record)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in self.indices)

    def split(self, name: str) -> list[int]:
        """Frame indices of a split; 'all' is every frame.

        Raises:
            DatasetError: no such split (the message lists those there are).
        """
        if name == 'all':
            return self.indices
        splits = self.splits()
        if name not in splits:
            raise DatasetError(
                f'{self.path} has no split {name!r}; it has {", ".join(["all", *splits])}'
            )
        return [index for index in splits[name] if index in self.records]

    def splits(self) -> dict[str, list[int]]:
        file = self.path / 'splits.yaml'
        if not file.exists():
            return {}
        loaded = yaml.safe_load(file.read_text()) or {}
        return {k: v for k, v in loaded.items() if isinstance(v, list)}

    def content_hash(self) -> str:
        """A short hash of the frames' list and files' sizes: equal data gives equal hashes."""
        digest = hashlib.sha256((self.path / 'dataset.yaml').read_bytes())
        for index in self.indices:
            size = self._file('depth', index, 'png').stat().st_size
            digest.update(f'{index}:{size}:{self.records[index].get("sha256", "")};'.encode())
        return digest.hexdigest()[:16]

    def verify(self) -> Iterator[list[str]]:
        """For each frame, what is wrong with it: an empty list for a whole one."""
        for index in self.indices:
            problems = []
            try:
                sample = self[index]
                stored = self.records[index].get('sha256')
                actual = sha256(self._file('depth', index, 'png').read_bytes())
                if stored is not None and stored != actual:
                    problems.append(f'frame {index}: depth differs from what was captured')
                if sample.poses is not None and sample.poses.shape[1:] != (4, 4):
                    problems.append(f'frame {index}: poses are {sample.poses.shape}')
            except (DatasetError, OSError) as error:
                problems.append(f'frame {index}: {error}')
            yield problems

    def _file(self, kind: str, index: int, suffix: str) -> Path:
        return self.path / kind / f'{index:06d}.{suffix}'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def read_info(path: Path) -> DatasetInfo:
    file = path / 'dataset.yaml'
    if not file.exists():
        raise DatasetError(f'{path} is no dataset: it has no dataset.yaml')
    try:
        loaded = yaml.safe_load(file.read_text())
        info = config.from_mapping(DatasetInfo, loaded)
    except (yaml.YAMLError, ValueError, AttributeError) as error:
        raise DatasetError(f'{file}: {error}') from None
    if info.format_version != FORMAT_VERSION:
        raise DatasetError(
            f'{path} has format_version {info.format_version}; this program reads {FORMAT_VERSION}'
        )
    return info


def whole_lines(path: Path) -> bytes:
    """A file's content up to its last newline."""
    content = path.read_bytes()
    return content[: content.rfind(b'\n') + 1]


def read_records(path: Path) -> dict[int, dict[str, Any]]:
    """Lines by frame index. A last line without its newline was being written: it does not count.

    Raises:
        DatasetError: another line is damaged.
    """
    if not path.exists():
        return {}
    records = {}
    for number, line in enumerate(whole_lines(path).splitlines(), 1):
        try:
            record = json.loads(line)
            records[int(record['index'])] = record
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            raise DatasetError(f'{path}, line {number}, is damaged: {line[:80]!r}') from None
    return records


def _read_png(path: Path, dtype: type, size: tuple[int, int]) -> Any:
    try:
        raw = np.fromfile(path, np.uint8)
        image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
    except OSError as error:
        raise DatasetError(f'{path}: {error}') from None
    if image is None:
        raise DatasetError(f'{path} is damaged: not a PNG')
    if image.shape != size or image.dtype != dtype:
        raise DatasetError(
            f'{path} is {image.shape} {image.dtype}; {size} {np.dtype(dtype)} is expected'
        )
    return image
