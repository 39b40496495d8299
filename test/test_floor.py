"""The floor's score, fit and frame say what `find_floor` documents, to the last point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flat_frame import FLOOR, flat
from numpy.typing import NDArray

from insegan_ros import floor
from insegan_ros.camera import Plane
from insegan_ros.floor import FloorConfig, FloorNotFoundError
from insegan_ros.types import DepthFrame

TILTED = Plane((0.36, -0.48, -0.8), 0.7)
CONFIG = FloorConfig()


def as_row(plane: Plane) -> NDArray[np.float64]:
    """(1, 4), as planes are searched."""
    return np.array([[*plane.normal, plane.offset]])


def points_on(plane: Plane, count: int, heights: NDArray | float = 0.0) -> NDArray[np.float64]:
    """(N, 3) points at heights above a plane, strewn over it."""
    rng = np.random.default_rng(0)
    origin, axes = floor.floor_frame(plane)
    flat_places = rng.uniform(-0.2, 0.2, (count, 2)) @ axes
    return origin + flat_places + np.outer(np.broadcast_to(heights, count), plane.normal)


@pytest.mark.parametrize('plane', [FLOOR, TILTED])
def test_the_floor_frame_lies_on_the_floor_and_keeps_the_images_x_axis(plane: Plane) -> None:
    origin, axes = floor.floor_frame(plane)
    normal = np.array(plane.normal)
    assert plane.heights(origin.astype(np.float32)) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(origin) == pytest.approx(plane.offset)  # nearest to the camera
    assert np.allclose(axes @ axes.T, np.eye(2))
    assert np.allclose(axes @ normal, 0)
    assert np.allclose(np.cross(axes[0], axes[1]), -normal)  # x, y and down are right-handed
    sideways = np.cross(normal, [1.0, 0, 0])
    assert axes[0] @ sideways == pytest.approx(0)
    assert axes[0, 0] > 0


def test_floor_coordinates_are_places_along_the_floor_and_the_height() -> None:
    points = points_on(TILTED, 5, np.arange(5) * 0.01).astype(np.float32)
    found = floor.floor_coordinates(points.reshape(1, 5, 3), TILTED)
    origin, axes = floor.floor_frame(TILTED)
    assert found.shape == (1, 5, 3)
    assert found.dtype == np.float32
    assert np.allclose(found[0, :, 2], np.arange(5) * 0.01, atol=1e-6)
    back = origin + found[0, :, :2] @ axes + np.outer(found[0, :, 2], TILTED.normal)
    assert np.allclose(back, points, atol=1e-6)


@pytest.mark.parametrize('off_m', [-0.006, 0.003])
def test_a_floor_that_moved_by_millimetres_is_levelled(off_m: float) -> None:
    moved = floor.levelled(flat(0.5 + off_m), FLOOR)
    assert moved.normal == FLOOR.normal
    assert moved.offset == pytest.approx(0.5 + off_m, abs=1e-5)


def test_a_floor_is_levelled_by_200_points_and_by_no_fewer() -> None:
    depth = np.full((60, 80), np.nan, np.float32)
    depth.ravel()[:200] = 0.503
    frame = replace(flat(0.5), depth_m=depth)
    assert floor.levelled(frame, FLOOR).offset == pytest.approx(0.503, abs=1e-5)
    depth.ravel()[0] = np.nan
    assert floor.levelled(frame, FLOOR) == FLOOR


def test_what_lies_beyond_the_levelled_range_does_not_move_the_floor() -> None:
    depth = flat(0.503).depth_m.copy()
    depth[:40] = 0.488  # parts, 12 mm high, most of the image
    moved = floor.levelled(replace(flat(0.5), depth_m=depth), FLOOR)
    assert moved.offset == pytest.approx(0.503, abs=1e-5)
    assert floor.levelled(flat(0.51), FLOOR) == FLOOR


def test_a_floors_score_is_that_of_its_formula() -> None:
    heights = np.concatenate([np.zeros(50), np.full(30, 0.02), np.full(20, -0.02)])
    sample = points_on(TILTED, 100, heights)
    near, under = np.full(100, 0.002), np.full(100, 0.005)
    few = FloorConfig(flying_share=0.05, below_weight=8.0)
    planes = np.concatenate([as_row(TILTED), as_row(replace(TILTED, offset=0.72))])
    scores = floor._floor_scores(planes, sample, near, under=under, config=few)
    # on it 50, below it 20, of which 5 are flying pixels; on the lower one 20, below it none
    assert scores.tolist() == [50 - 20 - 7 * (20 - 5), 20]


def test_points_count_as_on_and_below_by_their_own_noise() -> None:
    sample = points_on(FLOOR, 4, np.array([0.003, -0.003, -0.007, 0.0]))
    near, under = np.array([0.004, 0.002, 0.004, 0.002]), np.array([0.01, 0.005, 0.006, 0.005])
    score = floor._floor_scores(
        as_row(FLOOR), sample, near, under=under, config=FloorConfig(flying_share=1.0)
    )
    assert score.tolist() == [2 - 1]  # the first and the last lie on it, the third below it


def test_scores_of_many_planes_are_those_of_each_alone() -> None:
    sample = points_on(FLOOR, 200, np.random.default_rng(1).normal(0, 0.01, 200))
    near, under = np.full(200, 0.002), np.full(200, 0.005)
    planes = np.concatenate([as_row(replace(FLOOR, offset=0.48 + 0.001 * k)) for k in range(40)])
    how = {'under': under, 'config': CONFIG}
    together = floor._floor_scores(planes, sample, near, **how)
    alone = [floor._floor_scores(plane[None], sample, near, **how)[0] for plane in planes]
    assert together.tolist() == alone


def test_a_fit_goes_through_the_points_near_the_plane_and_ignores_the_rest() -> None:
    on_it, stray = points_on(TILTED, 60), points_on(TILTED, 40, 0.05)
    sample, near = np.concatenate([on_it, stray]), np.full(100, 0.02)
    guess = as_row(replace(TILTED, offset=0.709))
    found = floor._refit(guess, sample, near, sigma=np.full(100, 0.001), config=CONFIG)
    assert np.allclose(found, as_row(TILTED), atol=1e-9)


def test_a_fit_trusts_points_by_their_noise() -> None:
    sample = np.concatenate([points_on(FLOOR, 50), points_on(FLOOR, 50, 0.004)])
    sigma = np.repeat([0.001, 0.002], 50)  # weights 4 to 1
    found = floor._refit(as_row(FLOOR), sample, np.full(100, 0.02), sigma=sigma, config=CONFIG)
    assert found[0, 3] == pytest.approx(0.5 - 0.004 / 5, abs=1e-4)
    assert found[0, 2] == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize(('count', 'fitted'), [(9, False), (10, True)])
def test_a_plane_is_fitted_to_ten_points_and_to_no_fewer(count: int, fitted: bool) -> None:
    guess, sample = as_row(replace(FLOOR, offset=0.505)), points_on(FLOOR, count)
    how = {'sigma': np.full(count, 0.001), 'config': CONFIG}
    found = floor._refit(guess, sample, np.full(count, 0.01), **how)
    assert np.allclose(found, as_row(FLOOR) if fitted else guess)


def test_a_plane_stays_that_a_fit_would_make_too_steep() -> None:
    steep = Plane((np.sin(np.radians(70)), 0.0, -np.cos(np.radians(70))), 0.2)
    less = Plane((np.sin(np.radians(60)), 0.0, -np.cos(np.radians(60))), 0.2)
    sample, how = points_on(steep, 50), {'sigma': np.full(50, 0.001), 'config': CONFIG}
    found = floor._refit(as_row(less), sample, np.full(50, 1.0), **how)
    assert np.allclose(found, as_row(less))
    wider = replace(CONFIG, seen_tilt_degrees=75.0)
    found = floor._refit(as_row(less), sample, np.full(50, 1.0), **(how | {'config': wider}))
    assert np.allclose(found, as_row(steep), atol=1e-6)


def test_planes_face_the_camera_within_the_tilt_that_is_looked_at() -> None:
    tilts = np.radians([0, 64.9, 65.1, 90, 180])
    planes = np.stack([np.sin(tilts), 0 * tilts, -np.cos(tilts), 0.5 + 0 * tilts], axis=1)
    assert np.array_equal(floor._facing(planes, CONFIG), planes[:2])


@pytest.mark.parametrize(('measured', 'message'), [(499, 'only 499 of 4800 pixels'), (500, '')])
def test_500_measured_pixels_are_enough_for_a_floor(measured: int, message: str) -> None:
    depth = np.full((60, 80), np.nan, np.float32)
    depth.reshape(-1)[-measured:] = 0.5
    frame, rng = replace(flat(0.5), depth_m=depth), np.random.default_rng(0)
    if message:
        with pytest.raises(FloorNotFoundError, match=message):
            floor.find_floor(frame, rng)
    else:
        assert floor.find_floor(frame, rng).offset == pytest.approx(0.5, abs=1e-3)


def tilted_frame(degrees: float) -> DepthFrame:
    """A bare plane under a camera tilted by so much."""
    frame = flat(1.0)
    k, angle = frame.intrinsics, np.radians(degrees)
    rows = (np.arange(k.height) - k.cy) / k.fy
    depth = 0.5 / (np.cos(angle) + np.sin(angle) * rows)
    image = np.repeat(depth[:, None], k.width, axis=1).astype(np.float32)
    return replace(frame, depth_m=image)


@pytest.mark.parametrize(('most', 'found'), [(20.0, False), (40.0, True)])
def test_the_tilt_that_is_allowed_is_a_setting(most: float, found: bool) -> None:
    config = FloorConfig(max_tilt_degrees=most)
    if found:
        plane = floor.find_floor(tilted_frame(30), np.random.default_rng(0), config=config)
        assert plane.normal == pytest.approx(
            (0, -np.sin(np.radians(30)), -np.cos(np.radians(30))), abs=1e-4
        )
        assert plane.offset == pytest.approx(0.5, abs=1e-4)
    else:
        with pytest.raises(FloorNotFoundError, match=r'tilted by 30 degrees.*at most 20'):
            floor.find_floor(tilted_frame(30), np.random.default_rng(0), config=config)
