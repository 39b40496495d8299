"""Writing a dataset folder: frames are appended atomically; how they lie there, `data.store` says.

A frame's files are written under temporary names, flushed and renamed before its line is added to
frames.jsonl, so a crash or a full disk loses at most the frame being written.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from insegan_ros import config
from insegan_ros.data.store import (
    DatasetError,
    DatasetInfo,
    read_info,
    read_records,
    sha256,
    whole_lines,
)
from insegan_ros.drawing import encode_png
from insegan_ros.files import FolderClaim, write_atomically


class DatasetWriter(FolderClaim):
    """Appends frames to a dataset folder, made if absent; one writer at a time."""

    def __init__(self, path: Path | str, info: DatasetInfo) -> None:
        """Open `path` for appending.

        Raises:
            FolderInUseError: another writer holds the folder.
            DatasetError: it holds a dataset of another part or camera.
        """
        super().__init__(Path(path))
        self._damaged: list[str] = []
        try:
            self.info = self._adopt(info)
            self.records = self._mended_records()
            self.indices = set(self.records) | self._files_without_line()
        except Exception:
            self.close()
            raise
        for kind in ('depth', 'labels', 'poses'):
            (self.path / kind).mkdir(exist_ok=True)

    def _adopt(self, info: DatasetInfo) -> DatasetInfo:
        if not (self.path / 'dataset.yaml').exists():
            content = config.dump(info).encode()
            write_atomically(self.path / 'dataset.yaml', content)
            return info
        present = read_info(self.path)
        for key in ('part', 'intrinsics', 'depth_scale', 'source', 'seed'):
            ours, theirs = getattr(info, key), getattr(present, key)
            if ours != theirs:
                raise DatasetError(
                    f'{self.path} was made with {key} = {theirs}, not {ours}; '
                    'choose another folder, or the settings it was made with'
                )
        return present

    def _mended_records(self) -> dict[int, dict[str, Any]]:
        """A last line that was being written is cut off: the next one must not join it."""
        path = self.path / 'frames.jsonl'
        if path.exists():
            whole = len(whole_lines(path))
            if whole < path.stat().st_size:
                os.truncate(path, whole)
        return read_records(path, self._damaged.append)

    def _files_without_line(self) -> set[int]:
        """Frames whose lines were damaged: their files are not written over."""
        if not self._damaged:
            return set()
        return {int(f.stem) for f in (self.path / 'depth').glob('*.png') if f.stem.isdecimal()}

    @property
    def next_index(self) -> int:
        """The index that the next frame will have."""
        return max(self.indices, default=-1) + 1

    def append(
        self,
        depth: NDArray[np.uint16],
        labels: NDArray[np.uint8] | None = None,
        poses: NDArray[np.float32] | None = None,
        *,
        record: Mapping[str, Any] | None = None,
        index: int | None = None,
    ) -> int:
        """Store one frame and return its index.

        Args:
            depth: (H, W) uint16 in units of `info.depth_scale`, 0 unmeasured.
            labels: (H, W) uint8 instance ids, 0 background.
            poses: (N, 4, 4) float32 camera_T_part.
            record: what else the frame's line shall hold (stamp_ns, joint state, seed, ...).
            index: the frame's number; the next free one if None.

        Raises:
            DatasetError: the image has another size than the dataset's, or the index is taken.
            OSError: the disk is full or gone; frames stored before are unharmed.
        """
        size = (self.info.intrinsics.height, self.info.intrinsics.width)
        if depth.shape != size or depth.dtype != np.uint16:
            raise DatasetError(
                f'depth is {depth.shape} {depth.dtype}; {self.path} holds {size} uint16'
            )
        index = self.next_index if index is None else index
        if index in self.indices:
            raise DatasetError(f'{self.path} already has a frame {index}')
        encoded = encode_png(depth)
        write_atomically(self.path / 'depth' / f'{index:06d}.png', encoded)
        if labels is not None:
            write_atomically(self.path / 'labels' / f'{index:06d}.png', encode_png(labels))
        if poses is not None:
            content = io.BytesIO()
            np.save(content, poses.astype(np.float32))
            write_atomically(self.path / 'poses' / f'{index:06d}.npy', content.getvalue())
        line = {
            'index': index,
            'valid_fraction': round(float(np.count_nonzero(depth) / depth.size), 4),
            'sha256': sha256(encoded),
            **(record or {}),
        }
        self._append_line(json.dumps(line))
        self.indices.add(index)
        return index

    def _append_line(self, line: str) -> None:
        """Append a whole line or nothing: a partly written one is cut off again."""
        path = self.path / 'frames.jsonl'
        with open(path, 'ab') as file:
            start = file.tell()
            try:
                file.write(line.encode() + b'\n')
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(path, start)
                raise

    def write_splits(self, splits: Mapping[str, Sequence[int]], rule: str = '') -> None:
        """Store index lists by name, and in words the rule by which they were made."""
        content = yaml.safe_dump({'rule': rule, **{k: list(v) for k, v in splits.items()}})
        write_atomically(self.path / 'splits.yaml', content.encode())
