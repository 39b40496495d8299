"""Messages become what they say, whatever their layout, or an error that says why not."""

from __future__ import annotations

from array import array
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from geometry_msgs.msg import Quaternion
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sensor_msgs.msg import CameraInfo, Image
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.data.camera_model import frame_from_messages
from insegan_ros.data.depth_messages import MessageError, depth_from_message, suspicious_depth
from insegan_ros.nodes import messages
from insegan_ros.types import DepthFrame, Intrinsics

HEADER = Header(frame_id='optical')
HEADER.stamp.sec, HEADER.stamp.nanosec = 3, 500


def image_of(pixels: np.ndarray, encoding: str, big: bool = False, padding: int = 0) -> Image:
    height, width = pixels.shape
    rows = pixels.astype(pixels.dtype.newbyteorder('>' if big else '<')).tobytes()
    rows = np.frombuffer(rows, np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
    return Image(
        header=HEADER,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=array('B', rows.tobytes()),
    )


shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)


@settings(deadline=None)
@given(hnp.arrays(np.uint16, shapes), st.booleans(), st.integers(0, 5))
def test_millimetres_become_metres_in_any_byte_order_and_padding(
    pixels: np.ndarray, big: bool, padding: int
) -> None:
    depth = depth_from_message(image_of(pixels, '16UC1', big, padding))
    np.testing.assert_array_equal(np.isnan(depth), pixels == 0)
    np.testing.assert_allclose(np.nan_to_num(depth), pixels / 1000, rtol=1e-6)


@settings(deadline=None)
@given(hnp.arrays(np.float32, shapes), st.booleans(), st.integers(0, 5))
def test_metres_stay_metres_and_what_is_no_depth_becomes_nan(
    pixels: np.ndarray, big: bool, padding: int
) -> None:
    depth = depth_from_message(image_of(pixels, '32FC1', big, padding))
    good = np.isfinite(pixels) & (pixels > 0)
    np.testing.assert_array_equal(np.isfinite(depth), good)
    np.testing.assert_array_equal(depth[good], pixels[good])


PIXELS = np.full((4, 6), 500, np.uint16)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'encoding': 'rgb8'}, "encoding is 'rgb8'; valid: 16UC1, mono16, 32FC1"),
        ({'encoding': ''}, "encoding is ''"),
        ({'data': array('B', [1] * 7)}, 'carries 7 bytes'),
        ({'step': 5}, '5 bytes a row'),
        ({'width': 60}, 'says 60 x 4'),
        ({'height': 0}, 'says 6 x 0'),
    ],
)
def test_an_image_that_contradicts_itself_is_named(change: dict, message: str) -> None:
    image = image_of(PIXELS, '16UC1')
    for key, value in change.items():
        setattr(image, key, value)
    with pytest.raises(MessageError, match=message):
        depth_from_message(image)


