"""Bins of random shapes: at rest, photographed from anywhere, and learned from together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from bricks import CONFIG

from insegan_ros.distillation.examples import mixed_batch
from insegan_ros.distillation.network import NetworkConfig, VoteNetwork, widened
from insegan_ros.distillation.pretrain import (
    ShapesConfig,
    fill_bins,
    load_shapes,
    shape,
    store_shapes,
)
from insegan_ros.distillation.random_views import LENGTH_M, ViewConfig, photograph
from insegan_ros.distillation.train import TrainConfig, begin

SHAPES = ShapesConfig(
    shapes=2, bins=1, pictures=2, parts=(2, 4), view=ViewConfig(size=64, told_px=(20.0, 26.0))
)


@pytest.fixture(scope='module')
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('shapes')
    assert list(store_shapes(SHAPES, folder, seed=3, workers=1)) == [1, 2]
    return folder


def test_shapes_are_made_once_and_taught_together(stored: Path) -> None:
    written = {file: file.stat().st_mtime_ns for file in stored.iterdir()}
    assert list(store_shapes(SHAPES, stored, seed=3, workers=1)) == [1, 2]
    assert written == {file: file.stat().st_mtime_ns for file in stored.iterdir()}

    parts = [part for views in load_shapes(stored, SHAPES) for part in views]
    image, target = mixed_batch(parts, 6, np.random.default_rng(0))
    assert image.shape == (6, 2, 64, 64)
    assert target.shape == (6, 6, 64, 64)
    part = target[:, 0] > 0
    # votes are told in quarters of a length that may be said 1.3 times too short
    assert target[:, 1:3].abs().amax(1)[part].max() < 4 * 1.5


def test_parts_lie_in_their_bin() -> None:
    for index in range(SHAPES.shapes):
        for parts_bin in fill_bins(SHAPES, shape(3, index), (3, index, 1)):
            places = parts_bin.poses[:, :, 3]
            assert np.abs(places[:, :2]).max() < parts_bin.width_m / 2
            assert places[:, 2].min() > 0
            assert len(places) <= SHAPES.parts[1]


def test_a_picture_shows_parts_where_their_centres_are_said_to_be() -> None:
    mesh = shape(0, 5).mesh
    poses = np.tile(np.eye(4), (1, 1, 1))
    poses[0, :3, 3] = [0.04, -0.07, 0.05]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        picture = photograph(mesh, poses, 0.3, rng=rng, config=ViewConfig(aside=1.0))
        v, u = np.nonzero(picture.labels == 1)
        if len(v) < 400 or min(v.min(), u.min()) == 0 or max(v.max(), u.max()) == 127:
            continue  # cut off
        x, y, height = picture.centres[0]
        assert u.min() <= x <= u.max()
        assert v.min() <= y <= v.max()
        assert height == pytest.approx(0.05, abs=1e-4)
        focal, *_, distance = picture.camera
        # as long as the picture says it is, and may be misjudged to be
        assert 0.7 < LENGTH_M / picture.told_m < 1.4
        seen = max(np.ptp(u), np.ptp(v)) * distance / focal
        assert seen < 2 * LENGTH_M


def test_a_wider_network_begins_with_the_answers_of_the_narrow_one() -> None:
    torch.manual_seed(0)
    narrow = VoteNetwork(CONFIG).eval()
    config = NetworkConfig(0.05, 0.02, 0.001, (24, 40, 48, 56))
    assert all(a > b for a, b in zip(config.widths, CONFIG.widths))
    wide = VoteNetwork(config)
    wide.load_state_dict(widened(narrow.state_dict(), config, seed=0))
    image = torch.rand(1, 2, 48, 48)
    with torch.inference_mode():
        assert torch.allclose(narrow(image), wide.eval()(image), atol=1e-5)


def test_a_run_begins_with_the_weights_it_is_given() -> None:
    taught = begin(CONFIG, TrainConfig(), seed=1).network.state_dict()
    started = begin(CONFIG, TrainConfig(), seed=2, start=taught)
    for network in (started.network, started.average):
        for name, weight in network.state_dict().items():
            assert torch.equal(weight, taught[name])


def test_weights_of_a_network_of_other_widths_are_refused() -> None:
    taught = begin(CONFIG, TrainConfig(), seed=1).network.state_dict()
    taught['head.0.bias'] = torch.zeros(3)
    with pytest.raises(RuntimeError, match=r'head\.0\.bias'):
        begin(CONFIG, TrainConfig(), seed=2, start=taught)
