"""The floor and the inside of a bin are found from one noisy frame of a full bin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from flat_frame import FLOOR, flat

from insegan_ros.bin_finding import find_bin
from insegan_ros.camera import Plane, height_map
from insegan_ros.config import ConfigError
from insegan_ros.depth_camera import D435_NOISE
from insegan_ros.floor import FloorNotFoundError, find_floor
from insegan_ros.parts_bin import Bin, foreground, load_bin
from insegan_ros.synthetic.bin_world import BinSpec
from insegan_ros.synthetic.generate import SceneConfig, SimulatedScene, floor_plane, make_scene
from insegan_ros.synthetic.parts import make_part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import DepthFrame, Intrinsics
from insegan_ros.view_limits import restricted


def scene(
    tilt: float, part: str = 'nut', instances: int = 5, width: float | None = None
) -> SimulatedScene:
    config = SceneConfig(
        part=part,
        camera='d435',
        tilt_degrees=tilt,
        instances=(instances, instances),
        bin_width=width,
    )
    return make_scene(config, 0)


def with_only_the_bin(made: SimulatedScene, rng: np.random.Generator) -> DepthFrame:
    """The frame without what lies around the bin, and with a fifth of its pixels unmeasured."""
    x, y, width, height = made.region
    depth = np.full_like(made.frame.depth_m, np.nan)
    depth[y : y + height, x : x + width] = made.frame.depth_m[y : y + height, x : x + width]
    depth[rng.random(depth.shape) < 0.2] = np.nan
    return DepthFrame(depth, made.frame.intrinsics)


@pytest.mark.parametrize('tilt', [0, 15, 30, 40])
@pytest.mark.parametrize('part', ['nut', 'elbow'])
def test_the_floor_is_found_whatever_the_tilt(tilt: float, part: str) -> None:
    made = scene(tilt, part, instances=12, width=4.0)
    floor = find_floor(with_only_the_bin(made, np.random.default_rng(1)), np.random.default_rng(0))
    angle = np.degrees(np.arccos(np.clip(np.dot(floor.normal, made.floor.normal), -1, 1)))
    assert angle < 2.0  # the noise, and so the angle, differs a little between OpenCV's releases
    heights = height_map(DepthFrame(made.true_depth_m, made.frame.intrinsics), floor)
    expected = height_map(DepthFrame(made.true_depth_m, made.frame.intrinsics), made.floor)
    assert abs(np.nanmedian(heights - expected)) < 0.003


@pytest.mark.parametrize('seed', range(3))
def test_the_same_frame_gives_nearly_the_same_floor_by_any_seed(seed: int) -> None:
    frame = scene(20).frame
    first = find_floor(frame, np.random.default_rng(9))
    again = find_floor(frame, np.random.default_rng(seed))
    assert np.degrees(np.arccos(min(np.dot(first.normal, again.normal), 1))) < 0.5
    assert abs(first.offset - again.offset) < 0.002


def share_found_and_wrong(made: SimulatedScene, parts_bin: Bin) -> tuple[float, float]:
    found, parts = foreground(made.frame, parts_bin), made.labels > 0
    visible = parts & np.isfinite(made.frame.depth_m)
    return (found & visible).sum() / visible.sum(), (found & ~parts).sum() / found.sum()


def test_foreground_is_the_parts_and_not_the_walls() -> None:
    made = scene(0)
    found, wrong = share_found_and_wrong(made, find_bin(made.frame, np.random.default_rng(0)))
    assert found > 0.9
    assert wrong < 0.1


@pytest.mark.parametrize('tilt', [10, 25])
def test_a_bin_calibrated_empty_serves_when_it_is_full(tilt: float) -> None:
    empty = scene(tilt, instances=0)
    found, wrong = share_found_and_wrong(
        scene(tilt), find_bin(empty.frame, np.random.default_rng(0))
    )
    assert found > 0.8
    assert wrong < 0.15


def test_an_empty_bin_has_no_foreground() -> None:
    made = scene(10, instances=0)
    found = foreground(made.frame, find_bin(made.frame, np.random.default_rng(0)))
    assert found.mean() < 0.002


@pytest.mark.parametrize(
    ('depth', 'message'),
    [
        (np.full((48, 64), np.nan, np.float32), 'only 0 of 3072 pixels are measured'),
        (
            np.random.default_rng(0).uniform(0.2, 0.9, (48, 64)).astype(np.float32),
            "show more of the bin's floor, or calibrate",
        ),
    ],
)
def test_a_frame_without_a_floor_says_what_to_do(depth: np.ndarray, message: str) -> None:
    frame = DepthFrame(depth, Intrinsics(64, 48, 50.0, 50.0, 32.0, 24.0))
    with pytest.raises(FloorNotFoundError, match=message):
        find_floor(frame, np.random.default_rng(0))


def test_a_bin_file_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'bin.yaml').write_text('flor: {}')
    with pytest.raises(ConfigError, match='did you mean floor'):
        load_bin(tmp_path / 'bin.yaml')


def test_tall_parts_at_a_wall_do_not_turn_the_bin() -> None:
    """Where the walls' rim was cut away, what is tallest at the frame's end are parts."""
    depth = np.full((120, 160), np.nan, np.float32)
    depth[20:100, 20:140] = 0.5
    rows, columns = np.mgrid[:120, :160]
    along = rows - 20 + columns - 20
    tall = (np.abs(rows - columns) < 10) & (along > 0) & (along < 80) & np.isfinite(depth)
    depth[tall] = 0.42
    frame = DepthFrame(depth, Intrinsics(160, 120, 150.0, 150.0, 80.0, 60.0))
    found = find_bin(frame, np.random.default_rng(0))
    assert found.corners is not None
    side = np.subtract(found.corners[1], found.corners[0])
    degrees = np.degrees(np.arctan2(side[1], side[0])) % 90
    assert min(degrees, 90 - degrees) < 3


def test_the_top_of_parts_that_hide_most_of_the_floor_is_not_taken_for_it() -> None:
    """Nothing lies below a floor, however many points lie on a plane above it."""
    depth = np.full((90, 120), 0.47, np.float32)  # the parts' tops, 70 % of the image
    depth[:, ::30] = depth[::30] = 0.5
    for k in range(1, 5):  # gaps between them, 5 px wide
        depth[:, k::30] = depth[k::30] = 0.5
    depth += np.random.default_rng(0).normal(0, 0.0003, depth.shape).astype(np.float32)
    frame = DepthFrame(depth, Intrinsics(120, 90, 150.0, 150.0, 59.5, 44.5))
    floor = find_floor(frame, np.random.default_rng(0))
    assert floor.offset == pytest.approx(0.5, abs=0.002)


def test_noise_of_four_sigma_is_no_foreground() -> None:
    noise = np.random.default_rng(0).normal(0, 0.0008, (200, 200))
    camera = Intrinsics(200, 200, 500.0, 500.0, 99.5, 99.5)
    seen = foreground(DepthFrame((0.5 + noise).astype(np.float32), camera), Bin(FLOOR))
    assert seen.mean() < 4e-4  # .0013 are beyond three


def test_noise_of_a_distant_floor_is_no_foreground() -> None:
    """At 1.5 m a D435's noise is larger than the least height of a part."""
    camera = Intrinsics(120, 90, 422.0, 422.0, 59.5, 44.5)
    level = np.full((90, 120), 1.5, np.float32)
    noise = np.random.default_rng(0).normal(0, 1, level.shape).astype(np.float32)
    frame = DepthFrame(level + noise * D435_NOISE.depth_sigma(level, camera), camera)
    assert foreground(frame, Bin(Plane((0.0, 0.0, -1.0), 1.5))).mean() < 0.005


