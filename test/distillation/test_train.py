"""Training: turned targets still point at their centres; piles can be learned; runs resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from insegan_ros.data.store import Dataset
from insegan_ros.distillation import train
from insegan_ros.distillation.network import NetworkConfig, find_instances, network_input
from insegan_ros.distillation.piles import PileConfig, PileMaker, Surroundings, store_piles
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.types import Intrinsics

AROUND = Surroundings(
    intrinsics=Intrinsics(64, 64, 200.0, 200.0, 31.5, 31.5),
    camera_height=0.5,
    bin_centre=(0.0, 0.0),
    bin_width=0.11,
    bin_turn=0.0,
    wall_height=0.0,
)
CONFIG = NetworkConfig(0.04, 0.015, 0.5 / 200, widths=(16, 24, 32, 32))
SETTINGS = train.TrainConfig(batch=4, held_out=2, bfloat16=False)


class Brick:
    def mesh(self) -> trimesh.Trimesh:
        return trimesh.creation.box((0.04, 0.025, 0.015))


@pytest.fixture(scope='module')
def maker() -> PileMaker:
    mesh = Brick().mesh()
    pieces = ((np.asarray(mesh.vertices), np.asarray(mesh.faces)),)
    return PileMaker(
        np.asarray(mesh.vertices), np.asarray(mesh.faces), pieces, AROUND, PileConfig(4, (2, 3))
    )


@pytest.fixture(scope='module')
def folder(maker: PileMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('piles')
    assert list(store_piles(maker, path, seed=0, workers=1)) == [1, 2, 3, 4]
    return path


def test_a_pile_depends_on_its_seed_alone(maker: PileMaker) -> None:
    first, again, other = maker((3, 1)), maker((3, 1)), maker((3, 2))
    assert (first.depth == again.depth).all()
    assert (first.labels == again.labels).all()
    assert (first.depth != other.depth).any()


def test_stored_piles_are_not_made_again(maker: PileMaker, folder: Path) -> None:
    assert list(store_piles(maker, folder, seed=0, workers=1)) == []


def test_a_pile_has_its_parts_inside_the_window_and_above_the_floor(maker: PileMaker) -> None:
    pile = maker((0, 5))
    assert 2 <= len(pile.poses) <= 3
    heights = pile.camera_height - pile.poses[:, 2, 3]
    assert (heights > 0.005).all()
    assert (np.unique(pile.labels)[1:] <= len(pile.poses)).all()


def test_turned_targets_point_at_the_centres_they_pointed_at() -> None:
    """Whatever the turn, votes from all pixels of an instance meet in one point of it."""
    target = np.zeros((6, 32, 32), np.float32)
    v, u = np.mgrid[:32, :32]
    target[0, 4:12, 16:30] = 1
    target[1], target[2] = (20 - u) / CONFIG.unit_px, (6 - v) / CONFIG.unit_px
    image = target[:2].copy()
    image[0] = (u == 20) & (v == 6)  # marks the centre
    for seed in range(20):
        marked, votes = train.turned(image, target, np.random.default_rng(seed))
        y, x = np.argwhere(marked[0])[0]
        inside = votes[0] > 0
        assert np.allclose((u + votes[1] * CONFIG.unit_px)[inside], x, atol=1e-4)
        assert np.allclose((v + votes[2] * CONFIG.unit_px)[inside], y, atol=1e-4)


def test_the_network_learns_two_piles_by_heart(folder: Path) -> None:
    torch.set_num_threads(1)
    piles = train.Piles.load(Dataset(folder), [0, 1])
    progress = train.begin(CONFIG, SETTINGS, seed=0)
    for step in range(260):
        rng = np.random.default_rng([0, step])
        batch = train.make_batch(piles, CONFIG, 4, rng)
        train.train_step(progress, batch, 3e-3, SETTINGS)
    progress.network.eval()
    rng = np.random.default_rng(9)
    scores = []
    for index in (0, 1):
        image = network_input(piles.heights(index, rng), CONFIG)
        output = train.predict(progress.network, image)
        found = find_instances(output, CONFIG, train.VoteSettings(min_support=4.0))
        scores.append(strict_miou(found.labels, piles.labels[index]))
    assert np.mean(scores) > 0.7


def test_a_run_resumes_where_its_checkpoint_was_written(folder: Path, tmp_path: Path) -> None:
    piles = train.Piles.load(Dataset(folder), [0, 1])
    progress = train.begin(CONFIG, SETTINGS, seed=0)
    batch = train.make_batch(piles, CONFIG, 2, np.random.default_rng(0))
    train.train_step(progress, batch, train.rate_at(0.5, SETTINGS), SETTINGS)
    train.save_checkpoint(progress, tmp_path / 'state', seconds=7.0)
    resumed = train.begin(CONFIG, SETTINGS, seed=1)
    assert train.load_checkpoint(resumed, tmp_path / 'state') == 7.0
    assert resumed.step == 1
    ours = train.train_step(progress, batch, 1e-3, SETTINGS)
    theirs = train.train_step(resumed, batch, 1e-3, SETTINGS)
    assert ours == pytest.approx(theirs)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rates = [train.rate_at(share, SETTINGS) for share in (0, 0.03, 0.5, 1)]
    assert rates[0] < rates[1] > rates[2] > rates[3]
    assert rates[3] < 1e-5