def camera_info(**changes: object) -> CameraInfo:
    info = CameraInfo(width=6, height=4)
    info.k = [50.0, 0.0, 3.0, 0.0, 51.0, 2.0, 0.0, 0.0, 1.0]
    info.p = [50.0, 0.0, 3.0, 0.0, 0.0, 51.0, 2.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def camera_of(info: CameraInfo) -> Intrinsics:
    return frame_from_messages(image_of(PIXELS, '16UC1'), info).intrinsics


def test_the_projection_matrix_counts_and_else_the_camera_matrix() -> None:
    expected = Intrinsics(6, 4, 50.0, 51.0, 3.0, 2.0)
    assert camera_of(camera_info(k=[9.0] * 9)) == expected
    assert camera_of(camera_info(p=[0.0] * 12)) == expected


def test_a_camera_without_focal_length_is_uncalibrated() -> None:
    with pytest.raises(MessageError, match='is the camera calibrated'):
        camera_of(camera_info(k=[0.0] * 9, p=[0.0] * 12))


def test_image_and_camera_info_of_different_sizes_are_refused() -> None:
    with pytest.raises(MessageError, match='camera_info is for 12 x 4'):
        frame_from_messages(image_of(PIXELS, '16UC1'), camera_info(width=12))


def test_a_frame_keeps_stamp_and_frame_id() -> None:
    frame = frame_from_messages(image_of(PIXELS, '16UC1'), camera_info())
    assert (frame.stamp_ns, frame.frame_id) == (3_000_000_500, 'optical')


@pytest.mark.parametrize(
    ('metres', 'suspicion'),
    [
        (0.55, None),
        (550.0, 'millimetres published as'),
        (0.0005, 'metres published as millimetres'),
    ],
)
def test_depth_in_the_wrong_unit_is_suspected(metres: float, suspicion: str | None) -> None:
    found = suspicious_depth(np.full((3, 3), metres, np.float32))
    assert (found is None) == (suspicion is None)
    assert suspicion is None or suspicion in found


@pytest.fixture
def example() -> tuple:
    depth = np.random.default_rng(0).uniform(0.4, 0.6, (4, 6)).astype(np.float32)
    depth[0, 0] = np.nan
    labels = np.array([[1, 1, 1, 0, 2, 2]] * 4)
    frame = DepthFrame(depth, Intrinsics(6, 4, 50.0, 51.0, 3.0, 2.0))
    return frame, segmentation_from_labels(frame, labels)


def pixels_of(image: Image, dtype: str) -> np.ndarray:
    flat = np.frombuffer(image.data, dtype)
    return flat.reshape(image.height, image.width, -1)


def test_every_output_carries_the_header(example: tuple) -> None:
    frame, found = example
    made = [
        messages.label_image(found, HEADER),
        messages.instance_masks(found, HEADER),
        messages.instance_depths(found, HEADER),
        messages.rendered_depth(found, HEADER),
        messages.points(frame, found, HEADER),
        messages.poses(found, HEADER),
        messages.overlay_image(frame, found, HEADER),
    ]
    assert all(message.header == HEADER for message in made)


def test_labels_masks_and_depths_agree(example: tuple) -> None:
    _, found = example
    labels = pixels_of(messages.label_image(found, HEADER), '<u2')[..., 0]
    masks = messages.instance_masks(found, HEADER)
    depths = messages.instance_depths(found, HEADER)
    assert (masks.encoding, depths.encoding) == ('8UC2', '32FC2')
    np.testing.assert_array_equal(labels, found.labels)
    for k in range(2):
        np.testing.assert_array_equal(pixels_of(masks, 'u1')[..., k] == 255, labels == k + 1)
        np.testing.assert_array_equal(pixels_of(depths, '<f4')[..., k], found.depths[k])


def test_points_carry_label_and_score(example: tuple) -> None:
    frame, found = example
    cloud = point_cloud2.read_points(messages.points(frame, found, HEADER))
    measured = np.isfinite(frame.depth_m) & (found.labels > 0)
    np.testing.assert_array_equal(cloud['label'], found.labels[measured])
    np.testing.assert_array_equal(cloud['z'], frame.depth_m[measured])
    np.testing.assert_array_equal(cloud['score'], found.scores[cloud['label'] - 1])
    assert (cloud['class_id'] == 1).all()  # one kind


def test_classes_tell_the_kind_of_every_pixel(example: tuple) -> None:
    frame, found = example
    mixed = replace(found, kinds=np.arange(found.count, 0, -1).astype(np.uint16))
    classes = pixels_of(messages.classes(mixed, HEADER), '<u2').reshape(found.labels.shape)
    for k in range(found.count):
        assert (classes[found.labels == k + 1] == found.count - k).all()
    assert (classes[found.labels == 0] == 0).all()
    cloud = point_cloud2.read_points(messages.points(frame, mixed, HEADER))
    np.testing.assert_array_equal(cloud['class_id'], mixed.kinds[cloud['label'] - 1])


def test_poses_are_unit_quaternions_at_the_instances(example: tuple) -> None:
    _, found = example
    poses = messages.poses(found, HEADER).poses
    assert len(poses) == 2
    for pose, matrix in zip(poses, found.poses):
        q: Quaternion = pose.orientation
        assert np.linalg.norm([q.x, q.y, q.z, q.w]) == pytest.approx(1)
        assert pose.position.z == pytest.approx(matrix[2, 3], rel=1e-6)


def test_no_instances_make_valid_messages(example: tuple) -> None:
    frame, _ = example
    found = segmentation_from_labels(frame, np.zeros((4, 6), int))
    assert messages.instance_masks(found, HEADER).encoding == '8UC1'
    assert np.isnan(pixels_of(messages.instance_depths(found, HEADER), '<f4')).all()
    assert messages.points(frame, found, HEADER).width == 0
    assert messages.poses(found, HEADER).poses == []
    assert messages.overlay_image(frame, found, HEADER).encoding == 'rgb8'


def test_an_array_of_another_type_than_its_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match=r'mono16.*8UC1|8UC1.*mono16'):
        messages.to_image(np.zeros((3, 4), np.uint8), 'mono16')


def test_without_an_encoding_an_image_has_its_array_s() -> None:
    for dtype, encoding in ((np.uint8, '8UC1'), (np.uint16, '16UC1'), (np.float32, '32FC1')):
        assert messages.to_image(np.zeros((2, 3), dtype)).encoding == encoding


def test_an_image_s_bytes_are_little_endian_whatever_the_array_s() -> None:
    image = messages.to_image(np.array([[1, 256]], '>u2'))
    assert bytes(image.data) == b'\x01\x00\x00\x01'
