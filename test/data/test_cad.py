"""A CAD model is one closed solid in metres, or the message says what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from insegan_ros.cli import main
from insegan_ros.data import cad
from insegan_ros.data.cad import read_cad
from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import DatasetError
from insegan_ros.optional import MissingLibraryError

SIDES = (40.0, 24.0, 16.0)


def block(shift: tuple[float, float, float] = (0, 0, 0)) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(SIDES)
    mesh.apply_translation(shift)
    return mesh


def stored(folder: Path, mesh: trimesh.Trimesh, name: str = 'part.stl') -> Path:
    mesh.export(folder / name)
    return folder / name


@pytest.mark.parametrize('suffix', ['.stl', '.obj', '.ply', '.off', '.glb'])
def test_a_mesh_of_each_format_is_read_in_metres(tmp_path: Path, suffix: str) -> None:
    mesh = block()
    if suffix == '.glb':  # which is in metres
        mesh.apply_scale(1e-3)
    part = read_cad(stored(tmp_path, mesh, f'part{suffix}'))
    assert np.allclose(sorted(part.mesh.extents), sorted(np.array(SIDES) * 1e-3), atol=1e-6)
    assert part.notes == ()
    assert part.mesh.is_watertight


@pytest.mark.parametrize(
    ('scale', 'told', 'likely'),
    [
        (1e-3, None, '--units m (40 mm)'),
        (1e-3, 'mm', '--units m (40 mm)'),
        (1 / 25.4, None, '--units in (40 mm)'),
        (0.1, 'm', '--units cm (40 mm)'),
        (1.0, 'in', '--units mm (40 mm)'),
    ],
)
def test_implausible_units_are_named_with_the_likely_ones(
    tmp_path: Path, scale: float, told: None, likely: str
) -> None:
    mesh = block()
    mesh.apply_scale(scale)
    with pytest.raises(DatasetError) as error:
        read_cad(stored(tmp_path, mesh), told)
    assert likely in str(error.value)


def test_a_mesh_in_inches_is_read_with_its_units(tmp_path: Path) -> None:
    mesh = block()
    mesh.apply_scale(1 / 25.4)
    assert read_cad(stored(tmp_path, mesh), 'in').size_mm == [40.0, 24.0, 16.0]


def test_a_part_that_no_unit_makes_plausible_is_to_be_scaled(tmp_path: Path) -> None:
    mesh = block()
    mesh.apply_scale(1e6)
    with pytest.raises(DatasetError, match='scale it in CAD'):
        read_cad(stored(tmp_path, mesh))


def test_a_solid_without_a_side_is_open(tmp_path: Path) -> None:
    mesh = block()
    lidless = trimesh.Trimesh(mesh.vertices, mesh.faces[2:])
    with pytest.raises(DatasetError, match=r'is open: \d+ edges'):
        read_cad(stored(tmp_path, lidless))


def test_a_pinhole_is_closed_and_told(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=20)
    pierced = trimesh.Trimesh(ball.vertices, ball.faces[1:])
    part = read_cad(stored(tmp_path, pierced))
    assert part.mesh.is_watertight
    assert 'closed' in part.notes[0]


def test_a_surface_inside_out_is_turned(tmp_path: Path) -> None:
    mesh = block()
    mesh.invert()
    part = read_cad(stored(tmp_path, mesh))
    assert part.mesh.volume > 0
    assert 'inside out' in part.notes[0]


def test_two_bodies_apart_are_refused_and_their_sizes_told(tmp_path: Path) -> None:
    two = trimesh.util.concatenate([block(), block((60, 0, 0))])
    with pytest.raises(DatasetError, match=r'2 bodies .*40 mm, 40 mm'):
        read_cad(stored(tmp_path, two))


def test_bodies_that_overlap_are_joined(tmp_path: Path) -> None:
    two = trimesh.util.concatenate([block(), block((30, 3, 1))])
    part = read_cad(stored(tmp_path, two))
    assert part.mesh.body_count == 1
    volume = 2 * np.prod(SIDES) - 10 * 21 * 15
    assert part.mesh.volume * 1e9 == pytest.approx(volume, rel=1e-3)
    assert 'joined' in part.notes[0]


def test_a_cavity_is_filled(tmp_path: Path) -> None:
    inner = trimesh.creation.box((10, 10, 8))
    inner.invert()
    part = read_cad(stored(tmp_path, trimesh.util.concatenate([block(), inner])))
    assert part.mesh.volume * 1e9 == pytest.approx(np.prod(SIDES), rel=1e-5)
    assert 'cavities' in part.notes[0]


def test_very_many_faces_are_simplified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cad, 'MOST_FACES', 8000)
    fine = trimesh.creation.icosphere(subdivisions=5, radius=20)
    assert len(fine.faces) > cad.MOST_FACES
    part = read_cad(stored(tmp_path, fine))
    assert len(part.mesh.faces) <= cad.MOST_FACES
    assert part.mesh.is_watertight
    assert part.mesh.volume * 1e9 == pytest.approx(fine.volume, rel=5e-3)
    assert 'simplified' in part.notes[0]


def test_what_is_flat_is_no_solid(tmp_path: Path) -> None:
    flat = block()
    flat.apply_scale((1, 1, 1e-5))
    with pytest.raises(DatasetError, match='is flat'):
        read_cad(stored(tmp_path, flat))


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('empty.stl', b'', 'cannot be read|no faces'),
        ('text.obj', b'this is no mesh', 'cannot be read|no faces'),
        ('cloud.ply', None, 'no faces'),
        ('nan.obj', b'v 0 0 0\nv 9 0 nan\nv 0 9 0\nv 0 0 9\nf 1 2 3\nf 1 3 4\n', 'not finite'),
        ('part.sldprt', b'x', 'STL or STEP'),
        ('letter.step', b'Dear customer, the part is ready.', 'no STEP file'),
        ('cut.stl', bytes(80) + b'\x0c\0\0\0' + bytes(50 * 9), 'to hold 12 faces and holds 9'),
    ],
)
def test_what_is_no_mesh_is_told(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is None:
        trimesh.PointCloud(np.random.default_rng(0).random((9, 3))).export(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        read_cad(tmp_path / name)


@pytest.mark.parametrize('vertex', ['nan', 'inf'])
def test_a_true_mesh_with_a_vertex_nowhere_is_refused(tmp_path: Path, vertex: str) -> None:
    corners = ((0, 0, 0), (9, 0, vertex), (0, 9, 0), (0, 0, 9))
    lines = [f'v {x} {y} {z}' for x, y, z in corners] + ['f 1 2 3', 'f 1 3 4']
    (tmp_path / 'part.obj').write_text('\n'.join(lines))
    with pytest.raises(DatasetError, match='not finite'):
        read_mesh(tmp_path / 'part.obj', 0.001)


def test_a_body_that_was_saved_twice_is_one_part(tmp_path: Path) -> None:
    part = read_cad(stored(tmp_path, trimesh.util.concatenate([block(), block()])))
    assert part.mesh.volume == pytest.approx(block().volume * 1e-9)
    assert 'more than once' in part.notes[0]


def test_a_step_file_names_the_wheel_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'cascadio', None)
    (tmp_path / 'part.step').write_text('ISO-10303-21;')
    with pytest.raises(MissingLibraryError, match='pip install cascadio'):
        read_cad(tmp_path / 'part.step')


def test_the_command_ends_in_one_line_for_a_bad_mesh_and_begins_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mesh = block()
    mesh.apply_scale(1e-3)
    file = stored(tmp_path, mesh)
    assert main(['train', '--mesh', str(file), '--out', str(tmp_path / 'run')]) != 0
    assert 'likely --units m' in capsys.readouterr().err
    assert not (tmp_path / 'run' / 'model').exists()
