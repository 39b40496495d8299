"""Recordings and messages damaged anywhere give an error in words or a result, nothing else."""

from __future__ import annotations

import functools
import gzip
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from damage import damage, few, only_words, read_all
from hypothesis import given
from hypothesis import strategies as st
from recorded import Bag, depth_units, storage_file

from insegan_ros.data.camera_model import frame_from_messages
from insegan_ros.data.depth_messages import depth_from_message
from insegan_ros.data.raw_messages import make_decompressor
from insegan_ros.data.replay import Replay
from insegan_ros.data.rvl import decode_rvl

pytestmark = pytest.mark.usefixtures('bounded_memory')

# --- recordings --------------------------------------------------------------------------------


@functools.cache
def recording(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind.startswith('bag'):
            path = Bag(ros1=True).frames().write(folder / 'x.bag', compress=kind[4:])
            return path.read_bytes()
        compress = 'storage' if kind == 'mcap_zstd' else ''
        storage = 'mcap' if 'mcap' in kind else 'sqlite3'
        content = storage_file(Bag().frames().write(folder / 'x', storage, compress)).read_bytes()
        return gzip.compress(content) if kind == 'db3_gz' else content


KINDS = ['mcap', 'mcap_zstd', 'db3', 'db3_gz', 'bag', 'bag_lz4', 'bag_bz2']


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_recording_is_read_whole_before_it_is_damaged(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / 'x').write_bytes(recording(kind))
    with Replay(tmp_path / 'x') as replay:
        assert len(list(replay)) == 4
        assert replay.is_whole
        assert replay.notes == []


@pytest.mark.parametrize('kind', KINDS)
def test_a_damaged_recording(tmp_path: Path, kind: str) -> None:
    file = tmp_path / 'x'

    @few
    @given(damage())
    def check(apply: Callable[[bytes], bytes]) -> None:
        file.write_bytes(apply(recording(kind)))
        with only_words():
            read_all(file)

    check()


@few
@given(st.sampled_from(['zstd', 'lz4', 'bz2', 'gzip']), st.binary(max_size=200))
def test_bytes_that_are_no_recording(compression: str, content: bytes) -> None:
    starts = {'zstd': b'\x28\xb5\x2f\xfd', 'lz4': b'\x04\x22\x4d\x18', 'bz2': b'BZh9'}
    with tempfile.TemporaryDirectory() as folder, only_words():
        assert make_decompressor(compression)
        file = Path(folder) / 'x.bag'
        file.write_bytes(starts.get(compression, b'\x1f\x8b\x08') + content)
        read_all(file)


@few
@given(damage())
def test_a_damaged_metadata_file_of_a_recording(apply: Callable[[bytes], bytes]) -> None:
    with tempfile.TemporaryDirectory() as name, only_words():
        folder = Path(name)
        (folder / 'x_0.mcap').write_bytes(recording('mcap'))
        information = {'relative_file_paths': ['x_0.mcap'], 'version': 5}
        content = yaml.safe_dump({'rosbag2_bagfile_information': information}).encode()
        (folder / 'metadata.yaml').write_bytes(apply(content))
        read_all(folder)


# --- messages ----------------------------------------------------------------------------------

sizes = st.integers(0, 2**32 - 1) | st.integers(0, 20)
numbers = st.floats(width=64) | st.sampled_from([0.0, 1.0, 50.0, 7.5])


def header() -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=-1, nanosec=5), frame_id='f')


@few
@given(
    sizes, sizes, sizes, st.sampled_from(['16UC1', '32FC1', 'mono16', 'rgb8', '', '64FC1', '8UC1'])
)
def test_an_image_message_that_contradicts_itself(
    height: int, width: int, step: int, encoding: str
) -> None:
    image = SimpleNamespace(
        header=header(), height=height, width=width, step=step, encoding=encoding
    )
    image.is_bigendian, image.data = 1, np.zeros(384, np.uint8)
    with only_words():
        depth_from_message(image)


@few
@given(
    st.lists(numbers, min_size=9, max_size=9),
    st.lists(numbers, min_size=12, max_size=12),
    st.lists(numbers, max_size=8),
    st.sampled_from(['plumb_bob', 'equidistant', 'rational_polynomial', '', 'odd']),
    st.tuples(sizes, sizes, sizes, sizes, sizes, sizes, sizes, sizes),
    st.sampled_from([None, True, False]),
)
def test_a_camera_info_of_any_numbers(k, p, d, model, words, rectified) -> None:
    image = SimpleNamespace(header=header(), height=12, width=16, step=32, encoding='16UC1')
    image.is_bigendian, image.data = 0, depth_units().reshape(-1).view(np.uint8)
    width, height, x, y, across, down, roi_width, roi_height = words
    info = SimpleNamespace(header=header(), width=width, height=height, k=k, p=p, d=d, r=[0.0] * 9)
    info.distortion_model, info.binning_x, info.binning_y = model, across, down
    info.roi = SimpleNamespace(x_offset=x, y_offset=y, width=roi_width, height=roi_height)
    with only_words(), np.errstate(all='ignore'):
        frame_from_messages(image, info, rectified=rectified)
    info.width, info.height = 16, 12
    with only_words(), np.errstate(all='ignore'):
        frame_from_messages(image, info, rectified=rectified)


@few
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(0, 300))
def test_rvl_of_any_bytes(content: bytes, width: int, height: int) -> None:
    with only_words():
        decode_rvl(struct.pack('<II', width, height) + content)
    with only_words():
        decode_rvl(content)


@few
@given(damage(), st.sampled_from(['16UC1', '32FC1', '8UC1', '']), st.sampled_from(['png', 'rvl']))
def test_a_damaged_compressed_image(apply, encoding: str, codec: str) -> None:
    content = struct.pack('<iff', 0, 1.0, 2.0) + cv2.imencode('.png', depth_units())[1].tobytes()
    message = SimpleNamespace(format=f'{encoding}; compressedDepth {codec}', header=header())
    message.data = np.frombuffer(apply(content), np.uint8)
    with only_words():
        depth_from_message(message)
