"""What is stored is read back as it was, and what is damaged is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored_nuts import INFO, depth_image, problems, store_nuts

from insegan_ros.data import store
from insegan_ros.data.depth_messages import metres
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.drawing import encode_png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store_nuts(tmp_path / 'nuts')


def test_what_is_appended_is_read_back(folder: Path) -> None:
    dataset = Dataset(folder)
    assert dataset.info == INFO
    assert dataset.indices == [0, 1, 2]
    sample = dataset[1]
    units = depth_image(1)
    np.testing.assert_array_equal(np.isnan(sample.frame.depth_m), units == 0)
    np.testing.assert_allclose(np.nan_to_num(sample.frame.depth_m), units / 1000, atol=1e-6)
    np.testing.assert_array_equal(sample.labels, units % 4)
    assert sample.poses.shape == (3, 4, 4)
    assert sample.frame.stamp_ns == 1
    assert problems(folder) == []


def test_units_and_metres_round_trip() -> None:
    units = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(store.to_units(metres(units, 1e-3), 1e-3), units)


def test_depth_beyond_the_range_counts_as_unmeasured() -> None:
    metres = np.array([[np.nan, np.inf, -1.0, 100.0]])
    np.testing.assert_array_equal(store.to_units(metres, 0.001), [[0, 0, 0, 0]])


def test_verify_names_every_damaged_frame(folder: Path) -> None:
    (folder / 'depth' / '000000.png').write_bytes(b'not a png')
    (folder / 'depth' / '000001.png').write_bytes(encode_png(depth_image(7)))
    (folder / 'depth' / '000002.png').unlink()
    found = '\n'.join(problems(folder))
    assert 'frame 0' in found
    assert 'frame 1: depth differs from what was captured' in found
    assert 'frame 2' in found


def test_an_unknown_split_lists_those_there_are(folder: Path) -> None:
    with DatasetWriter(folder, INFO) as writer:
        writer.write_splits({'test': [2], 'train': [0, 1]}, rule='by hand')
    assert Dataset(folder).split('test') == [2]
    with pytest.raises(DatasetError, match="no split 'tset'; it has all, test, train"):
        Dataset(folder).split('tset')


@pytest.mark.parametrize('entry', ['0-1', '3', '', '{a: 1}'])
def test_a_split_that_is_no_list_is_named_with_an_example(folder: Path, entry: str) -> None:
    (folder / 'splits.yaml').write_text(f'note: mine\ntrain: [0]\ntest: {entry}\n')
    assert Dataset(folder).split('train') == [0]
    with pytest.raises(DatasetError, match=r"'test' holds .* as in \[0, 1, 5\]"):
        Dataset(folder).split('test')
