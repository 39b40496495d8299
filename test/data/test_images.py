"""Depth images as files: read as they are, or refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from recorded import depth_units

from insegan_ros.data.bags import Reading
from insegan_ros.data.camera_files import read_camera_file
from insegan_ros.data.images import ImageFolder, read_depth_values
from insegan_ros.data.store import DatasetError

CAMERA = {
    'image_width': 8,
    'image_height': 6,
    'camera_matrix': {'rows': 3, 'cols': 3, 'data': [10.0, 0, 3.5, 0, 11.0, 2.5, 0, 0, 1]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'camera_info.yaml').write_text(yaml.safe_dump(CAMERA))
    for k in range(3):
        depth = np.full((6, 8), 500 + k, np.uint16)
        depth[0, 0] = 0
        cv2.imwrite(str(tmp_path / f'{k}.png'), depth)
    return tmp_path


def test_frames_come_in_order_in_metres_with_holes_as_nan(folder: Path) -> None:
    frames = list(ImageFolder(folder))
    assert [float(f.depth_m[3, 3]) for f in frames] == pytest.approx([0.5, 0.501, 0.502])
    assert np.isnan(frames[0].depth_m[0, 0])
    assert frames[0].intrinsics.fy == 11.0


def test_the_unit_is_the_callers(folder: Path) -> None:
    assert ImageFolder(folder, Reading(depth_scale=0.0001))[0].depth_m[3, 3] == pytest.approx(0.05)


def test_other_images_are_refused_by_name(folder: Path) -> None:
    cv2.imwrite(str(folder / '1.png'), np.zeros((6, 8), np.uint8))
    (folder / '2.png').write_bytes(b'no image')
    source = ImageFolder(folder)
    with pytest.raises(DatasetError, match=r'1\.png is .* uint8'):
        source[1]
    with pytest.raises(DatasetError, match=r'2\.png is damaged'):
        source[2]


@pytest.mark.parametrize(
    'content', ['image_width: 3', 'a: [', '[]', 'camera_matrix: 3', 'camera_matrix: {data: [1]}']
)
def test_a_bad_camera_file_says_what_it_needs(folder: Path, content: str) -> None:
    file = folder / 'camera_info.yaml'
    file.write_text(content)
    with pytest.raises(DatasetError, match=r'camera_info\.yaml'):
        read_camera_file(file)


def test_a_missing_camera_or_an_empty_folder_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / 'camera_info.yaml').unlink()
    with pytest.raises(DatasetError, match='camera'):
        ImageFolder(folder)
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(DatasetError, match=r'no depth image'):
        ImageFolder(empty)


@pytest.mark.parametrize('kind', ['>u2', '<u2', '>f4', '<f8', '>f8', '<f2', '<i4', '>i8'])
def test_arrays_of_any_byte_order_and_width_are_read(folder: Path, kind: str) -> None:
    unit = 1000 if np.dtype(kind).kind == 'f' else 1
    np.save(folder / '0.npy', (np.full((6, 8), 500) / unit).astype(kind))
    (folder / '0.png').unlink()
    assert ImageFolder(folder)[0].depth_m[3, 3] == pytest.approx(0.5, abs=1e-3)


def test_a_link_that_leads_nowhere_is_named_and_the_rest_is_read(folder: Path) -> None:
    (folder / '1.png').unlink()
    (folder / '1.png').symlink_to(folder / 'gone')
    source = ImageFolder(folder)
    assert [name for name, _ in source.frames()] == ['0', '2']
    assert '1.png' in ' '.join(source.left_out.reasons)


def test_negative_integers_are_unmeasured(folder: Path) -> None:
    marked = np.where(depth_units() > 0, depth_units(), -1).astype(np.int16)
    np.save(folder / 'x.npy', marked)
    np.testing.assert_array_equal(read_depth_values(folder / 'x.npy'), depth_units())


def test_a_stack_of_images_in_one_file_is_refused_and_small_copies_are_not(tmp_path: Path) -> None:
    file, units = tmp_path / 'x.tif', depth_units()
    cv2.imwritemulti(str(file), [units, units[::2, ::2].copy()])
    np.testing.assert_array_equal(read_depth_values(file), units)
    cv2.imwritemulti(str(file), [units, units])
    with pytest.raises(DatasetError, match='a stack of 2 images; one a file is expected'):
        read_depth_values(file)


def test_a_chunk_that_is_longer_than_its_file_costs_no_memory(
    tmp_path: Path, bounded_memory: None
) -> None:
    content = bytearray(cv2.imencode('.png', depth_units())[1].tobytes())
    content[33:39] = b'\x3e\x01\x00\x41AT'  # a gigabyte of an unknown kind
    (tmp_path / 'x.png').write_bytes(content)
    with pytest.raises(DatasetError, match='is damaged: it is cut short'):
        read_depth_values(tmp_path / 'x.png')
