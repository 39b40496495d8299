"""Which frames a dataset is judged on: hard ones, random ones, and the same every time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from boxes import make_dataset

from insegan_ros.data.writer import DatasetWriter
from insegan_ros.evaluation.selection import Block, kmeans_scores, make_splits, select_splits


def test_the_hard_split_is_hard_and_the_random_one_is_drawn_from_all() -> None:
    scores = {k: k / 3000 for k in range(3000)}
    splits, rule = select_splits(scores, np.random.default_rng(0), unscored=[3000])
    assert [len(splits[k]) for k in ('test', 'test_random', 'val')] == [100, 200, 100]
    assert max(splits['test']) <= 1000  # within the worst third
    assert np.mean(splits['test_random']) == pytest.approx(1500, abs=200)
    everything = sorted(index for frames in splits.values() for index in frames)
    assert 3000 in splits['train']
    assert everything == list(range(3001))  # each frame in one split
    assert 'at most 0.333' in rule


def test_1200_frames_are_enough_for_whole_splits_by_the_rule_in_words() -> None:
    scores = dict(enumerate(np.random.default_rng(1).random(1200)))
    splits, rule = select_splits(scores, np.random.default_rng(0))
    sizes = {name: len(chosen) for name, chosen in splits.items()}
    assert sizes == {'train': 800, 'val': 100, 'test': 100, 'test_random': 200}
    assert sorted(k for chosen in splits.values() for k in chosen) == list(range(1200))
    limit = float(re.findall(r'at most (\d\.\d+)', rule)[0])
    assert max(scores[k] for k in splits['test']) <= limit + 5e-4


def test_selection_does_not_depend_on_whether_the_bin_is_found(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 3)
    scores = kmeans_scores(Block(dataset.path, (0, 1, 2), 3))
    assert min(scores.values()) > 0.9  # boxes apart, whatever lies around them
    flat = make_dataset(tmp_path / 'wall', 0)
    with DatasetWriter(flat.path, flat.info) as writer:
        for index in (0, 1, 2):
            sample = dataset[index]
            units = np.rint(sample.frame.depth_m * 1000).astype(np.uint16)
            units[:4] = 380  # a slab taller than the parts, and a false floor below
            units[-6:] = 600
            writer.append(units, np.asarray(sample.labels))
    assert kmeans_scores(Block(flat.path, (0, 1, 2), 3)) == scores


def test_splits_are_the_same_every_time_and_complete(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 8)
    make_splits(dataset.path)
    first = (dataset.path / 'splits.yaml').read_bytes()
    make_splits(dataset.path)
    assert (dataset.path / 'splits.yaml').read_bytes() == first
    assert len(dataset.split('train')) + sum(
        len(dataset.split(name)) for name in ('val', 'test', 'test_random')
    ) == len(dataset)
