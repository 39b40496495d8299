"""What camera_info says becomes the pinhole camera of the image, or it is said why it cannot."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from insegan_ros.data.camera_model import CameraInfo, camera_of
from insegan_ros.data.depth_messages import MessageError
from insegan_ros.types import Intrinsics

SIZE = (96, 72)
K = (150.0, 0.0, 47.5, 0.0, 150.0, 35.5, 0.0, 0.0, 1.0)
P = (150.0, 0.0, 47.5, 0.0, 0.0, 150.0, 35.5, 0.0, 0.0, 0.0, 1.0, 0.0)
OTHER_P = (140.0, 0.0, 46.0, 0.0, 0.0, 141.0, 34.0, 0.0, 0.0, 0.0, 1.0, 0.0)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
CAMERA = Intrinsics(96, 72, 150.0, 150.0, 47.5, 35.5)
INFO = CameraInfo(*SIZE, K, (0.0,) * 5, 'plumb_bob', p=P)
BARREL = (-0.3, 0.1, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ('k', 'p'), [(K, P), (IDENTITY, P), ((0.0,) * 9, P), (K, (0.0,) * 12), (K, ())]
)
def test_whichever_of_k_and_p_is_filled_in_is_the_camera(k: tuple, p: tuple) -> None:
    camera = camera_of(replace(INFO, k=k, p=p), SIZE)
    assert camera.intrinsics == CAMERA
    assert camera.notes == ()


def test_where_k_and_p_differ_p_is_taken_and_it_is_said() -> None:
    camera = camera_of(replace(INFO, p=OTHER_P), SIZE)
    assert (camera.intrinsics.fx, camera.intrinsics.cy) == (140.0, 34.0)
    assert 'differ' in camera.notes[0]


def test_a_camera_without_focal_length_is_refused() -> None:
    with pytest.raises(MessageError, match='is the camera calibrated'):
        camera_of(replace(INFO, k=IDENTITY, p=(0.0,) * 12), SIZE)


@pytest.mark.parametrize(
    ('fx', 'cx'),
    [(0.06, 47.5), (1.0, 47.5), (150.0, 5000.0), (150.0, -5000.0)],
)
def test_a_camera_that_would_see_behind_itself_is_refused(fx: float, cx: float) -> None:
    info = replace(INFO, k=(fx, 0, cx, 0, fx, 35.5, 0, 0, 1), p=())
    with pytest.raises(MessageError, match=r'it would see \d+\.\d degrees off its axis'):
        camera_of(info, SIZE)


@pytest.mark.parametrize(
    ('k', 'said'),
    [
        ((150, 0, 110, 0, 150, 35.5, 0, 0, 1), 'the principal point 110, 35.5 lies outside'),
        ((150, 0, 47.5, 0, 150, -9, 0, 0, 1), 'the principal point 47.5, -9 lies outside'),
        ((9000, 0, 47.5, 0, 9000, 35.5, 0, 0, 1), 'focal lengths 9000, 9000 px'),
        ((150, 0, 47.5, 0, 400, 35.5, 0, 0, 1), 'focal lengths 150, 400 px'),
        (
            (150, 4, 47.5, 0, 150, 35.5, 0, 0, 1),
            'the skew of the camera matrix, 4 px,',
        ),
    ],
)
def test_what_is_odd_about_a_camera_is_said(k: tuple, said: str) -> None:
    [note] = camera_of(replace(INFO, k=k, p=()), SIZE).notes
    assert said in note


@pytest.mark.parametrize(
    ('k', 'p', 'said'),
    [
        ((150, 0, 0, 0, 150, 0, 47.5, 35.5, 1), (), r'K is \[.*columns'),
        ((150, 0, 47.5, 30, 150, 35.5, 0, 0, 1), (), r'K is \['),
        ((300, 0, 95, 0, 300, 71, 0, 0, 2), (), r'K is \['),
        ((), (150, 0, 47.5, 0, 0, 150, 35.5, 0, 0, 0, 2, 0), r'P .*is \['),
    ],
)
def test_a_matrix_that_is_no_camera_s_is_refused(k: tuple, p: tuple, said: str) -> None:
    with pytest.raises(MessageError, match=said):
        camera_of(replace(INFO, k=k, p=p), SIZE)


def test_a_last_number_that_was_not_filled_in_is_taken_for_one() -> None:
    k = (150.0, 0.0, 47.5, 0.0, 150.0, 35.5, 0.0, 0.0, 0.0)
    assert camera_of(replace(INFO, k=k, p=()), SIZE).notes == ()


@pytest.mark.parametrize('other', [{'roi': (10, 0, 40, 40)}, {'binning': (2, 2)}])
def test_what_is_said_of_other_images_than_these_is_named(other: dict) -> None:
    [note] = camera_of(replace(INFO, **other), SIZE).notes
    assert f'the {next(iter(other))}' in note.lower()
    assert 'is not used: the images have its whole size' in note


def test_binning_and_a_window_of_the_sensor_move_the_camera_with_the_pixels() -> None:
    big_k = (300.0, 0.0, 95.5, 0.0, 300.0, 71.5, 0.0, 0.0, 1.0)
    whole = CameraInfo(192, 144, big_k)
    assert camera_of(replace(whole, binning=(2, 2)), SIZE).intrinsics == CAMERA
    window = replace(whole, roi=(10, 20, 96, 72))
    expected = Intrinsics(96, 72, 300.0, 300.0, 85.5, 51.5)
    assert camera_of(window, SIZE).intrinsics == expected
    both = camera_of(replace(whole, roi=(10, 20, 96, 72), binning=(2, 2)), (48, 36)).intrinsics
    assert (both.fx, both.cx) == (150.0, 42.5)


def test_a_size_that_nothing_explains_is_refused_with_all_of_it() -> None:
    with pytest.raises(
        MessageError, match=r'64 x 48 px but camera_info is for 96 x 72.*binning 2'
    ):
        camera_of(replace(INFO, binning=(2, 3)), (64, 48))


def test_a_lens_that_moves_no_pixel_by_half_a_pixel_counts_as_none() -> None:
    assert camera_of(replace(INFO, d=(1e-4, 0.0, 0.0, 0.0, 0.0)), SIZE).distortion == ()


@pytest.mark.parametrize(
    ('rectified', 'topic', 'p', 'undistorted'),
    [
        (None, '/cam/depth/image_raw', P, True),
        (None, '/cam/depth/image_raw', OTHER_P, True),
        (None, '/direct/depth/image_raw', OTHER_P, True),  # "rect" is in direct
        (None, '/cam/depth/image_rect_raw', P, True),  # P = K: no rectification was worked out
        (None, '/cam/depth/image_rect', OTHER_P, False),
        (None, '/cam/depth/image_rect/compressedDepth', OTHER_P, False),
        (True, '/cam/depth/image_raw', P, False),
        (False, '/cam/depth/image_rect', OTHER_P, True),
    ],
)
def test_what_is_not_rectified_is_undistorted_and_it_is_said(
    rectified: bool | None, topic: str, p: tuple, undistorted: bool
) -> None:
    camera = camera_of(replace(INFO, d=BARREL, p=p), SIZE, rectified, topic=topic)
    assert bool(camera.distortion) == undistorted
    assert ('are undistorted' in camera.notes[0]) == undistorted
    assert camera.intrinsics.fx == (p[0] if not undistorted else K[0])


@pytest.mark.parametrize(
    ('model', 'd'),
    [
        ('plumb_bob', BARREL),
        ('rational_polynomial', (0.3, 0.1, 0.0, 0.0, 0.02, 0.5, 0.1, 0.01)),
        ('equidistant', (0.1, 0.02, 0.0, 0.0)),
    ],
)
def test_an_undistorted_plane_is_a_plane(model: str, d: tuple) -> None:
    """A slanted plane as the lens would show it: each pixel's depth is that of its bent ray."""
    k, lens = CAMERA.matrix, np.array(d)
    pixels = np.stack(np.meshgrid(np.arange(96.0), np.arange(72.0)), -1).reshape(-1, 1, 2)
    undistort = cv2.fisheye.undistortPoints if model == 'equidistant' else cv2.undistortPoints
    rays = undistort(pixels, k, lens).reshape(72, 96, 2)
    seen = (0.6 / (1 + 0.4 * rays[..., 0] - 0.2 * rays[..., 1])).astype(np.float32)
    camera = camera_of(replace(INFO, d=d, distortion_model=model), SIZE)
    depth = camera.frame(seen).depth_m
    x = (np.arange(96) - 47.5) / 150
    y = (np.arange(72)[:, None] - 35.5) / 150
    true = 0.6 / (1 + 0.4 * x - 0.2 * y)
    known = np.isfinite(depth)
    assert known.mean() > 0.8
    assert np.abs(depth - true)[known].max() < 0.003  # a pixel is 2 mm of depth here
    straight = np.abs(seen - true)
    assert straight.max() > 0.004  # and without it would be off


def test_an_unknown_lens_is_refused_with_the_known_ones() -> None:
    for model, d in (('omni', BARREL), ('plumb_bob', (0.5, 0.1, 0.3))):
        with pytest.raises(MessageError, match=r'distortion model .* valid: plumb_bob'):
            camera_of(replace(INFO, d=d, distortion_model=model), SIZE, topic='/image_raw')
    assert camera_of(replace(INFO, d=BARREL, distortion_model='omni'), SIZE, True).intrinsics
