"""A finder of whole parts is told how long the part is, and its labels become pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.discovery.discover import whole_parts
from insegan_ros.discovery.search import Search, side_of
from insegan_ros.discovery.state import DiscoveryConfig
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(96, 96, 420.0, 420.0, 47.5, 47.5)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three frames of two boxes that touch: no depth edge is between them."""
    info = DatasetInfo('box', CAMERA, 'test', depth_scale=0.001, floor=(0.0, 0.0, -1.0, 0.5))
    with DatasetWriter(tmp_path / 'bin', info) as writer:
        for _ in range(3):
            depth = np.full((96, 96), 500, np.uint16)
            depth[30:50, 20:70] = 480
            writer.append(depth)
    return Dataset(tmp_path / 'bin')


def test_a_finder_cuts_what_no_edge_does(dataset: Dataset) -> None:
    told = []

    def finder(length_m: float):
        told.append(length_m)

        def find(frame, parts_bin):
            labels = np.zeros((96, 96), np.int32)
            labels[30:50, 20:45], labels[30:50, 45:70] = 1, 2
            labels[0:10, 0:90] = 3  # too long for a part
            return labels

        return find

    rng = np.random.default_rng(0)
    search = Search(
        dataset=dataset,
        indices=[0, 1, 2],
        out=dataset.path,
        config=DiscoveryConfig(),
        finder=finder,
    )
    pieces = whole_parts(search, 0.03, rng)
    assert told == [0.03]
    assert len(pieces) == 6
    assert all(0.03 < piece.length_m < 0.04 for piece in pieces)
    assert not any(piece.alone for piece in pieces)


def test_where_nothing_lies_alone_the_length_is_asked_for(dataset: Dataset) -> None:
    search = Search(dataset=dataset, indices=[], out=dataset.path, config=DiscoveryConfig())
    with pytest.raises(ValueError, match='--part-length'):
        side_of(search, [])
