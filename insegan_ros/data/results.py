"""Segmentations as files: label images, single instances' depths, pictures, one JSON.

<folder>/labels/<frame>.png       16-bit, 0 background, k = instance k, best pick first
         depths/<frame>_<k>.png   16-bit depth of instance k, depth_scale metres a unit, 0 none
         overlays/<frame>.png     the frame in grey, its instances in colour
         grasp/<frame>.npz        where asked for: depth, K and segmap, as grasp networks take them
         result.json              settings; of every frame its instances, and whether to trust it
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import zlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from insegan_ros.data.depth_messages import suspicious_depth
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.replay import Replay
from insegan_ros.data.store import DatasetError, require_no_dataset, to_units
from insegan_ros.drawing import encode_png, found_picture
from insegan_ros.files import FolderClaim, write_atomically
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.trust import judged
from insegan_ros.types import DepthFrame, Segmentation, Segmenter

KINDS = ('labels', 'depths', 'overlays')
LONGEST_NAME = 230  # bytes of a frame's name; a file's name has at most 255


class ResultWriter:
    """Writes frame by frame; result.json lists all of them once it is closed."""

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        depth_scale: float,
        *,
        left_out: LeftOut | None = None,
        npz: bool = False,
    ) -> None:
        """Claim `path`, made if absent.

        Raises:
            DatasetError: it is a dataset, or already holds results, of an interrupted run too:
                they would mix.
            FolderInUseError: another process writes there.
        """
        self.path, self._depth_scale = path, depth_scale
        require_no_dataset(path)
        if (path / 'result.json').exists():
            raise DatasetError(f'{path} already holds results; remove them or name another folder')
        kinds = (*KINDS, 'grasp') if npz else KINDS
        for kind in kinds:
            if (path / kind).is_dir() and any((path / kind).iterdir()):
                raise DatasetError(
                    f'{path / kind} holds files of a run that did not end; remove them or name '
                    'another folder'
                )
        self._claim = FolderClaim(path)
        for kind in kinds:
            (path / kind).mkdir(exist_ok=True)
        self._left_out = LeftOut('frames') if left_out is None else left_out
        self._npz = npz
        self._settings = {**settings, 'depth_scale': depth_scale}
        self._frames: list[dict[str, Any]] = []

    def write(self, name: str, frame: DepthFrame, found: Segmentation, *, seconds: float) -> None:
        """Store one frame's segmentation under a file name without its ending.

        A name that is too long for its files is cut.
        """
        name = _cut(name)
        overlay = encode_png(found_picture(frame, found))
        write_atomically(self.path / 'labels' / f'{name}.png', encode_png(found.labels))
        write_atomically(self.path / 'overlays' / f'{name}.png', overlay)
        for k, depth in enumerate(found.depths, 1):
            units = encode_png(to_units(depth, self._depth_scale))
            write_atomically(self.path / 'depths' / f'{name}_{k}.png', units)
        if self._npz:
            write_atomically(self.path / 'grasp' / f'{name}.npz', grasp_file(frame, found))
        self._frames.append(
            {
                'frame': name,
                'milliseconds': round(1000 * seconds, 1),
                'verdict': found.verdict,
                'doubts': list(found.doubts or ()),
                'instances': [_instance(found, k) for k in range(found.count)],
            }
        )

    def write_failure(self, name: str, reason: str) -> None:
        """Note a frame of which nothing could be made."""
        self._frames.append({'frame': name, 'error': reason, 'instances': []})

    def close(self, complete: bool = True) -> None:
        """Write result.json, which lists all frames up to now and what was left out."""
        content = {
            'settings': self._settings,
            'complete': complete,
            'frames': self._frames,
            'left_out': self._left_out.reasons,
        }
        write_atomically(
            self.path / 'result.json', (json.dumps(content, indent=1) + '\n').encode()
        )
        self._claim.close()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(complete=kind is None)


def segment_frames(
    source: Replay,
    segmenter: Segmenter,
    writer: ResultWriter,
    *,
    limit: int | None,
    pose_seconds: float,
) -> tuple[int, int, int]:
    """Segment and write the first frames; a frame that cannot be is named and left out.

    Returns:
        How many frames were segmented, how many instances they show, how many frames there were.
    """
    count = len(source) if limit is None else min(limit, len(source))
    done, found, suspicion = 0, 0, None
    for item in tqdm(islice(source, count), total=count, unit='frame'):
        if suspicion is None and (suspicion := suspicious_depth(item.frame.depth_m)):
            tqdm.write(f'{item.name}: {suspicion}', file=sys.stderr)
        start = time.perf_counter()
        try:
            segmentation = segmenter.segment(item.frame, pose_seconds=pose_seconds)
            segmentation = judged(segmentation, item.frame, segmenter)
        except FloorNotFoundError as error:
            writer.write_failure(item.name, str(error))
            tqdm.write(f'{item.name}: {error}')
            continue
        except Exception as error:  # whatever a method cannot do with this frame
            writer.write_failure(item.name, f'{type(error).__name__}: {error}')
            source.left_out.add(f'frame {item.name}', f'{type(error).__name__}: {error}')
            continue
        seconds = time.perf_counter() - start
        writer.write(item.name, item.frame, segmentation, seconds=seconds)
        done, found = done + 1, found + segmentation.count
    return done, found, count


def _cut(name: str) -> str:
    """The name, or as much of it as leaves room for what is added, and a hash of all of it."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME:
        return name
    start = encoded[: LONGEST_NAME - 9].decode(errors='ignore')
    return f'{start}~{zlib.crc32(encoded):08x}'


def grasp_file(frame: DepthFrame, found: Segmentation) -> bytes:
    """An .npz of depth (H, W) float32 metres, 0 unmeasured; K (3, 3); segmap (H, W) uint16."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        depth=np.nan_to_num(frame.depth_m, nan=0.0),
        K=frame.intrinsics.matrix,
        segmap=found.labels,
    )
    return content.getvalue()


def _instance(found: Segmentation, k: int) -> dict[str, Any]:
    """Instance k + 1 for JSON: pose is camera_T_instance in metres, bbox x, y, width, height."""
    rows, columns = np.nonzero(found.masks[k])
    box = None
    if len(rows):
        x, y = int(columns.min()), int(rows.min())
        box = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]
    return {
        'label': k + 1,
        'score': round(float(found.scores[k]), 4),
        'visible_fraction': round(float(found.visible_fraction[k]), 4),
        'class_id': int(found.class_ids[k]),
        'pixels': len(rows),
        'bbox': box,
        'pose': np.round(found.poses[k].astype(float), 6).tolist(),
    }
