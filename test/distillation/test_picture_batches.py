"""Batches made on the device that learns: the same as those that a processor makes one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from insegan_ros.depth_camera import D435
from insegan_ros.distillation.batch_noise import Draws, any_camera, d435
from insegan_ros.distillation.examples import about_d435
from insegan_ros.distillation.picture_batches import Kind, PictureBatches
from insegan_ros.distillation.pretrain import VIEWS, load_views, save_views, shape
from insegan_ros.distillation.random_views import LENGTH_M, ViewConfig, photograph
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.depth_noise import drawn, measure
from insegan_ros.types import Intrinsics

VIEW = ViewConfig(size=64, told_px=(20.0, 26.0))
KIND = Kind(VIEWS, 1.0)
COUNT, SIZE, DISTANCE_M = 160, 48, 0.9


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one shape, three in a bin."""
    made, mesh = tmp_path_factory.mktemp('pictures'), shape(0, 5).mesh
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, 3] = [[0.04, -0.07, 0.05], [-0.06, 0.03, 0.04], [0.07, 0.06, 0.05]]
    rng = np.random.default_rng(0)
    pictures = [photograph(mesh, poses, 0.4, rng=rng, config=VIEW) for _ in range(8)]
    save_views(made / f'0003{VIEWS}', pictures)
    return made


def batches(folder: Path, kind: Kind = KIND) -> PictureBatches:
    return PictureBatches(folder, (kind,), first=0, batch=16, device='cpu')


def draws(count: int) -> Draws:
    return Draws(torch.Generator().manual_seed(1), count)


def test_targets_are_those_of_the_stored_views(folder: Path) -> None:
    _, targets = batches(folder).examples(KIND, torch.arange(8), draws(8))
    for target, (view, told) in zip(targets, load_views(folder / f'0003{VIEWS}', VIEW)):
        assert np.abs(target.numpy() - view.target(0, told)).max() < 1e-3


def test_turned_votes_still_meet_at_the_parts_centres(folder: Path) -> None:
    views = load_views(folder / f'0003{VIEWS}', VIEW)
    units = {round(told.unit_px, 3) for _, told in views}
    _, targets = batches(folder)(np.random.default_rng(0))
    v, u = np.mgrid[:64, :64]
    for target in targets.numpy():
        part = target[0] > 0
        spreads = []
        for unit in units:  # which picture it is, is not told
            x, y = (target[1] * unit + u)[part], (target[2] * unit + v)[part]
            spreads.append(len({*zip(x.round(1).tolist(), y.round(1).tolist())}))
        assert min(spreads) <= 6  # three centres, rounded


def test_a_batch_is_the_same_for_the_same_generator(folder: Path) -> None:
    made = batches(folder)
    first, again = (made(np.random.default_rng(4)) for _ in range(2))
    other = made(np.random.default_rng(5))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_held_out_shapes_are_not_taken_up_and_an_empty_folder_is_named(folder: Path) -> None:
    unseen = PictureBatches(folder, (KIND,), first=4, batch=4, device='cpu')
    assert unseen.pictures == 0
    with pytest.raises(ValueError, match='no pictures of shapes'):
        unseen(np.random.default_rng(0))


def steps() -> NDArray[np.float32]:
    """A pile's like: floor, a block, a slope, a pit that nothing is seen of."""
    depth = np.full((SIZE, SIZE), DISTANCE_M, np.float32)
    depth[10:25, 8:30] -= 0.06
    depth[28:44, 20:40] -= np.linspace(0, 0.08, 20, dtype=np.float32)
    depth[:4, 40:] = np.nan
    return depth


def told(measured: NDArray[np.floating], depth: NDArray[np.floating]) -> list[float]:
    """Share that is missing, median and upper decile of errors, share of neighbours far apart."""
    error = np.abs(measured - depth)[:, np.isfinite(depth)]
    jump = np.abs(np.diff(measured, axis=2))
    missing, error = np.isnan(error).mean(), error[np.isfinite(error)]
    return [missing, float(np.median(error)), np.percentile(error, 90), (jump > 0.01).mean()]


@pytest.mark.parametrize('kind', ['any', 'd435'])
def test_cameras_err_as_those_of_single_pictures_do(kind: str) -> None:
    rng, depth = np.random.default_rng(2), steps()
    focal = D435.fx
    camera = Intrinsics(SIZE, SIZE, focal, focal, SIZE / 2, SIZE / 2)
    many = torch.from_numpy(depth).expand(COUNT, -1, -1)
    distance = torch.full((COUNT, 1, 1), DISTANCE_M)
    nearer = np.float32(0.55 / DISTANCE_M)
    if kind == 'any':
        made = any_camera(many, torch.full_like(distance, focal), distance, draws=draws(COUNT))
        single = [
            measure(depth, camera, rng, noise=drawn(rng, LENGTH_M, DISTANCE_M))
            for _ in range(COUNT)
        ]
    else:
        made = d435(many, distance, draws(COUNT))
        single = [
            add_noise(depth * nearer, camera, rng, noise=about_d435(rng)) / nearer
            for _ in range(COUNT)
        ]
    assert told(made.numpy(), depth) == pytest.approx(told(np.stack(single), depth), rel=0.3)