@pytest.mark.parametrize('sigma_mm', [0.1, 0.5, 1.5])
def test_what_counts_as_noise_follows_the_camera(sigma_mm: float) -> None:
    rng = np.random.default_rng(0)
    depth = flat(0.5).depth_m + rng.normal(0, sigma_mm * 1e-3, flat(0.5).depth_m.shape)
    part = np.s_[20:40, 20:40]
    depth[part] -= np.float32(4 * sigma_mm * 1e-3 + 0.002)
    seen = foreground(DepthFrame(depth.astype(np.float32), flat(0.5).intrinsics), Bin(FLOOR))
    assert seen[part].mean() > 0.9
    seen[part] = False
    assert seen.mean() < 0.003


@pytest.mark.parametrize('seed', range(4))
def test_a_drafted_wall_is_not_taken_for_the_floor(seed: int) -> None:
    """A deep tote whose near wall is larger in the image than its floor; some pixels fly."""
    spec = BinSpec(0.2, 0.2, wall_lean=0.9)
    camera = Camera(Intrinsics(160, 160, 200.0, 200.0, 79.5, 79.5), looking_down(0.5, 10))
    depth, _ = Raycaster(trimesh.creation.box((0.03, 0.03, 0.03)), spec).render(
        np.eye(4)[None], camera
    )
    rng = np.random.default_rng(seed)
    depth += rng.normal(0, 3e-4, depth.shape).astype(np.float32)
    flying = rng.random(depth.shape) < 0.012
    depth[flying] += rng.uniform(0.01, 0.05, flying.sum()).astype(np.float32)
    floor = find_floor(DepthFrame(depth, camera.intrinsics), rng)
    angle = np.degrees(np.arccos(np.clip(np.dot(floor.normal, floor_plane(camera).normal), -1, 1)))
    assert angle < 1.5


