"""Points, heights and the straight-down view agree with one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insegan_ros.camera import (
    Plane,
    TopDownView,
    height_map,
    points_from_depth,
    segmentation_from_labels,
)
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(80, 60, 70.0, 72.0, 40.5, 29.0)


def tilted_floor(degrees_x: float, degrees_y: float, distance: float) -> Plane:
    x, y = np.radians([degrees_x, degrees_y])
    normal = np.array([np.sin(y), np.sin(x), -np.cos(x) * np.cos(y)])
    return Plane(tuple((normal / np.linalg.norm(normal)).tolist()), distance)


def seen(floor: Plane) -> DepthFrame:
    """The bare floor as the camera sees it."""
    rays = points_from_depth(np.ones((60, 80), np.float32), CAMERA)
    depth = -floor.offset / (rays @ np.asarray(floor.normal))
    return DepthFrame(depth.astype(np.float32), CAMERA)


tilts = st.floats(-25, 25)


@settings(max_examples=40, deadline=None)
@given(tilts, tilts, st.floats(0.2, 1.5))
def test_a_floor_has_height_zero_and_constant_depth_seen_from_above(
    x: float, y: float, distance: float
) -> None:
    floor = tilted_floor(x, y, distance)
    frame = seen(floor)
    np.testing.assert_allclose(height_map(frame, floor), 0, atol=1e-4)
    rectified = TopDownView.of(CAMERA, floor).rectify(frame).depth_m
    assert np.isfinite(rectified).mean() > 0.4
    np.testing.assert_allclose(rectified[np.isfinite(rectified)], distance, atol=1e-4)


def test_points_project_back_to_their_pixels() -> None:
    depth = np.random.default_rng(0).uniform(0.3, 1, (60, 80)).astype(np.float32)
    points = points_from_depth(depth, CAMERA)
    pixels = points @ CAMERA.matrix.T
    v, u = np.mgrid[:60, :80]
    np.testing.assert_allclose(pixels[..., 0] / pixels[..., 2], u, atol=1e-3)
    np.testing.assert_allclose(pixels[..., 1] / pixels[..., 2], v, atol=1e-3)


def test_a_pixel_unmeasured_has_no_height() -> None:
    depth = np.full((60, 80), 0.5, np.float32)
    depth[3, 4] = np.nan
    heights = height_map(DepthFrame(depth, CAMERA), Plane((0.0, 0.0, -1.0), 0.6))
    assert np.isnan(heights[3, 4])
    np.testing.assert_allclose(heights[0, 0], 0.1, atol=1e-6)


def test_labels_survive_the_way_to_the_view_and_back() -> None:
    floor = tilted_floor(20, 10, 0.6)
    view = TopDownView.of(CAMERA, floor)
    labels = np.zeros((60, 80), np.uint8)
    labels[15:40, 20:60] = 3
    there = TopDownView(view.intrinsics, CAMERA, np.asarray(view.rotation).T.tolist())
    back = view.restore(there.restore(labels, 0), 0)
    assert (back == labels).mean() > 0.97


def test_a_tilted_floor_is_level_in_the_view() -> None:
    floor = tilted_floor(15, -10, 0.6)
    depth = TopDownView.of(CAMERA, floor).rectify(seen(floor)).depth_m
    assert np.isfinite(depth).mean() > 0.7
    assert np.abs(depth - 0.6)[np.isfinite(depth)].max() < 0.005


def labelled() -> tuple[DepthFrame, np.ndarray]:
    depth = np.full((60, 80), 0.6, np.float32)
    labels = np.zeros((60, 80), np.int32)
    for k, (x, near) in {7: (5, 0.55), 2: (50, 0.45)}.items():
        depth[20:30, x : x + 20] = near
        labels[20:30, x : x + 20] = k
    return DepthFrame(depth, CAMERA, 5, 'optical'), labels


def test_the_nearest_instance_comes_first_and_ids_become_consecutive() -> None:
    frame, labels = labelled()
    found = segmentation_from_labels(frame, labels)
    assert found.count == 2
    np.testing.assert_array_equal(found.labels == 1, labels == 2)
    np.testing.assert_array_equal(found.labels == 2, labels == 7)
    assert found.scores[0] == 1 > found.scores[1]
    np.testing.assert_array_equal(found.masks[0], found.labels == 1)
    np.testing.assert_allclose(found.poses[0, 2, 3], 0.45, atol=1e-6)


def test_the_first_axis_of_a_pose_lies_along_the_part() -> None:
    found = segmentation_from_labels(*labelled())
    np.testing.assert_allclose(np.abs(found.poses[0, :3, 0]), [1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(np.linalg.det(found.poses[:, :3, :3]), 1, atol=1e-5)


def test_no_labels_give_no_instances() -> None:
    frame, labels = labelled()
    empty = segmentation_from_labels(frame, labels * 0)
    assert empty.count == 0
    assert empty.masks.shape == (0, 60, 80)
    assert empty.poses.shape == (0, 4, 4)
    assert not empty.labels.any()


@pytest.mark.parametrize('bad', [{'fx': 0.0}, {'width': 0}, {'cy': float('nan')}])
def test_impossible_intrinsics_are_refused(bad: dict) -> None:
    good = {'width': 4, 'height': 4, 'fx': 1.0, 'fy': 1.0, 'cx': 2.0, 'cy': 2.0}
    with pytest.raises(ValueError, match=r'must be|at least'):
        Intrinsics(**(good | bad))
