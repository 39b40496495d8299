"""Piles of random shapes: stored once, all of one image size, and learned from together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from bricks import CONFIG

from insegan_ros.data.store import Dataset
from insegan_ros.distillation.examples import mixed_batch
from insegan_ros.distillation.pretrain import (
    ShapesConfig,
    load_shapes,
    shape_maker,
    store_shapes,
)
from insegan_ros.distillation.train import TrainConfig, begin

SHAPES = ShapesConfig(shapes=2, piles=2, size=64, part_px=(18.0, 24.0))


def test_shapes_are_stored_once_and_taught_together(tmp_path: Path) -> None:
    assert list(store_shapes(SHAPES, tmp_path, seed=0, workers=1)) == [1, 2]
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob('*.png')}
    assert list(store_shapes(SHAPES, tmp_path, seed=0, workers=1)) == [1, 2]
    assert written == {file: file.stat().st_mtime_ns for file in tmp_path.rglob('*.png')}
    assert all(len(Dataset(folder)) == 2 for folder in tmp_path.iterdir())

    parts = list(load_shapes(tmp_path, SHAPES, seed=0))
    image, target = mixed_batch(parts, 6, np.random.default_rng(0))
    assert image.shape == (6, 2, 64, 64)
    assert target.shape == (6, 6, 64, 64)
    part = target[:, 0] > 0
    # votes are told in quarters of each shape's own length: no pixel is further than that away
    assert target[:, 1:3].abs().amax(1)[part].max() < 4


def test_a_bins_parts_and_camera_are_drawn_anew_for_every_shape() -> None:
    makers = [shape_maker(SHAPES, 0, shape) for shape in range(12)]
    for maker in makers:
        around = maker.surroundings
        pixel = around.camera_height / around.intrinsics.fx
        length = np.ptp(maker.vertices, axis=0).max()
        assert SHAPES.part_px[0] <= length / pixel <= SHAPES.part_px[1]
        assert around.bin_width / pixel <= SHAPES.size - 2 * SHAPES.margin + 1e-6
        assert maker.config.instances[0] < maker.config.instances[1]
    assert len({maker.surroundings.bin_width for maker in makers}) == 12
    assert len({maker.surroundings.wall_height == 0 for maker in makers}) == 2


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
