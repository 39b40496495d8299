"""Arrays come back from a file as they were, whoever wrote it; a damaged file is told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from insegan_ros import tensors

ARRAYS = {
    'weights': np.arange(24, dtype=np.float16).reshape(2, 3, 4) / 7,
    'steps': np.array(12345678901, np.int64),
    'none': np.zeros((0, 3), np.float32),
    'big-endian': np.arange(5, dtype='>f4'),
    'mask': np.array([True, False]),
    'strided': np.arange(12, dtype=np.uint8).reshape(3, 4)[:, ::2],
}


def same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder('<'), name
        np.testing.assert_array_equal(found[name], array)


def test_arrays_come_back_as_they_were_and_may_be_written_to(tmp_path: Path) -> None:
    (tmp_path / 'a').write_bytes(tensors.save(ARRAYS))
    found = tensors.load(tmp_path / 'a')
    same(found, ARRAYS)
    found['weights'][:] = 0


def test_the_library_of_the_format_reads_it_and_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip('safetensors.numpy')
    (tmp_path / 'ours').write_bytes(tensors.save(ARRAYS))
    same(library.load_file(tmp_path / 'ours'), ARRAYS)
    whole = {
        name: np.ascontiguousarray(a, a.dtype.newbyteorder('<')) for name, a in ARRAYS.items()
    }
    library.save_file(whole, tmp_path / 'theirs', metadata={'made': 'elsewhere'})
    same(tensors.load(tmp_path / 'theirs'), whole)


@pytest.mark.parametrize('length', [0, 5, 8, 20, 100, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / 'cut').write_bytes(tensors.save(ARRAYS)[:length])
    with pytest.raises(tensors.TensorsError, match='cut holds no whole'):
        tensors.load(tmp_path / 'cut')


@pytest.mark.parametrize(
    'entry',
    [
        {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 4]},
        {'dtype': 'F32', 'shape': [-1, -1], 'data_offsets': [0, 4]},
        {'dtype': 'F32', 'shape': [1], 'data_offsets': [-4, 0]},
        {'dtype': 'F32', 'shape': [1], 'data_offsets': [6, 10]},
        {'dtype': 'F32', 'shape': [1 << 62, 4], 'data_offsets': [0, 0]},
        {'dtype': 'O', 'shape': [1], 'data_offsets': [0, 8]},
        {'shape': [1], 'data_offsets': [0, 8]},
        7,
    ],
)
def test_a_header_that_does_not_fit_the_bytes_is_refused(tmp_path: Path, entry: object) -> None:
    text = json.dumps({'a': entry}).encode()
    (tmp_path / 'bad').write_bytes(len(text).to_bytes(8, 'little') + text + bytes(8))
    with pytest.raises(tensors.TensorsError, match='bad holds no whole'):
        tensors.load(tmp_path / 'bad')


def test_an_array_that_the_format_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match='names is of object'):
        tensors.save({'names': np.array(['a'], object)})