def test_a_camera_that_looks_too_flat_is_told_so() -> None:
    camera = Camera(Intrinsics(160, 160, 200.0, 200.0, 79.5, 79.5), looking_down(0.4, 55))
    depth, _ = Raycaster(trimesh.creation.box((0.1, 0.06, 0.04))).render(np.eye(4)[None], camera)
    depth += np.random.default_rng(0).normal(0, 3e-4, depth.shape).astype(np.float32)
    with pytest.raises(FloorNotFoundError, match=r'5[3-7] degrees.*at most 45'):
        find_floor(DepthFrame(depth, camera.intrinsics), np.random.default_rng(0))


def test_what_lies_outside_a_window_or_too_far_away_does_not_count() -> None:
    frame = flat(0.5)
    frame.depth_m[:, 50:] = 0.9  # the ground beside the table
    assert np.nanmax(restricted(frame, max_depth_m=0.7).depth_m) == np.float32(0.5)
    kept = np.isfinite(restricted(frame, (10, 5, 30, 20)).depth_m)
    assert kept[5:25, 10:40].all()
    assert kept.sum() == 600
    with pytest.raises(ValueError, match='80 x 60 px'):
        restricted(frame, (60, 0, 30, 20))
    with pytest.raises(ValueError, match='nothing is measured'):
        restricted(frame, max_depth_m=0.1)
    assert Bin(FLOOR, (10, 10, 30, 30)).within((20, 0, 40, 20)).region == (20, 10, 20, 10)


def test_a_window_around_the_bin_leaves_it_where_it_is() -> None:
    made = scene(15, 'elbow')
    x, y, width, height = made.region
    window = (x - 60, y - 60, width + 120, height + 120)
    whole, seen = (
        find_bin(frame, np.random.default_rng(0))
        for frame in (made.frame, restricted(made.frame, window))
    )
    assert whole.corners is not None
    assert seen.corners is not None
    off = np.sort(whole.corners, axis=0) - np.sort(seen.corners, axis=0)
    assert np.abs(off).max() < 0.01


def test_a_wide_near_bin_is_found_under_a_tilted_camera() -> None:
    config = SceneConfig(
        part='elbow', instances=(5, 7), camera='d435', tilt_degrees=20, camera_height=0.37,
        bin_width=2.9,
    )  # fmt: skip
    made = make_scene(config, 7)
    found, wrong = share_found_and_wrong(made, find_bin(made.frame, np.random.default_rng(0)))
    assert found > 0.93
    assert wrong < 0.06


def test_a_nut_on_a_table_is_no_bin() -> None:
    camera = Camera(Intrinsics(160, 160, 400.0, 400.0, 79.5, 79.5), looking_down(0.5))
    part = make_part('nut')
    pose = np.eye(4)
    pose[2, 3] = 0.009
    depth, labels = Raycaster(part.mesh).render(pose[None], camera)
    frame = DepthFrame(depth, camera.intrinsics)
    found = find_bin(frame, np.random.default_rng(0))
    assert foreground(frame, found)[labels > 0].mean() > 0.9


