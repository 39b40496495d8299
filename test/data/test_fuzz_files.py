"""Files damaged anywhere give an error in words or a result, and never anything else."""

from __future__ import annotations

import functools
import io
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from damage import damage, few, only_words, read_all
from hypothesis import given
from hypothesis import strategies as st
from recorded import depth_units

from insegan_ros.data.annotations import read_annotations
from insegan_ros.data.camera_files import read_camera_file
from insegan_ros.data.images import DECODERS, read_depth_values
from insegan_ros.data.meshes import read_mesh
from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.parts_bin import load_bin
from insegan_ros.types import Intrinsics

pytestmark = pytest.mark.usefixtures('bounded_memory')

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
