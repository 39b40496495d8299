"""A CAD model in the place of a part that comes with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from insegan_ros.cli import main
from insegan_ros.data.store import Dataset
from insegan_ros.synthetic.convex import part_of_file
from insegan_ros.synthetic.generate import SceneConfig
from insegan_ros.synthetic.stored_scenes import dataset_info


@pytest.fixture(scope='module')
def brick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 x 30 x 20 mm, far from its file's origin."""
    file = tmp_path_factory.mktemp('cad') / 'brick.stl'
    trimesh.creation.box((60, 30, 20)).apply_translation((200, 0, 5)).export(file)
    return file


def test_a_mesh_is_a_part_about_its_centre_of_mass(brick: Path) -> None:
    part = part_of_file(str(brick), 'mm')
    assert part.name == 'brick'
    assert part.length == pytest.approx(0.06)
    assert part.mesh.center_mass == pytest.approx(np.zeros(3), abs=1e-9)
    assert sum(piece.volume for piece in part.convex_pieces) == pytest.approx(36e-6, rel=0.05)


def test_a_mesh_is_generated_and_lies_beside_the_frames(brick: Path, tmp_path: Path) -> None:
    out = tmp_path / 'bins'
    line = ['generate', '--mesh', str(brick), '--units', 'mm', '--count', '1', '--workers', '1']
    assert main([*line, '--instances', '2', '--noise', 'none', '--out', str(out)]) == 0
    dataset = Dataset(out)
    assert dataset.info.part == 'brick'
    sample = dataset[0]
    assert sample.poses is not None
    assert len(sample.poses) == 2
    stored = trimesh.load_mesh(out / 'part.ply')
    assert sorted(stored.extents) == pytest.approx([0.02, 0.03, 0.06], abs=1e-6)
    # the mesh at its pose is where the labels are
    assert sample.labels is not None
    k = sample.frame.intrinsics
    x, y, z = sample.poses[0, :3, 3]
    assert sample.labels[round(k.fy * y / z + k.cy), round(k.fx * x / z + k.cx)] == 1


def test_the_same_mesh_elsewhere_is_the_same_dataset_and_parts_have_the_old_account(
    brick: Path, tmp_path: Path
) -> None:
    copy = tmp_path / 'copied.stl'
    copy.write_bytes(brick.read_bytes())
    infos = [dataset_info(SceneConfig('brick', mesh=str(m), units='mm'), 0) for m in (brick, copy)]
    assert infos[0] == infos[1]
    assert 'mesh' not in (dataset_info(SceneConfig(), 0).generator or '')


@pytest.mark.parametrize(
    ('given', 'told'),
    [
        ([], '--part NAME or --mesh FILE'),
        (['--mesh', 'no.stl'], 'there is no mesh file'),
        (['--mesh', 'BRICK', '--units', 'm'], 'units mm'),
        (['--mesh', 'BRICK', '--bin-width', '40'], '1.2 to 20 part lengths'),
    ],
)
def test_what_cannot_be_generated_is_told(
    brick: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    given: list[str],
    told: str,
) -> None:
    line = [str(brick) if word == 'BRICK' else word for word in given]
    assert main(['generate', *line, '--count', '1', '--out', str(tmp_path / 'bins')]) == 1
    assert told in capsys.readouterr().err