@pytest.mark.parametrize(('distance_m', 'seen_mm'), [(0.3, 9.8), (0.55, 8.0)])
def test_a_near_camera_sees_parts_close_to_the_walls_of_a_small_bin(
    distance_m: float, seen_mm: float
) -> None:
    """What is lost beside the walls of a bin 24 mm wide is three pixels, and at most 4 mm."""
    camera = Intrinsics(80, 80, 422.0, 422.0, 39.5, 39.5)
    frame = DepthFrame(np.full((80, 80), distance_m - 0.005, np.float32), camera)
    corners = tuple((x, y, distance_m) for x, y in square(0.012))
    parts_bin = Bin(Plane((0.0, 0.0, -1.0), distance_m), None, corners)
    rows, _ = np.nonzero(foreground(frame, parts_bin))
    half_m = np.ptp(rows) / 2 * frame.depth_m[0, 0] / camera.fx
    assert half_m == pytest.approx(seen_mm * 1e-3, abs=1.5 * distance_m / camera.fx)


def test_small_parts_lose_less_beside_the_walls() -> None:
    camera = Intrinsics(80, 80, 422.0, 422.0, 39.5, 39.5)
    frame = DepthFrame(np.full((80, 80), 0.295, np.float32), camera)
    corners = tuple((x, y, 0.3) for x, y in square(0.012))
    floor = Plane((0.0, 0.0, -1.0), 0.3)
    unknown, small, large = (
        foreground(frame, Bin(floor, None, corners, part_length_m=length)).sum()
        for length in (None, 0.015, 0.3)
    )
    assert unknown == large < 0.8 * small


def test_parts_high_in_a_bin_may_lie_where_its_walls_have_opened() -> None:
    camera = Intrinsics(80, 80, 422.0, 422.0, 39.5, 39.5)
    frame = DepthFrame(np.full((80, 80), 0.28, np.float32), camera)
    corners = tuple((x, y, 0.3) for x, y in square(0.012))
    upright = Bin(Plane((0.0, 0.0, -1.0), 0.3), None, corners)
    leaning = replace(upright, opening=(0.2, 0.0, 0.0, 0.0))
    rows, columns = (
        [np.flatnonzero(foreground(frame, seen).any(axis=axis)) for seen in (upright, leaning)]
        for axis in (1, 0)
    )
    gained = 0.2 * 0.02 * 422 / 0.28  # px, beside the first wall alone
    assert rows[0][0] - rows[1][0] == pytest.approx(gained, abs=1)
    assert rows[0][-1] == rows[1][-1]
    assert columns[0].tolist() == columns[1].tolist()


def open_box(half: float, wall: float, hidden: float) -> DepthFrame:
    """A bin, half so wide, whose floor a part hides over so many metres beside one wall."""
    camera = Intrinsics(120, 120, 422.0, 422.0, 59.5, 59.5)
    v, u = (np.mgrid[:120, :120] - 59.5) / 422.0
    far = np.maximum(abs(u), abs(v))
    depth = np.clip(half / np.maximum(far, 1e-9), 0.3 - wall, 0.3)  # the floor and the faces
    depth[far * (0.3 - wall) > half + 0.004] = 0.3  # around the bin
    part = 0.3 - 0.4 * wall
    depth[(depth > part) & (u * part > half - hidden) & (far * part < half)] = part
    return DepthFrame(depth.astype(np.float32), camera)


@pytest.mark.parametrize('hidden', [0.0, 0.005])
def test_parts_beside_a_wall_of_a_small_bin_do_not_make_it_smaller(hidden: float) -> None:
    floor = Plane((0.0, 0.0, -1.0), 0.3)
    found = find_bin(open_box(0.012, 0.025, hidden), np.random.default_rng(0), floor)
    assert found.corners is not None
    sides = np.ptp(np.array(found.corners), axis=0)[:2]
    assert sides == pytest.approx([0.024, 0.024], abs=0.0025)


def square(half: float) -> list[tuple[float, float]]:
    return [(-half, -half), (half, -half), (half, half), (-half, half)]
