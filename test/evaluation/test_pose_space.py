"""Brégier's distance between poses, on parts whose figures are known by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from insegan_ros.data.store import DatasetError
from insegan_ros.evaluation.pose_space import (
    NO_SYMMETRY,
    PoseSpace,
    Symmetry,
    read_symmetry,
    symmetry_of_mesh,
)

CUBE = trimesh.creation.box((0.06, 0.06, 0.06))
HOME = np.eye(4)


def posed(turn: Rotation, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn.as_matrix(), shift
    return pose


def apart(symmetry: Symmetry, pose: np.ndarray, mesh: trimesh.Trimesh = CUBE) -> float:
    return float(PoseSpace.of(mesh, symmetry).distances(pose[None], HOME[None])[0, 0])


def test_a_cubes_moments_and_diameter_are_those_worked_out_by_hand() -> None:
    space = PoseSpace.of(CUBE)
    # E[x^2] over six faces of side a: (2 a^2 / 4 + 4 a^2 / 12) / 6 = 5 a^2 / 36
    assert space.spread == pytest.approx(np.eye(3) * 0.06 * np.sqrt(5) / 6, abs=1e-12)
    assert space.centre == pytest.approx(np.zeros(3), abs=1e-12)
    assert space.diameter == pytest.approx(0.06 * np.sqrt(3))


def test_the_diameter_is_that_of_a_sphere_about_the_surfaces_centre() -> None:
    cone = trimesh.creation.cone(0.02, 0.06, sections=64)
    space = PoseSpace.of(cone)
    reach = np.linalg.norm(cone.vertices - space.centre, axis=1).max()
    assert space.diameter == pytest.approx(2 * reach)
    assert space.diameter > np.ptp(cone.vertices[:, 2])  # more than the greatest distance here


def test_a_shift_counts_whole_and_a_turn_by_the_root_mean_square_of_its_path() -> None:
    assert apart(NO_SYMMETRY, posed(Rotation.identity(), (0.003, 0, 0.004))) == pytest.approx(
        0.005
    )
    half = posed(Rotation.from_euler('z', 180, degrees=True))
    # points go 2 r, with E[r^2] = 2 * 5 a^2 / 36
    assert apart(NO_SYMMETRY, half) == pytest.approx(2 * 0.06 * np.sqrt(10 / 36))


def test_the_distance_is_the_root_mean_square_over_points_of_the_surface() -> None:
    mesh = trimesh.creation.cone(0.02, 0.05)
    pose = posed(Rotation.from_euler('xyz', (0.3, -0.8, 2.0)), (0.01, 0, -0.02))
    points = trimesh.sample.sample_surface(mesh, 40_000, seed=0)[0]
    moved = points @ pose[:3, :3].T + pose[:3, 3]
    expected = np.sqrt(((moved - points) ** 2).sum(axis=1).mean())
    assert apart(NO_SYMMETRY, pose, mesh) == pytest.approx(expected, rel=0.01)


def test_where_a_mesh_has_its_origin_changes_nothing() -> None:
    away = CUBE.copy().apply_translation((0.1, -0.05, 0.02))
    pose = posed(Rotation.from_euler('y', 30, degrees=True))
    about = np.eye(4)
    about[:3, 3] = (0.1, -0.05, 0.02)
    assert apart(NO_SYMMETRY, about @ pose @ np.linalg.inv(about), away) == pytest.approx(
        apart(NO_SYMMETRY, pose)
    )


def test_a_symmetry_costs_nothing_and_what_is_none_does() -> None:
    quarter = posed(Rotation.from_euler('z', 90, degrees=True))
    over = posed(Rotation.from_euler('x', 180, degrees=True))
    eighth = posed(Rotation.from_euler('z', 45, degrees=True))
    assert apart(read_symmetry('C4:z'), quarter) < 1e-9
    assert apart(read_symmetry('C4:z'), over) > 0.03
    assert apart(read_symmetry('D4:z'), over) < 1e-9
    assert apart(read_symmetry('C4:z'), eighth) == pytest.approx(apart(NO_SYMMETRY, eighth))


def test_a_body_of_revolution_is_told_by_where_its_axis_points() -> None:
    rod = trimesh.creation.cylinder(0.005, 0.08, sections=64)
    about = posed(Rotation.from_euler('z', 1.1))
    over = posed(Rotation.from_euler('x', 180, degrees=True))
    tilted = posed(Rotation.from_euler('x', 10, degrees=True))
    assert apart(read_symmetry('revolution:z'), about, rod) < 1e-9
    assert apart(read_symmetry('revolution:z'), over, rod) > 0.04
    assert apart(read_symmetry('revolution-flip:z'), over, rod) < 1e-9
    # a tilt is the best of all turns about the axis: the one without a turn
    turns = Rotation.from_euler('z', np.linspace(0, 2 * np.pi, 361)[:, None]).as_matrix()
    assert apart(read_symmetry('revolution:z'), tilted, rod) == pytest.approx(
        apart(Symmetry(turns), tilted, rod)
    )


def test_of_a_ball_only_the_place_counts() -> None:
    pose = posed(Rotation.from_euler('xyz', (1, 2, 3)), (0, 0.002, 0))
    assert apart(read_symmetry('sphere'), pose) == pytest.approx(0.002)


def test_what_a_mesh_shows_is_found() -> None:
    home = HOME[None]
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.02)
    assert symmetry_of_mesh(ball, home).spherical
    rod = trimesh.creation.cylinder(0.005, 0.04, sections=64)
    found = symmetry_of_mesh(rod, home)
    assert found.flips
    assert np.abs(found.axis or 0) == pytest.approx((0, 0, 1), abs=1e-6)
    cone = symmetry_of_mesh(trimesh.creation.cone(0.01, 0.03, sections=64), home)
    assert cone.axis is not None
    assert not cone.flips
    turns = [posed(Rotation.from_euler('z', a, degrees=True)) for a in (0, 90, 93, 180, 270)]
    quarters = symmetry_of_mesh(trimesh.creation.box((0.03, 0.03, 0.05)), np.stack(turns))
    assert len(quarters.rotations) == 4  # 93 degrees is 90, found inexactly


def test_the_datasets_own_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / 'poseutils.json'
    turns = Rotation.from_euler('z', [[0], [180]], degrees=True).as_matrix().tolist()
    file.write_text(json.dumps({'type': 'AffinePoseUtils', 'G': turns, 'Lambda': []}))
    assert len(read_symmetry(str(file)).rotations) == 2
    told = {'type': 'RevolutionPoseUtils', 'lambda': 0.1, 'rotoreflection_symmetry': True}
    file.write_text(json.dumps(told))
    assert read_symmetry(str(file)).flips


@pytest.mark.parametrize(
    'content',
    ['no JSON', '{}', '[]', '{"type": "other"}', '{"type": "AffinePoseUtils", "G": [1]}'],
)
def test_a_file_that_tells_no_symmetry_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / 'poseutils.json').write_text(content)
    with pytest.raises(DatasetError, match=r'poseutils.json is no poseutils.json.*revolution:z'):
        read_symmetry(str(tmp_path / 'poseutils.json'))


def test_a_class_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(DatasetError, match=r'round.*revolution:z'):
        read_symmetry('round')
