"""Where a bin is found in frames without noise, drawn from its measures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from insegan_ros import bin_finding
from insegan_ros.bin_finding import find_bin
from insegan_ros.camera import Plane, pixel_rays
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.parts_bin import Bin, FindingConfig, PartLimits
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(160, 120, 170.0, 170.0, 79.5, 59.5)
PIXEL_M = 0.5 / 170
FLOOR = Plane((0.0, 0.0, -1.0), 0.5)
TILT = np.array([[1, 0, 0], [0, np.cos(0.15), -np.sin(0.15)], [0, np.sin(0.15), np.cos(0.15)]])


@dataclass(frozen=True)
class Drawn:
    """A bin under the camera, whose foot lies in it; its floor is half a metre below. Metres."""

    half: tuple[float, float] = (0.08, 0.055)  # of the floor's sides
    middle: tuple[float, float] = (0.0, 0.0)
    degrees: float = 0.0  # by which it is turned
    wall_m: float = 0.04  # its height
    thick_m: float = 0.012
    table: bool = True  # is seen around it

    @property
    def corners(self) -> np.ndarray:
        """(4, 3)."""
        signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        c, s = np.cos(np.radians(self.degrees)), np.sin(np.radians(self.degrees))
        flat = signs * self.half @ np.array([[c, s], [-s, c]]) + self.middle
        return np.column_stack([flat, np.full(4, 0.5)])

    def frame(self, turned: np.ndarray | None = None) -> DepthFrame:
        """What a camera sees of it: floor, rim, the walls' inner faces, and what is around."""
        c, s = np.cos(np.radians(self.degrees)), np.sin(np.radians(self.degrees))
        turn = np.array([[c, -s], [s, c]])
        sight = pixel_rays(CAMERA).astype(float)
        sight = sight if turned is None else sight @ turned.T
        rays, middle = sight[..., :2] / sight[..., 2:] @ turn, self.middle @ turn
        with np.errstate(divide='ignore'):
            faces = (middle + np.sign(rays) * self.half) / rays  # where a ray meets each wall
        within = np.minimum(faces.min(axis=-1), 0.5)
        top = 0.5 - self.wall_m
        over_rim = (np.abs(rays * top - middle) < np.add(self.half, self.thick_m)).all(axis=-1)
        around = 0.5 if self.table else np.nan
        depth = np.where(within > top, within, np.where(over_rim, top, around))
        return DepthFrame((depth / sight[..., 2]).astype(np.float32), CAMERA)


def found_in(frame: DepthFrame, **changed: object) -> Bin:
    config = replace(FindingConfig(), **changed)
    return find_bin(frame, np.random.default_rng(0), FLOOR, config=config)


def error_m(found: Bin, drawn: Drawn) -> float:
    """The greatest distance of a corner from its own."""
    assert found.corners is not None
    apart = np.linalg.norm(np.asarray(found.corners)[:, None] - drawn.corners, axis=-1)
    assert sorted(apart.argmin(axis=1)) == [0, 1, 2, 3]
    return float(apart.min(axis=1).max())


@pytest.mark.parametrize('degrees', [0, 12, 45, -30])
@pytest.mark.parametrize('middle', [(0.0, 0.0), (0.02, -0.015)])
@pytest.mark.parametrize('table', [True, False])
def test_the_floor_ends_at_the_walls_feet(
    degrees: float, middle: tuple[float, float], table: bool
) -> None:
    drawn = Drawn(degrees=degrees, middle=middle, table=table)
    found = found_in(drawn.frame())
    assert error_m(found, drawn) < 1.5 * PIXEL_M
    assert found.floor == FLOOR
    x, y, width, height = found.region or (0, 0, 0, 0)
    solid = np.concatenate([drawn.corners, drawn.corners - [0, 0, drawn.wall_m]])
    pixels = solid[:, :2] / solid[:, 2:] * 170 + [79.5, 59.5]
    assert np.allclose([x, y], pixels.min(axis=0), atol=2.5)
    assert np.allclose([x + width - 1, y + height - 1], pixels.max(axis=0), atol=2.5)


def test_a_tilted_camera_finds_the_same_bin() -> None:
    drawn = Drawn(half=(0.06, 0.055), middle=(0.01, -0.045))
    tilted = Plane(tuple((TILT.T @ [0, 0, -1.0]).tolist()), 0.5)
    found = find_bin(drawn.frame(TILT), np.random.default_rng(0), tilted)
    seen = replace(found, corners=tuple(map(tuple, np.asarray(found.corners) @ TILT.T)))
    assert error_m(seen, drawn) < 2.5 * PIXEL_M


@pytest.mark.parametrize('side', ['left', 'right', 'near', 'far'])
def test_where_parts_hide_the_floor_before_a_wall_the_rim_shows_how_far_it_goes(side: str) -> None:
    drawn = Drawn(degrees=7, table=False)
    frame = drawn.frame()
    rows, columns = np.nonzero(frame.depth_m > 0.499)  # of the floor
    along = columns if side in ('left', 'right') else rows
    near = along < along.min() + 12 if side in ('left', 'far') else along > along.max() - 12
    frame.depth_m[rows[near], columns[near]] = 0.475
    assert error_m(found_in(frame), drawn) < 2.5 * PIXEL_M


def test_a_bin_is_turned_as_its_rim_is_whatever_parts_leave_of_its_floor() -> None:
    drawn = Drawn(degrees=5, table=False)
    frame = drawn.frame()
    rows, columns = np.nonzero(frame.depth_m > 0.499)
    heap = np.abs((rows - 59.5) / 19 - (columns - 79.5) / 27) > 0.35  # but a band across it
    frame.depth_m[rows[heap], columns[heap]] = 0.475
    assert error_m(found_in(frame), drawn) < 4 * PIXEL_M


