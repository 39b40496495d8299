"""One network tells several kinds of part apart, and one of one kind stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from bricks import AROUND, CONFIG

from insegan_ros.data.store import Dataset
from insegan_ros.distillation.clusters import Clusters, VoteSettings
from insegan_ros.distillation.examples import Piles, mixed_batch
from insegan_ros.distillation.network import OUTPUTS, VoteNetwork, told_kinds, vote_loss
from insegan_ros.distillation.piles import PileConfig, PileMaker, Shape, store_piles

TWO = replace(CONFIG, kinds=2)


def shape(*size: float) -> Shape:
    mesh = trimesh.creation.box(size)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    return Shape(vertices, faces, ((vertices, faces),))


SHAPES = (shape(0.04, 0.012, 0.012), shape(0.03, 0.03, 0.02))


@pytest.fixture(scope='module')
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp('mixed')
    maker = PileMaker(SHAPES, AROUND, PileConfig(12, (2, 3)), shares=(0.25, 0.75))
    list(store_piles(maker, folder, 0, workers=1))
    return Dataset(folder)


def test_piles_hold_both_kinds_and_say_which_is_which(mixed: Dataset) -> None:
    kinds = [kind for sample in mixed for kind in sample.record['kinds']]
    assert set(kinds) == {1, 2}
    assert kinds.count(2) > kinds.count(1)
    for sample in mixed:
        assert sample.poses is not None
        assert len(sample.record['kinds']) == len(sample.poses)


def test_shares_of_kinds_have_to_make_one() -> None:
    with pytest.raises(ValueError, match='1 in all'):
        PileMaker(SHAPES, AROUND, PileConfig(1, (2, 3)), shares=(0.5, 0.6))


def test_the_target_tells_each_pixel_its_parts_kind(mixed: Dataset) -> None:
    piles = Piles.load(mixed, mixed.indices)
    for index in range(len(piles)):
        target, labels = piles.target(index, TWO), piles.labels[index]
        for k, kind in enumerate(piles.kinds[index], 1):
            assert (target[6][labels == k] == kind - 1).all()


def test_weights_of_one_kind_answer_the_same_once_they_tell_two() -> None:
    torch.manual_seed(0)
    one, two = VoteNetwork(CONFIG).eval(), VoteNetwork(TWO).eval()
    two.load_state_dict(told_kinds(one.state_dict(), TWO))
    image = torch.rand(1, 2, 32, 32)
    with torch.inference_mode():
        before, after = one(image), two(image)
    assert after.shape[1] == OUTPUTS + 2
    torch.testing.assert_close(after[:, :OUTPUTS], before)
    assert (after[:, OUTPUTS:] == 0).all()


def test_the_loss_falls_when_the_kind_is_told(mixed: Dataset) -> None:
    piles = Piles.load(mixed, mixed.indices)
    _, target = mixed_batch([(piles, TWO)], 2, np.random.default_rng(0))
    output = torch.zeros(2, TWO.outputs, *target.shape[2:])
    unsure = vote_loss(output, target)['kind']
    output[:, OUTPUTS:] = 4 * torch.nn.functional.one_hot(target[:, 6].long(), 2).movedim(3, 1)
    assert vote_loss(output, target)['kind'] < 0.1 * unsure
    assert 'kind' not in vote_loss(output[:, :OUTPUTS], target)


def test_an_instance_is_of_the_kind_that_most_of_its_pixels_are_sure_of() -> None:
    output = np.zeros((OUTPUTS + 2, 32, 64), np.float32)
    output[0] = -5
    v, u = np.mgrid[:32, :64]
    for x in (12, 48):
        inside = np.hypot(u - x, v - 16) < 8
        output[0][inside] = 5
        output[1][inside] = (x - u[inside]) / TWO.unit_px
        output[2][inside] = (16 - v[inside]) / TWO.unit_px
    output[4] = -3
    output[OUTPUTS + 1, :, 32:] = 2  # right: kind 2
    output[OUTPUTS, :12, 32:] = 3  # but for some rows
    found = Clusters(output, TWO, VoteSettings())
    by_place = dict(zip((found.centres[:, 0] > 32).tolist(), found.kinds.tolist()))
    assert by_place == {False: 1, True: 2}
