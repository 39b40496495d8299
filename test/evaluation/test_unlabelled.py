"""A segmenter is judged without labels by what it explains and whether it repeats itself."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.camera import Plane, height_map
from insegan_ros.evaluation.unlabelled import judge_unlabelled, mirror, mutual_iou
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(90, 60, 400.0, 400.0, 40.0, 30.0)
BIN = Bin(Plane((0.0, 0.0, -1.0), 0.5), (5, 5, 70, 50))


def scene() -> DepthFrame:
    """Two boxes, 30 mm high, on a floor at 500 mm."""
    depth = np.full((60, 90), 0.5, np.float32)
    depth[10:25, 10:30] = depth[30:50, 40:55] = 0.47
    return DepthFrame(depth, CAMERA)


def truth(frame: DepthFrame, parts_bin: Bin) -> np.ndarray:
    from scipy import ndimage

    return ndimage.label(height_map(frame, parts_bin.floor) > 0.015)[0]


def halves(frame: DepthFrame, parts_bin: Bin) -> np.ndarray:
    """Each box cut in two, and nearer to the left border: another cut in a mirrored frame."""
    labels = truth(frame, parts_bin)
    columns = np.arange(labels.shape[1])[None]
    first = np.where(labels == 0, 999, columns).min(axis=1, keepdims=True)
    return np.where(labels > 0, 2 * labels + (columns < first + 5), 0)


def one(frame: DepthFrame, parts_bin: Bin) -> np.ndarray:
    labels = truth(frame, parts_bin)
    return np.where(labels == 1, 1, 0)


def test_a_segmenter_that_is_right_and_repeats_itself_is_worth_most() -> None:
    rng = np.random.default_rng(0)
    judged = {f.__name__: judge_unlabelled(f, [(scene(), BIN)], rng) for f in (truth, halves, one)}
    assert judged['truth'].worth > 0.97
    assert judged['truth'].instances == 2
    assert judged['halves'].explained == 1
    assert judged['halves'].agreement < 0.9
    assert judged['one'].explained == pytest.approx(0.5)
    assert judged['one'].worth < 0.6
    nothing = judge_unlabelled(lambda f, _: np.zeros(f.depth_m.shape, int), [(scene(), BIN)], rng)
    assert nothing.worth == 0
    with pytest.raises(ValueError, match='at least one'):
        judge_unlabelled(truth, [], rng)


def test_a_mirrored_scene_shows_the_same_parts_mirrored() -> None:
    corners = ((-0.03, -0.02, 0.5), (0.05, -0.02, 0.5), (0.05, 0.02, 0.5), (-0.03, 0.02, 0.5))
    tilted = Bin(Plane((0.1, 0.0, -float(np.sqrt(0.99))), 0.5), BIN.region, corners)
    frame = scene()
    turned = mirror(frame, tilted)
    same = foreground(*turned)[:, ::-1] == foreground(frame, tilted)
    assert same.mean() > 0.999  # but for rounding at the walls
    again, its_bin = mirror(*turned)
    assert np.array_equal(again.depth_m, frame.depth_m)
    assert its_bin == tilted


def test_labellings_agree_whatever_their_numbers() -> None:
    labels = truth(scene(), BIN)
    assert mutual_iou(labels, np.where(labels > 0, 3 - labels, 0)) == 1
    assert mutual_iou(labels, np.zeros_like(labels)) == 0
    assert mutual_iou(np.zeros_like(labels), np.zeros_like(labels)) == 1
