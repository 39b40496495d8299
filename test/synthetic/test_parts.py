"""Parts are solid, centred, and collide as what they look like."""

from __future__ import annotations

import manifold3d
import numpy as np
import pytest
import trimesh

from insegan_ros.synthetic.generate import BIN_WIDTHS, SceneConfig, tight_width
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.synthetic.scene_stream import BinConfig

every_part = pytest.mark.parametrize('name', PARTS)


def solid(mesh: trimesh.Trimesh) -> manifold3d.Manifold:
    return manifold3d.Manifold(
        manifold3d.Mesh64(
            np.asarray(mesh.vertices * 1e3, np.float64), np.asarray(mesh.faces, np.uint64)
        )
    )


def inside_any(pieces: list[trimesh.Trimesh], points: np.ndarray) -> np.ndarray:
    inside = np.zeros(len(points), bool)
    for piece in pieces:  # convex: inside means behind every face
        normals, origins = piece.face_normals, piece.triangles[:, 0]
        inside |= (points @ normals.T - (normals * origins).sum(axis=1) < 1e-9).all(axis=1)
    return inside


@every_part
def test_mesh_is_watertight_and_centred_on_its_mass(name: str) -> None:
    mesh = make_part(name).mesh
    assert mesh.is_watertight
    assert mesh.is_volume
    np.testing.assert_allclose(mesh.center_mass, 0, atol=1e-8)


@every_part
def test_parts_have_the_size_of_hand_sized_goods(name: str) -> None:
    low, high = (0.065, 0.075) if name == 'elbow' else (0.040, 0.060)
    assert low <= make_part(name).length <= high


@every_part
def test_collision_pieces_are_convex(name: str) -> None:
    for piece in make_part(name).convex_pieces:
        assert piece.is_watertight
        corners, origins = piece.vertices, piece.triangles[:, 0]
        beyond = piece.face_normals @ corners.T - (piece.face_normals * origins).sum(1)[:, None]
        assert beyond.max() < 1e-4  # metres


@every_part
def test_collision_pieces_cover_the_part_and_leave_its_concavities(name: str) -> None:
    part = make_part(name)
    visual = solid(part.mesh)
    pieces = manifold3d.Manifold.batch_boolean(
        [solid(piece) for piece in part.convex_pieces], manifold3d.OpType.Add
    )
    missing = (visual - pieces).volume() / visual.volume()
    surplus = (pieces - visual).volume() / visual.volume()
    closed_bore = 0.35 if name == 'elbow' else 0.0  # nothing fits deep into an elbow's bend
    assert missing < 0.08
    assert surplus < 0.25 + closed_bore
    # a hull around everything would not do, but for the parts that are convex
    if name not in ('cylinder', 'cone', 'block'):
        assert pieces.volume() < 0.93 * part.mesh.convex_hull.volume * 1e9


def test_nut_measures_56_by_48_5_by_18_mm() -> None:
    np.testing.assert_allclose(make_part('nut').mesh.extents, [0.056, 0.0485, 0.018], atol=1e-4)


@pytest.mark.parametrize(('name', 'radius', 'z'), [('nut', 0.0145, 0.0), ('obj_01', 0.008, 0.02)])
def test_holes_stay_open_in_collision(name: str, radius: float, z: float) -> None:
    angles = np.linspace(0, 2 * np.pi, 60)
    circle = radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    pieces = make_part(name).convex_pieces
    assert not inside_any(pieces, circle + [0, 0, z]).any()
    assert inside_any(pieces, 1.25 * circle + [0, 0, z]).any()  # the wall around it


def test_a_part_is_the_same_every_time() -> None:
    first, again = make_part.__wrapped__('connector'), make_part.__wrapped__('connector')
    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    np.testing.assert_array_equal(first.mesh.faces, again.mesh.faces)


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r'screw.*nut, stopper'):
        make_part('screw')


@every_part
def test_a_part_has_a_bin_of_its_own_width(name: str) -> None:
    assert 1.2 <= tight_width(name) <= 20


def test_a_part_without_a_bin_width_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(BIN_WIDTHS, 'nut')
    for make in (SceneConfig, lambda: BinConfig().make()):
        with pytest.raises(ValueError, match="no bin width is known for the part 'nut'; give one"):
            make()
    assert SceneConfig(bin_width=1.8).bin_spec.width == pytest.approx(
        1.8 * make_part('nut').length
    )
