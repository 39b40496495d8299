"""Every classical method separates what is plainly apart and survives what is not."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from insegan_ros import baselines
from insegan_ros.baselines.pixels import estimate_count, part_pixels
from insegan_ros.camera import Plane
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(120, 100, 200.0, 200.0, 60.0, 50.0)
BIN = Bin(Plane((0.0, 0.0, -1.0), 0.5))

# PyMaxflow has no wheel for every Python
NAMES = [n for n in baselines.METHODS if n != 'graph_cut' or importlib.util.find_spec('maxflow')]


def boxes(count: int, noise: float = 0.0) -> tuple[DepthFrame, np.ndarray]:
    """Boxes of 20 x 16 px, 20 to 40 mm high, apart from one another on a floor."""
    rng = np.random.default_rng(count)
    depth = np.full((100, 120), 0.5, np.float32)
    labels = np.zeros((100, 120), np.int32)
    for k in range(count):
        y, x = 8 + 30 * (k // 4), 6 + 28 * (k % 4)
        depth[y : y + 16, x : x + 20] -= rng.uniform(0.02, 0.04)
        labels[y : y + 16, x : x + 20] = k + 1
    depth += rng.normal(0, noise, depth.shape).astype(np.float32)
    return DepthFrame(depth.astype(np.float32), CAMERA), labels


@pytest.mark.parametrize('name', NAMES)
def test_boxes_that_stand_apart_are_separated(name: str) -> None:
    frame, labels = boxes(6, noise=0.0004)
    found = baselines.make(name, instances=6, parts_bin=BIN).segment(frame)
    assert strict_miou(found.labels, labels) > 0.8
    assert found.masks.shape == (found.count, 100, 120)


@pytest.mark.parametrize('name', NAMES)
def test_the_same_frame_gives_the_same_labels(name: str) -> None:
    method = baselines.make(name, instances=5, parts_bin=BIN)
    first = method.segment(boxes(5)[0])
    method.segment(boxes(3)[0])
    np.testing.assert_array_equal(first.labels, method.segment(boxes(5)[0]).labels)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('instances', [None, 5])
def test_an_empty_bin_has_no_instances(name: str, instances: int | None) -> None:
    found = baselines.make(name, instances, parts_bin=BIN).segment(boxes(0)[0])
    assert found.count == 0
    assert not found.labels.any()


@pytest.mark.parametrize('name', NAMES)
def test_one_part_and_holes_do_no_harm(name: str) -> None:
    frame, labels = boxes(1)
    frame.depth_m[10:14, :] = np.nan
    for instances in (None, 1, 4):
        found = baselines.make(name, instances, parts_bin=BIN).segment(frame)
        assert found.count >= 1
        assert not found.labels[labels == 0].any()


@pytest.mark.parametrize('count', [1, 3, 8])
def test_the_count_of_parts_that_stand_apart_is_right(count: int) -> None:
    frame, _ = boxes(count, noise=0.0003)
    mask = foreground(frame, BIN)
    assert estimate_count(part_pixels(frame, BIN, mask, window=np.s_[0:100, 0:120])) == count


def test_an_unknown_method_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown method 'kmean'; valid: kmeans, spectral"):
        baselines.make('kmean')


def test_a_count_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match='instances is -1'):
        baselines.make('kmeans', instances=-1)
