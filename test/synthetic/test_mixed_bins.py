"""A simulated bin holds several kinds of part, and says which is which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros import cli
from insegan_ros.data.store import Dataset, kinds_of
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.synthetic.parts import make_part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down


def test_a_mixed_bin_is_stored_with_the_kind_of_every_instance(tmp_path: Path) -> None:
    command = ['generate', '--part', 'bolt', 'obj_14', '--count', '6', '--workers', '1']
    assert cli.main([*command, '--out', str(tmp_path / 'mixed')]) == 0
    dataset = Dataset(tmp_path / 'mixed')
    assert dataset.info.part == 'bolt+obj_14'
    kinds = np.concatenate([kinds_of(sample) for sample in dataset])
    assert len(kinds) == 30
    assert set(kinds) == {1, 2}


def test_every_part_is_drawn_as_its_own_kind() -> None:
    scene = make_scene(SceneConfig(part='bolt+obj_14', noise='none', instances=(1, 1)), 3)
    kind = int(scene.kinds[0])
    meshes = [make_part(name).mesh for name in ('bolt', 'obj_14')]
    camera = Camera(scene.frame.intrinsics, looking_down(scene.floor.offset))
    seen = np.count_nonzero(scene.labels)
    world = camera.world_T_camera @ scene.poses[0]
    areas = [np.isfinite(Raycaster(meshes).render_alone(world, camera, k)).sum() for k in (0, 1)]
    assert abs(areas[kind - 1] - seen) < 0.1 * seen
    assert abs(areas[2 - kind] - seen) > 0.1 * seen


@pytest.mark.parametrize(('part', 'said'), [('nut+nut', 'twice'), ('nut+spoon', "'spoon'")])
def test_a_mixture_that_cannot_be_is_refused(part: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SceneConfig(part=part)
