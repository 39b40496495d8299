"""Frames of a recording or a folder of images, appended to a dataset; known ones are not again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from insegan_ros.data.bags import Recording
from insegan_ros.data.depth_messages import suspicious_depth
from insegan_ros.data.images import ImageFolder
from insegan_ros.data.replay import Replay, Replayed
from insegan_ros.data.store import DatasetError, DatasetInfo, read_info, sha256, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.drawing import encode_png
from insegan_ros.types import DepthFrame, Intrinsics

SAMPLED = 3  # frames that are looked at before anything is written
SCALES = (0.0001, 0.0002, 0.0005, 0.001)  # metres a unit, the finest that reaches far enough
REACH = 1.25  # times the farthest depth of the sampled frames
DETAIL = 0.02  # units: what is farther from a whole unit is detail
FAR_M = 4.0  # cameras above a bin are nearer


@dataclass(frozen=True)
class ImportRequest:
    """What is asked for besides the recording itself."""

    out: Path
    part: str
    instances: int | None = None
    every: int = 1  # keep one frame in so many
    camera: int = 1  # which of the recording's cameras, where it changes
    depth_scale: float | None = None  # metres a unit, as stored; None: what keeps all detail
    trusted: bool = False  # the unit was given: implausible depths are a warning
    source: str | None = None  # of the dataset; None: what the frames were


@dataclass(frozen=True)
class Imported:
    """How many frames an import added, and how many there are."""

    added: int
    known: int  # were in the dataset already
    total: int  # in the dataset now
    warning: str | None = None  # in words


def import_all(replay: Replay, request: ImportRequest, say: Callable[[str], object]) -> Imported:
    """`import_frames` with a progress bar, and with what is to be said of the source."""
    done = Imported(0, 0, 0)
    with tqdm(total=len(replay), unit='frame') as bar:
        for done in import_frames(replay, request, say):  # noqa: B007 the last is returned
            bar.update()
        for text in [*replay.notes, *replay.skipped]:
            say(text)
    return done


def import_frames(
    replay: Replay, request: ImportRequest, say: Callable[[str], object]
) -> Iterator[Imported]:
    """Append what is not there yet; yields the counts after each frame.

    Raises:
        DatasetError: no frame can be used, depths are in another unit than is said, or the folder
            holds something else.
        OSError: the disk is full or gone; the frames stored before are unharmed.
    """
    if not isinstance(replay.source, Recording | ImageFolder):
        raise DatasetError(f'{replay.path} is a dataset already')
    frames = iter(replay)
    first = list(islice(frames, SAMPLED))
    if not first:
        reasons = '; '.join([*replay.skipped[:3], *replay.notes[:3]])
        raise DatasetError(f'{replay.path}: none of {len(replay)} images can be used: {reasons}')
    _check_unit([item.frame for item in first], request, say)
    selected = _of_camera(chain(first, frames), request.camera, replay)
    opening = next(selected, None)
    if opening is None:
        raise DatasetError(f'{replay.path} has no camera number {request.camera}')
    own = 'recording' if isinstance(replay.source, Recording) else 'images'
    info = DatasetInfo(
        part=request.part,
        intrinsics=opening.frame.intrinsics,
        source=request.source or own,
        instances=request.instances,
        depth_scale=_stored_scale([item.frame for item in first], replay, request, say=say),
    )
    with DatasetWriter(request.out, info) as writer:
        keys = _Keys(replay, writer.records.values())
        added = known = 0
        for position, item in enumerate(chain([opening], selected)):
            units = to_units(item.frame.depth_m, info.depth_scale)
            is_known, record = keys.of(item, units)
            if position % request.every == 0:
                if is_known:
                    known += 1
                else:
                    writer.append(units, record=record)
                    added += 1
            yield Imported(added, known, len(writer.records) + added)


def _of_camera(items: Iterable[Replayed], number: int, replay: Replay) -> Iterator[Replayed]:
    """A dataset has one camera: where that of a recording changes, the others are left out."""
    cameras: list[Intrinsics] = []
    for item in items:
        camera = item.frame.intrinsics
        if camera not in cameras:
            cameras.append(camera)
        found = cameras.index(camera) + 1
        if found == number:
            yield item
        else:
            replay.left_out.add(
                f'frame {item.name}',
                f'its camera ({camera.width} x {camera.height} px, fx {camera.fx:g}) is number '
                f'{found} of the recording; import it to a folder of its own, --camera {found}',
            )


def _check_unit(
    frames: list[DepthFrame], request: ImportRequest, say: Callable[[str], object]
) -> None:
    measured = np.concatenate([f.depth_m[np.isfinite(f.depth_m)] for f in frames])
    if not len(measured):
        say('no pixel of the first frames is measured')
        return
    reason = suspicious_depth(measured)
    if reason is None and np.median(measured) > FAR_M:
        reason = (
            f'the median depth is {np.median(measured):.1f} m, far for a bin: does the camera '
            'count in units of 0.1 mm?'
        )
        say(f'{reason} --depth-scale says how many metres a unit is')
    elif reason is not None:
        hint = '--depth-scale (16-bit images) and --float-scale (floats) say metres a unit'
        if not request.trusted:
            raise DatasetError(f'{reason} {hint}')
        say(f'{reason} {hint}')


def _stored_scale(
    frames: list[DepthFrame],
    replay: Replay,
    request: ImportRequest,
    *,
    say: Callable[[str], object],
) -> float:
    """What was asked for, what the folder has, or what keeps the detail of the frames."""
    measured = np.concatenate([f.depth_m[np.isfinite(f.depth_m)] for f in frames]).astype(float)
    scale = replay.depth_scale
    if request.depth_scale is not None:
        scale = request.depth_scale
    elif (request.out / 'dataset.yaml').exists():
        scale = read_info(request.out).depth_scale
    elif _has_detail(measured, scale):
        far = REACH * np.percentile(measured, 99.9)
        scale = next((s for s in SCALES if s * 65535 >= far), max(scale, far / 65535))
    if _has_detail(measured, scale) and scale > SCALES[0]:
        say(f'depth is stored in steps of {scale * 1000:g} mm; --depth-scale chooses others')
    beyond = float(np.mean(measured > scale * 65535)) if len(measured) else 0.0
    if beyond > 0.01:
        say(f'{beyond:.0%} of the depths lie beyond {scale * 65535:.2f} m and are not stored')
    return float(scale)


def _has_detail(measured: np.ndarray, scale: float) -> bool:
    if not len(measured):
        return False
    units = measured / scale
    return bool(np.mean(np.abs(units - np.rint(units)) > DETAIL) > 0.01)


class _Keys:
    """Recorded frames are known by recording and stamp, image files by name and content."""

    def __init__(self, replay: Replay, records: Iterable[dict[str, Any]]) -> None:
        source = replay.source
        self._recording = source if isinstance(source, Recording) else None
        self._name = replay.path.resolve().name
        self._seen: Counter[int] = Counter()
        self._known = {self._key(record) for record in records}

    @staticmethod
    def _key(record: dict[str, Any]) -> tuple[Any, ...]:
        if 'file' in record:
            return str(record['file']), record.get('sha256')
        return str(record.get('recording_id')), record.get('stamp_ns'), record.get('repeat', 0)

    def of(self, item: Replayed, units: np.ndarray) -> tuple[bool, dict[str, Any]]:
        """Whether the frame is in the dataset, and what its line shall hold."""
        record: dict[str, Any] = {'recording': self._name}
        if self._recording is None:
            record['file'] = item.name
            return (item.name, sha256(encode_png(units))) in self._known, record
        stamp = item.frame.stamp_ns
        repeat = self._seen[stamp]
        self._seen[stamp] += 1
        record |= {'stamp_ns': stamp, 'recording_id': self._recording.identity}
        if repeat:
            record['repeat'] = repeat
        return self._key(record) in self._known, record
