"""A frame is doubtful where its own signs speak against what was found in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from insegan_ros.camera import Plane, segmentation_from_labels
from insegan_ros.drawing import WARNING, found_picture
from insegan_ros.parts_bin import Bin
from insegan_ros.trust import judged
from insegan_ros.types import DepthFrame, Intrinsics, Segmentation
from insegan_ros.view_limits import LimitedSegmenter, ViewLimits

CAMERA = Intrinsics(160, 120, 400.0, 400.0, 79.5, 59.5)
LENGTH_M = 0.03
LEVEL = Bin(Plane((0.0, 0.0, -1.0), 0.5))
BOXES = [(20, 20), (20, 70), (60, 20), (60, 70)]  # rows and columns, 24 x 24 px: 29 mm


@dataclass
class Told:
    """A segmenter that knows where the bin is, and the part's length."""

    parts_bin: Bin | None = LEVEL
    part_length_m: float | None = LENGTH_M
    misfit: float | None = None

    def segment(self, frame: DepthFrame, **_: float) -> Segmentation:
        return found_in(frame, len(BOXES))


def scene(size: int = 24) -> DepthFrame:
    depth = np.full((120, 160), 0.5, np.float32)
    for y, x in BOXES:
        depth[y : y + size, x : x + size] = 0.48
    return DepthFrame(depth, CAMERA)


def found_in(frame: DepthFrame, count: int, *, size: int = 24) -> Segmentation:
    labels = np.zeros(frame.depth_m.shape, np.int32)
    for k, (y, x) in enumerate(BOXES[:count], 1):
        labels[y : y + size, x : x + size] = k
    return segmentation_from_labels(frame, labels, np.full(count, 0.9))


def doubts(found: Segmentation, frame: DepthFrame, told: Told | LimitedSegmenter) -> str:
    return '; '.join(judged(found, frame, told).doubts or ())


def test_what_explains_the_frame_is_trusted() -> None:
    frame = scene()
    found = found_in(frame, 4)
    assert found.verdict == 'not judged'
    assert judged(found, frame, Told()).verdict == 'trusted'
    assert judged(found, frame, Told(parts_bin=None)).verdict == 'not judged'
    empty = DepthFrame(np.full((120, 160), 0.5, np.float32), CAMERA)
    assert judged(found_in(empty, 0), empty, Told()).verdict == 'trusted'


def test_each_sign_raises_its_doubt() -> None:
    frame = scene()
    found = found_in(frame, 4)
    assert '50% of what stands in the bin' in doubts(found_in(frame, 2), frame, Told())
    assert '0% of what stands' in doubts(found_in(frame, 0), frame, Told())
    unsure = replace(found, scores=np.full(4, 0.3, np.float32))
    assert 'score of 0.30' in doubts(unsure, frame, Told())
    rendered = replace(found, rendered_depth=found.rendered_depth - 0.01)
    assert 'renderings differ' in doubts(rendered, frame, Told())
    assert '1.99 times as long' in doubts(found, frame, Told(part_length_m=0.0145))
    tilted = Told(Bin(Plane((0.0, -0.6, -0.8), 0.5)))
    assert 'tilted by 37 degrees' in doubts(found, frame, tilted)
    sunk = Told(Bin(Plane((0.0, 0.0, -1.0), 0.47)))
    assert 'lies under the floor' in doubts(found, frame, sunk)
    assert 'lies on the floor' in doubts(found, frame, sunk)


def test_a_template_that_fits_badly_is_the_wrong_model() -> None:
    frame = scene()
    found = found_in(frame, 4)
    assert doubts(found, frame, Told(misfit=1.1)) == ''
    assert '1.6 times as badly as usual' in doubts(found, frame, Told(misfit=1.6))


def test_the_lowest_parts_of_a_heap_are_no_floor() -> None:
    rows, columns = np.mgrid[:120, :160]
    slopes = 0.5 - 0.03 * (np.sin(rows / 4) * np.sin(columns / 4) + 1).astype(np.float32)
    heap = DepthFrame(slopes.astype(np.float32), CAMERA)
    assert 'no plane' in doubts(found_in(heap, 0), heap, Told(part_length_m=None))
    # thin parts lie just above a floor that is seen between them
    depth = np.full((120, 160), 0.5, np.float32)
    for k in range(0, 120, 20):
        depth[k : k + 12] = 0.4975
    thin = DepthFrame(depth, CAMERA)
    assert 'no plane' not in doubts(found_in(thin, 0), thin, Told(part_length_m=None))


def test_instances_of_several_sizes_are_doubtful() -> None:
    labels = np.zeros((120, 160), np.int32)
    for k, (place, size) in enumerate(zip(BOXES, (8, 40, 8, 40)), 1):
        labels[place[0] : place[0] + size, place[1] : place[1] + size] = k
    depth = np.where(labels > 0, np.float32(0.48), np.float32(0.5))
    frame = DepthFrame(depth, CAMERA)
    found = segmentation_from_labels(frame, labels, np.full(4, 0.9))
    assert 'too much in length' in doubts(found, frame, Told())


def test_what_the_segmenter_does_not_look_at_raises_no_doubt() -> None:
    frame = scene()
    looks = LimitedSegmenter(Told(), ViewLimits(region=(0, 0, 160, 50)))
    assert doubts(found_in(frame, 2), frame, looks) == ''


def test_the_overlay_of_a_doubtful_frame_is_framed() -> None:
    frame = scene()
    found = judged(found_in(frame, 4), frame, Told())
    assert not (found_picture(frame, found)[0, 0] == WARNING).all()
    doubtful = replace(found, doubts=('nothing fits',))
    assert (found_picture(frame, doubtful)[0, 0] == WARNING).all()


@pytest.mark.parametrize('count', [0, 1, 4])
def test_the_best_instances_keep_the_verdict(count: int) -> None:
    frame = scene()
    found = replace(found_in(frame, 4), doubts=('why',))
    assert found.best(count).verdict == 'doubtful'