def test_all_that_is_seen_is_inside_where_no_walls_are() -> None:
    depth = np.full((120, 160), 0.5, np.float32)
    depth[:, :10] = np.nan
    depth[110:] = np.nan
    for row, column in ((20, 40), (60, 90), (80, 30), (30, 120)):
        depth[row : row + 12, column : column + 12] = 0.48
    found = found_in(DepthFrame(depth, CAMERA))
    assert np.allclose(found.region or (), (10, 0, 150, 110), atol=3)
    assert found.corners is not None
    assert np.asarray(found.corners)[:, 0].min() == pytest.approx((10 - 79.5) * PIXEL_M, abs=0.003)
    assert np.asarray(found.corners)[:, 1].max() == pytest.approx(
        (109 - 59.5) * PIXEL_M, abs=0.003
    )


def test_an_empty_table_is_a_bin_whose_walls_do_not_open() -> None:
    noise = np.random.default_rng(0).normal(0, 0.001, (120, 160))
    found = found_in(DepthFrame((0.5 + noise).astype(np.float32), CAMERA))
    assert found.opening in (None, (0.0, 0.0, 0.0, 0.0))


def ring_of_parts(around: float, hole: float) -> DepthFrame:
    """A square of parts on a table, with a square hole of floor in its middle; half sides in m."""
    rays = pixel_rays(CAMERA)[..., :2] * 0.5
    far = np.abs(rays).max(axis=-1)
    depth = np.full((120, 160), 0.5, np.float32)
    depth[(far < around) & (far > hole)] = 0.46
    return DepthFrame(depth, CAMERA)


def test_a_part_with_a_hole_is_no_bin() -> None:
    held, pierced = ring_of_parts(0.08, 0.07), ring_of_parts(0.08, 0.012)
    rest = [found_in(frame).region for frame in (held, pierced)]
    assert rest[1] == (0, 0, 160, 120)
    assert rest[0] is not None
    assert rest[0][2] < 70


@pytest.mark.parametrize(
    'shape', ['box', 'turned box', 'notched box', 'disc', 'nothing', 'unknown']
)
def test_a_bin_fills_a_quadrangle(shape: str) -> None:
    across = np.moveaxis(np.indices((120, 120)) - 59.5, 0, -1) @ (
        [[0.8, -0.6], [0.6, 0.8]] if shape == 'turned box' else np.eye(2)
    )
    area = (np.abs(across) < (40, 25)).all(axis=-1)
    if shape == 'notched box':  # its corners are there
        area &= (np.abs(across[..., 1]) < 12) | (np.abs(across[..., 0]) > 20)
    if shape == 'disc':
        area = np.linalg.norm(across, axis=-1) < 40
    if shape == 'nothing':
        area[:] = False
    places = np.where(shape == 'unknown', np.nan, across / 1000).astype(np.float32)
    boxes = ('box', 'turned box')
    assert bin_finding._is_box(area, places, FindingConfig()) == (shape in boxes)


def test_parts_that_stand_in_a_circle_are_no_bin() -> None:
    rays = pixel_rays(CAMERA)[..., :2] * 0.5
    far = np.linalg.norm(rays, axis=-1)
    depth = np.full((120, 160), 0.5, np.float32)
    depth[(far < 0.1) & (far > 0.085)] = 0.46
    assert found_in(DepthFrame(depth, CAMERA)).region == (0, 0, 160, 120)


def test_a_bin_whose_walls_the_image_cuts_is_found_from_within() -> None:
    drawn = Drawn(half=(0.2, 0.15), wall_m=0.06, thick_m=0.3)
    columns = np.nonzero(drawn.frame().depth_m > 0.499)[1]
    assert 5 < columns.min() < columns.max() < 155
    assert error_m(found_in(drawn.frame()), drawn) < 1.5 * PIXEL_M


def test_parts_that_stand_in_the_bin_do_not_cut_it_in_two() -> None:
    drawn = Drawn()
    frame = drawn.frame()
    frame.depth_m[48:72, 76:84] = 0.462
    assert error_m(found_in(frame), drawn) < 1.5 * PIXEL_M


def test_where_hardly_any_floor_is_seen_the_window_is_all_that_is_measured() -> None:
    limits = replace(PartLimits(), wall_lean=0.2)
    found = found_in(Drawn().frame(), least_floor_px=1_000_000, limits=limits)
    assert found == Bin(FLOOR, (0, 0, 160, 120), None, limits)
    assert found_in(Drawn().frame(), limits=limits).limits == limits


def test_a_frame_of_which_nothing_is_measured_is_refused_with_what_to_check() -> None:
    nothing = DepthFrame(np.full((120, 160), np.nan, np.float32), CAMERA)
    with pytest.raises(FloorNotFoundError, match='no pixel is measured; check that the camera'):
        found_in(nothing)


def test_without_a_given_floor_it_is_sought_with_the_same_settings() -> None:
    found = find_bin(Drawn().frame(), np.random.default_rng(0))
    assert found.floor.offset == pytest.approx(0.5, abs=1e-3)
    few = replace(FindingConfig(), floor=replace(FindingConfig().floor, least_measured_px=10**6))
    with pytest.raises(FloorNotFoundError, match='pixels are measured'):
        find_bin(Drawn().frame(), np.random.default_rng(0), config=few)
