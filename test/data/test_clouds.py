"""Point clouds of cameras: read as depth images, or refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cloud_writer import CAMERA, CAMERA_YAML, bin_depth, folder_of, pcd, ply, points_of

from insegan_ros.data.bags import Reading
from insegan_ros.data.cloud_files import decode_pcd, decode_ply
from insegan_ros.data.images import ImageFolder, list_images
from insegan_ros.data.lzf import decode_lzf
from insegan_ros.data.store import DatasetError

POINTS = points_of(bin_depth())
ORGANISED = {
    'ascii.ply': ply(POINTS, 'ascii'),
    'crlf.ply': ply(POINTS, 'ascii', newline='\r\n'),
    'binary.ply': ply(POINTS),
    'big.ply': ply(POINTS, 'binary_big_endian', kind='double'),
    'plain.ply': ply(POINTS, colour=False),
    'ascii.pcd': pcd(POINTS, 'ascii'),
    'binary.pcd': pcd(POINTS),
    'compressed.pcd': pcd(POINTS, 'binary_compressed'),
}


def require_the_bin(folder: Path, reading: Reading | None = None) -> None:
    frame = ImageFolder(folder, reading)[0]
    assert np.allclose(frame.depth_m, bin_depth(), atol=1e-5, equal_nan=True)
    assert frame.intrinsics.matrix == pytest.approx(CAMERA.matrix, abs=0.01)


@pytest.mark.parametrize('name', ORGANISED)
def test_an_organised_cloud_tells_its_depth_and_its_camera(tmp_path: Path, name: str) -> None:
    require_the_bin(folder_of(tmp_path / 'clouds', name, ORGANISED[name]))


def test_what_is_not_measured_may_be_nan_or_zero_or_infinite(tmp_path: Path) -> None:
    for value in (0.0, np.inf):
        points = POINTS.copy()
        points[0] = value
        require_the_bin(folder_of(tmp_path / 'clouds', 'a.pcd', pcd(points)))


def test_a_cloud_in_millimetres_is_read_when_it_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / 'clouds', 'a.ply', ply(1000 * POINTS))
    require_the_bin(folder, Reading(float_scale=0.001))


def test_a_cloud_that_does_not_tell_its_size_is_organised_as_its_camera(tmp_path: Path) -> None:
    content = ply(POINTS, size=None)
    require_the_bin(folder_of(tmp_path / 'clouds', 'a.ply', content, CAMERA_YAML))


def test_an_unorganised_cloud_is_projected_by_its_camera(tmp_path: Path) -> None:
    measured = POINTS[np.isfinite(POINTS[:, 2])]
    shuffled = np.random.default_rng(0).permutation(measured)
    behind = np.concatenate([shuffled, 1.5 * shuffled[:40], [[9.0, 9.0, 1.0], [0, 0, -1.0]]])
    content = pcd(behind, size=(len(behind), 1))
    require_the_bin(folder_of(tmp_path / 'clouds', 'a.pcd', content, CAMERA_YAML))


def test_an_unorganised_cloud_without_a_camera_is_refused_in_words(tmp_path: Path) -> None:
    for name, content in (
        ('a.ply', ply(POINTS, size=None)),
        ('a.pcd', pcd(POINTS, size=(280, 1))),
    ):
        folder = folder_of(tmp_path / name, name, content)
        with pytest.raises(DatasetError, match=r'280 points.*unorganised.*--camera-info'):
            ImageFolder(folder)


def test_a_cloud_in_the_robots_frame_is_refused(tmp_path: Path) -> None:
    turned = POINTS @ np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1.0]]) + (0.4, 0, 0.1)
    with pytest.raises(DatasetError, match=r"miss the rays.*camera's own frame"):
        ImageFolder(folder_of(tmp_path / 'a', 'a.pcd', pcd(turned)))
    source = ImageFolder(folder_of(tmp_path / 'b', 'b.pcd', pcd(turned), CAMERA_YAML))
    with pytest.raises(DatasetError, match=r'b\.pcd: its points miss the rays of the camera'):
        source[0]


def test_a_cloud_that_looks_backwards_is_refused(tmp_path: Path) -> None:
    source = ImageFolder(folder_of(tmp_path / 'a', 'a.pcd', pcd(-POINTS), CAMERA_YAML))
    with pytest.raises(DatasetError, match='none of its 280 points lies before the camera'):
        source[0]


def test_a_damaged_cloud_costs_itself_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / 'a', '0.ply', ORGANISED['binary.ply'][:900])
    for name in ('1.ply', '2.ply'):
        (folder / name).write_bytes(ORGANISED['binary.ply'])
    source = ImageFolder(folder)
    assert [name for name, _ in source.frames()] == ['1', '2']
    assert 'cut short' in source.left_out.reasons[0]


def test_images_come_before_clouds_and_a_mesh_beside_them_is_none(tmp_path: Path) -> None:
    (tmp_path / 'part.ply').write_bytes(ORGANISED['binary.ply'])
    assert [file.name for file in list_images(tmp_path)] == ['part.ply']
    np.save(tmp_path / 'a.npy', bin_depth())
    assert [file.name for file in list_images(tmp_path)] == ['a.npy']


HEADER = b'ply\nformat ascii 1.0\nelement vertex 2\n'
XYZ = b'property float x\nproperty float y\nproperty float z\n'
PCD = ORGANISED['binary.pcd']


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        (b'', 'does not begin with ply'),
        (b'ply\nformat ascii 1.0\n', 'end_header'),
        (HEADER + b'property float x\nproperty float y\nend_header\n1 2\n3 4\n', 'x, y and z'),
        (HEADER + XYZ + b'end_header\n', 'holds 0'),
        (HEADER + XYZ + b'end_header\n1 2 3\n', 'says 2 points and holds 1'),
        (HEADER + XYZ + b'end_header\n1 2 3\n4 5\n', 'PLY point cloud'),
        (HEADER + XYZ + b'end_header\n1 2 3\n4 5 six\n', 'six'),
        (HEADER.replace(b'2', b'0') + XYZ + b'end_header\n', 'says 0 points'),
        (HEADER.replace(b'2', b'99999999999') + XYZ + b'end_header\n1 2 3\n', '99999999999'),
        (HEADER.replace(b'2', b'-1') + XYZ + b'end_header\n', 'says -1 points'),
        (HEADER + b'property half w\n' + XYZ + b'end_header\n', 'half w'),
        (HEADER + b'property list uchar int n\n' + XYZ + b'end_header\n', 'list uchar int n'),
        (HEADER.replace(b'ascii', b'binary') + XYZ + b'end_header\n', "format is 'binary'"),
        (HEADER + XYZ + b'property float x\nend_header\n1 2 3 4\n', 'x, y, z, x'),
        (b'ply\nformat ascii 1.0\nelement face 1\n' + HEADER[21:] + XYZ + b'end_header\n', 'face'),
        (b'ply\nformat ascii 1.0\nelement\nend_header\n', 'PLY point cloud'),
        (b'solid mesh\n' * 10, 'does not begin with ply'),
    ],
)
def test_a_file_that_is_no_ply_cloud_is_refused_in_words(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=r'a\.ply is no PLY') as error:
        decode_ply(content, 'a.ply')
    assert told in str(error.value)


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        (b'', 'no line DATA'),
        (PCD[:700], 'cut short'),
        (PCD.replace(b'FIELDS x y z', b'FIELDS a b c'), 'x, y and z'),
        (PCD.replace(b'WIDTH 20', b'WIDTH 21'), 'WIDTH 21 x HEIGHT 14'),
        (PCD.replace(b'WIDTH 20\n', b''), 'lacks WIDTH'),
        (PCD.replace(b'WIDTH 20', b'WIDTH many'), 'many'),
        (PCD.replace(b'SIZE 4 4 4 1 4', b'SIZE 4 4 4 1'), 'different numbers'),
        (PCD.replace(b'SIZE 4 4 4 1 4', b'SIZE 3 4 4 1 4'), 'f3'),
        (PCD.replace(b'COUNT 1 1 1 4 1', b'COUNT 1 1 1 0 1'), 'COUNT is 1 1 1 0 1'),
        (PCD.replace(b'DATA binary', b'DATA zipped'), 'zipped'),
        (ORGANISED['compressed.pcd'][:900], 'cut short'),
        (ORGANISED['compressed.pcd'][:208], 'PCD point cloud'),
    ],
)
def test_a_file_that_is_no_pcd_is_refused_in_words(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=r'a\.pcd is no PCD') as error:
        decode_pcd(content, 'a.pcd')
    assert told in str(error.value)


def test_lzf_repeats_what_it_refers_to() -> None:
    # ab, then 6 bytes from 2 back: ababab; then a run of 10 from 1 back by a long length
    packed = bytes([1]) + b'ab' + bytes([4 << 5, 1]) + bytes([7 << 5, 1, 0])
    assert decode_lzf(packed, 18) == b'abababab' + b'b' * 10


@pytest.mark.parametrize(
    ('packed', 'size'),
    [
        (bytes([1]) + b'ab', 3),
        (bytes([4 << 5, 9]), 6),
        (bytes([1]) + b'ab', 1),
        (bytes([7 << 5]), 9),
    ],
)
def test_damaged_lzf_is_refused(packed: bytes, size: int) -> None:
    with pytest.raises(ValueError, match=r'damaged|cut short|holds'):
        decode_lzf(packed, size)


def test_no_bytes_of_a_cloud_do_more_than_fail_in_words() -> None:
    rng = np.random.default_rng(0)
    for name in ('ascii.ply', 'binary.ply', 'binary.pcd', 'compressed.pcd', 'ascii.pcd'):
        decode = decode_ply if name.endswith('ply') else decode_pcd
        for _ in range(60):
            content = bytearray(ORGANISED[name])
            for at in rng.integers(0, min(len(content), 600), 3):
                content[at] = rng.integers(256)
            try:
                decode(bytes(content[: rng.integers(20, len(content))]), name)
            except ValueError as error:
                assert name in str(error)  # noqa: PT017 some damage shows in the points alone
