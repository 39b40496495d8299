"""Bytes that are damaged anywhere give an error in words or a result, and never anything else."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import re
import resource
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import Bag, depth_units, storage_file

from insegan_ros.data.annotations import read_annotations
from insegan_ros.data.camera_files import read_camera_file
from insegan_ros.data.camera_model import frame_from_messages
from insegan_ros.data.depth_messages import depth_from_message
from insegan_ros.data.images import DECODERS, read_depth_values
from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.raw_messages import make_decompressor
from insegan_ros.data.replay import Replay
from insegan_ros.data.rvl import decode_rvl
from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.parts_bin import load_bin
from insegan_ros.types import Intrinsics

MOST_MEMORY = 1 << 29  # bytes that reading a small file may cost
few = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """What takes more than MOST_MEMORY raises MemoryError, which is no words."""
    limit, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


@contextlib.contextmanager
def only_words() -> Iterator[None]:
    """A ValueError with a text is words; any other error is a fault."""
    with contextlib.suppress(ValueError):
        yield


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Cut short, some bytes changed, a piece taken out or doubled."""
    cut = draw(st.floats(0, 1))
    changes = draw(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8))
    kind = draw(st.sampled_from(['change', 'cut', 'both', 'remove', 'double', 'zeros']))

    def apply(content: bytes) -> bytes:
        damaged, at = bytearray(content), int(cut * len(content))
        if kind in ('change', 'both'):
            for place, value in changes:
                damaged[int(place * (len(damaged) - 1))] = value
        if kind in ('cut', 'both'):
            del damaged[at:]
        if kind == 'remove':
            del damaged[at : at + 16]
        if kind == 'double':
            damaged[at:at] = damaged[at : at + 16]
        if kind == 'zeros':
            damaged[at : at + 64] = bytes(len(damaged[at : at + 64]))
        return bytes(damaged)

    return apply


def read_all(path: Path) -> None:
    with Replay(path) as replay:
        for _ in replay:
            pass
        assert all([*replay.notes, *replay.skipped])


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


# --- files -------------------------------------------------------------------------------------


@functools.cache
def image(ending: str) -> bytes:
    if ending in ('.png', '.tif', '.tiff', '.pgm'):
        return cv2.imencode(ending, depth_units())[1].tobytes()
    stream = io.BytesIO()
    if ending == '.exr':
        from exr_files import exr_bytes

        return exr_bytes(depth_units().astype(np.float32) / 1000)
    if ending == '.npy':
        np.save(stream, depth_units())
    else:
        np.savez_compressed(stream, depth=depth_units())
    return stream.getvalue()


@pytest.mark.parametrize('ending', DECODERS)
def test_a_damaged_image(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f'x{ending}'
    file.write_bytes(image(ending))
    assert read_depth_values(file).shape == depth_units().shape

    @few
    @given(damage() | st.binary(max_size=100).map(lambda content: lambda _: content))
    def check(apply: Callable[[bytes], bytes]) -> None:
        file.write_bytes(apply(image(ending)))
        with only_words(), np.errstate(all='ignore'):
            read_depth_values(file)

    check()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)
CAMERA_WORDS = (
    'image_width image_height camera_matrix data distortion_coefficients projection_matrix width '
    'height k K d p r roi header frame_id x_offset binning_x fx fy cx cy ppx ppy coeffs model '
    'intrinsic_matrix intrinsic cam_K depth_scale 0'
)
CAMERA_KEYS = re.split(' ', CAMERA_WORDS)
camera_like = st.dictionaries(
    st.sampled_from(CAMERA_KEYS),
    json_values | st.lists(st.floats(1, 9), min_size=9, max_size=9) | st.integers(1, 20),
    max_size=8,
)


@few
@given(camera_like | json_values, st.booleans())
def test_a_camera_file_of_any_values(content: Any, as_yaml: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'camera_info.yaml'
        text = yaml.safe_dump(content) if as_yaml else json.dumps(content)
        file.write_text(text, encoding='utf-8', errors='surrogatepass')
        with only_words():
            read_camera_file(file, '000001')


COCO = {
    'images': [{'id': 1, 'file_name': '000001.png', 'width': 16, 'height': 12}],
    'annotations': [
        {'id': 1, 'image_id': 1, 'segmentation': [[2, 3, 6, 3, 6, 7, 2, 7]]},
        {'id': 2, 'image_id': 1, 'segmentation': {'size': [12, 16], 'counts': [100, 4, 88]}},
    ],
}
LABELME = {
    'imagePath': '000001.png',
    'imageWidth': 16,
    'imageHeight': 12,
    'shapes': [{'label': 'a', 'points': [[2, 3], [6, 3], [6, 7]], 'shape_type': 'polygon'}],
}


@st.composite
def changed(draw: st.DrawFn, content: Any) -> Any:
    """The same with a value somewhere replaced by another."""
    copy = json.loads(json.dumps(content))
    place: Any = copy
    for _ in range(draw(st.integers(1, 5))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key]:
            break
        place, parent = place[key], place
    else:
        place = parent
    place[key] = draw(json_values | st.integers(-(10**12), 10**12) | st.floats())
    return copy


@few
@given(changed(COCO) | changed(LABELME) | json_values)
def test_annotations_of_any_values(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'a.json'
        file.write_text(json.dumps(content), encoding='utf-8', errors='surrogatepass')
        with only_words():
            read_annotations(file)


@functools.cache
def dataset_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        info = DatasetInfo('nut', Intrinsics(16, 12, 42.0, 43.0, 8.5, 6.5), 'test')
        with DatasetWriter(name, info) as writer:
            for k in range(3):
                writer.append(depth_units(k), depth_units().astype(np.uint8), np.zeros((2, 4, 4)))
            writer.write_splits({'test': [0, 2]}, 'rule')
        files = [file for file in Path(name).rglob('*') if file.is_file()]
        return {str(file.relative_to(name)): file.read_bytes() for file in files}


@pytest.mark.parametrize(
    'damaged',
    [
        'dataset.yaml',
        'frames.jsonl',
        'splits.yaml',
        'depth/000001.png',
        'labels/000001.png',
        'poses/000001.npy',
    ],
)
def test_a_damaged_file_of_a_dataset(tmp_path: Path, damaged: str) -> None:
    for name, content in dataset_files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    @few
    @given(damage())
    def check(apply: Callable[[bytes], bytes]) -> None:
        (tmp_path / damaged).write_bytes(apply(dataset_files()[damaged]))
        with only_words():
            dataset = Dataset(tmp_path)
            list(dataset.verify())
            dataset.content_hash()
            dataset.split('test')
        with only_words():
            read_all(tmp_path)

    check()


@pytest.mark.parametrize('ending', ['stl', 'ply', 'obj', 'off', 'glb'])
def test_a_damaged_mesh(tmp_path: Path, ending: str) -> None:
    trimesh = pytest.importorskip('trimesh')
    whole = trimesh.creation.box((0.1, 0.2, 0.3)).export(file_type=ending)
    content = whole if isinstance(whole, bytes) else whole.encode()
    file = tmp_path / f'x.{ending}'

    @few
    @given(damage())
    def check(apply: Callable[[bytes], bytes]) -> None:
        file.write_bytes(apply(content))
        with only_words(), np.errstate(all='ignore'):
            read_mesh(file)

    check()


@few
@given(json_values | st.dictionaries(st.sampled_from(['floor', 'region', 'corners']), json_values))
def test_a_bin_file_of_any_values(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'bin.yaml'
        file.write_text(yaml.safe_dump(content), encoding='utf-8', errors='surrogatepass')
        with only_words():
            load_bin(file)
