"""Rendered depth is exact, ids name the nearest part, and windows lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insegan_ros.camera import points_from_depth
from insegan_ros.synthetic import raycast
from insegan_ros.synthetic.bin_world import BinSpec
from insegan_ros.synthetic.generate import floor_plane
from insegan_ros.synthetic.parts import make_part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import Intrinsics

SMALL = Intrinsics(width=120, height=90, fx=200.0, fy=210.0, cx=58.3, cy=46.1)
BOX = trimesh.creation.box((0.06, 0.04, 0.02))
TILTS = pytest.mark.parametrize('tilt', [0.0, 20.0, 40.0])


def at(x: float, y: float, z: float, degrees: float = 0.0) -> np.ndarray:
    pose = trimesh.transformations.rotation_matrix(np.radians(degrees), (1, 2, 3))
    pose[:3, 3] = x, y, z
    return pose


def test_a_box_seen_from_above_has_its_known_depth() -> None:
    poses = np.array([at(0, 0, 0.01)])
    depth, ids = Raycaster(BOX).render(poses, Camera(SMALL, looking_down(0.5)))
    np.testing.assert_allclose(depth[ids == 1], 0.48, rtol=1e-6)
    np.testing.assert_allclose(depth[ids == 0], 0.5, rtol=1e-6)
    expected = (0.06 * SMALL.fx / 0.48) * (0.04 * SMALL.fy / 0.48)  # its top's area in pixels
    assert (ids == 1).sum() == pytest.approx(expected, rel=0.06)


@TILTS
def test_every_point_lies_on_the_surface_that_its_id_names(tilt: float) -> None:
    camera = Camera(SMALL, looking_down(0.4, tilt, (0.01, -0.02)))
    poses = np.array([at(0.02, 0.01, 0.03, 40), at(-0.03, 0, 0.05, 110)])
    depth, ids = Raycaster(BOX).render(poses, camera)
    points = points_from_depth(depth, SMALL).astype(np.float64)
    assert set(np.unique(ids)) == {0, 1, 2}
    for k, pose in enumerate(poses, 1):
        part_T_camera = np.linalg.inv(camera.camera_T_world @ pose)
        local = points[ids == k] @ part_T_camera[:3, :3].T + part_T_camera[:3, 3]
        beyond = np.abs(local) - np.array([0.03, 0.02, 0.01])
        np.testing.assert_allclose(beyond.max(axis=1), 0, atol=2e-6)
    heights = floor_plane(camera).heights(points[ids == 0].astype(np.float32))
    np.testing.assert_allclose(heights, 0, atol=2e-6)


def test_the_upper_of_two_stacked_parts_hides_the_lower() -> None:
    camera = Camera(SMALL, looking_down(0.5))
    stack = np.array([at(0, 0, 0.03), at(0, 0, 0.01)])
    for order in ([0, 1], [1, 0]):
        _, ids = Raycaster(BOX).render(stack[order], camera)
        assert ids[46, 58] == order.index(0) + 1
        assert not (ids == order.index(1) + 1).any()


@pytest.mark.parametrize(
    ('height', 'tilt', 'offset'),
    [
        (0.35, 0.0, (0.05, 0.03)),  # the bin leaves the image
        (0.35, 40.0, (0.05, 0.03)),
        (0.05, 60.0, (0.0, 0.08)),  # inside the bin: some of it is behind the camera
    ],
)
def test_windows_change_nothing(
    height: float, tilt: float, offset: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = make_part('bolt')
    raycaster = Raycaster(part.mesh, BinSpec(0.1, 0.06))
    camera = Camera(SMALL, looking_down(height, tilt, offset))
    poses = np.array([at(0.02, 0.01, 0.03, 40), at(-0.03, 0, 0.05, 110)])
    depth, ids = raycaster.render(poses, camera)
    assert ids.any()
    whole = (slice(0, SMALL.height), slice(0, SMALL.width))
    monkeypatch.setattr(raycast, '_window', lambda vertices, intrinsics: whole)
    depth_whole, ids_whole = raycaster.render(poses, camera)
    np.testing.assert_array_equal(ids, ids_whole)
    np.testing.assert_allclose(depth, depth_whole, rtol=1e-6)


def test_walls_stand_around_the_bin() -> None:
    spec = BinSpec(width=0.1, wall_height=0.06, wall_thickness=0.01)
    depth, ids = Raycaster(BOX, spec).render(np.zeros((0, 4, 4)), Camera(SMALL, looking_down(0.5)))
    assert not ids.any()
    across = depth[46]  # the row through the bin's middle
    tops = np.isclose(across, 0.44, atol=1e-5)
    assert tops.sum() == pytest.approx(2 * 0.01 * SMALL.fx / 0.44, abs=2)
    assert depth[46, 58] == pytest.approx(0.5)


def test_a_moved_bin_is_seen_where_it_is() -> None:
    raycaster = Raycaster(BOX, BinSpec(0.1, 0.06))
    camera, none = Camera(SMALL, looking_down(0.5)), np.zeros((0, 4, 4))
    moved, _ = raycaster.render(none, camera, bin_offset=np.array([0.02, 0, 0.1]))
    nearer = Camera(SMALL, looking_down(0.4, offset=(-0.02, 0)))
    np.testing.assert_allclose(moved, raycaster.render(none, nearer)[0], rtol=1e-5)


def test_a_part_alone_is_whole_where_another_hides_it() -> None:
    raycaster, camera = Raycaster(BOX), Camera(SMALL, looking_down(0.5))
    alone = raycaster.render_alone(at(0, 0, 0.01), camera)
    assert np.nanmax(alone) == pytest.approx(0.48)
    assert np.isfinite(alone).sum() == (raycaster.render([at(0, 0, 0.01)], camera)[1] == 1).sum()


def test_rays_above_the_horizon_measure_nothing() -> None:
    camera = Camera(SMALL, looking_down(0.5, 85.0))
    depth, _ = Raycaster(BOX).render(np.zeros((0, 4, 4)), camera)
    assert np.isnan(depth[0]).all()
    assert np.isfinite(depth[-1]).all()


def test_more_parts_than_8_bit_ids_are_refused() -> None:
    with pytest.raises(ValueError, match='255'):
        Raycaster(BOX).render(np.tile(np.eye(4), (256, 1, 1)), Camera(SMALL, looking_down(0.5)))
