"""Which topic of a recording holds the depth, and which camera took it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from recorded import CAMERA, DEPTH, HEIGHT, START, STEP, WIDTH, Bag, depth_units, notes, seen

from insegan_ros.data.bags import Reading, Recording
from insegan_ros.data.camera_model import CameraInfo
from insegan_ros.data.store import DatasetError
from insegan_ros.types import Intrinsics

IMAGE = f'{DEPTH}/image_rect_raw'


# --- topics and cameras ------------------------------------------------------------------------

OTHER = Intrinsics(WIDTH, HEIGHT, 99.0, 98.0, 7.5, 5.5)
COLOUR = '/cam/color/camera_info'


def camera(bag: Bag, tmp_path: Path, **how: object) -> Intrinsics:
    with Recording(bag.write(tmp_path / 'b'), reading=Reading(**how)) as recording:
        return next(iter(recording)).intrinsics


def test_the_camera_is_that_of_the_images_frame(tmp_path: Path) -> None:
    bag = Bag().info(camera=OTHER, topic=COLOUR, frame_id='colour').info().image()
    assert camera(bag, tmp_path) == CAMERA


def test_depth_aligned_to_colour_has_the_colour_s_camera(tmp_path: Path) -> None:
    bag = Bag().info(camera=OTHER, topic=COLOUR, frame_id='colour').info()
    assert camera(bag.image(frame_id='colour'), tmp_path) == OTHER


def test_only_another_camera_s_info_is_refused_and_a_file_helps(tmp_path: Path) -> None:
    bag = Bag().info(camera=OTHER, topic=COLOUR, frame_id='colour').image()
    path = bag.write(tmp_path / 'b')
    with pytest.raises(DatasetError, match=r"color.*another camera.*'colour'.*--camera-info FILE"):
        Recording(path)
    known = CameraInfo(WIDTH, HEIGHT, tuple(CAMERA.matrix.reshape(-1)))
    with Recording(path, reading=Reading(camera=known)) as recording:
        assert next(iter(recording)).intrinsics == CAMERA


def test_the_camera_beside_the_images_is_taken_with_a_word_whatever_its_frame(
    tmp_path: Path,
) -> None:
    path = Bag().info(frame_id='depth_frame').image().write(tmp_path / 'b')
    assert len(seen(path)) == 1
    assert "'depth_frame', that of the images" in notes(path)


def test_a_camera_info_that_came_once_serves_all_images_earlier_ones_too(tmp_path: Path) -> None:
    bag = Bag().image(START, depth_units(0)).info(START + 5).image(START + STEP, depth_units(1))
    assert seen(bag.write(tmp_path / 'b')) == [500, 501]


def test_a_camera_that_changes_in_mid_recording_changes_with_its_stamp(tmp_path: Path) -> None:
    bag = Bag().info().image()
    bag.image(START + STEP, depth_units(1)).info(START + STEP, OTHER)  # the image comes first
    small = Intrinsics(8, 6, 20.0, 20.0, 3.5, 2.5)
    bag.info(START + 2 * STEP, small).image(START + 2 * STEP, depth_units()[:6, :8])
    with Recording(bag.write(tmp_path / 'b')) as recording:
        assert [frame.intrinsics for frame in recording] == [CAMERA, OTHER, small]


def test_of_several_depth_topics_one_is_to_be_chosen(tmp_path: Path) -> None:
    other = '/cam/aligned_depth_to_color/image_raw'
    bag = Bag().info().image().image(topic=other, pixels=depth_units(9))
    path = bag.write(tmp_path / 'b')
    with pytest.raises(DatasetError, match=f'several depth topics .*{other}.*--topic'):
        Recording(path)
    assert seen(path, other) == [509]
    assert seen(path, other[1:]) == [509]
    with pytest.raises(DatasetError, match=r'no topic /x; its image topics: .*16UC1'):
        Recording(path, '/x')


def test_pictures_of_the_depth_and_colour_images_are_no_depth_topics(tmp_path: Path) -> None:
    colour = np.zeros((HEIGHT, WIDTH * 3), np.uint8)
    bag = Bag().info().image()
    for topic in ('/cam/depth/image_colorized', '/cam/color/image_raw'):
        bag.image(topic=topic, pixels=colour, encoding='rgb8', width=WIDTH)
    assert seen(bag.write(tmp_path / 'b')) == [500]


def test_a_depth_topic_of_another_name_is_known_by_its_encoding(tmp_path: Path) -> None:
    bag = Bag().info(topic='/oak/stereo/camera_info').image(topic='/oak/stereo/image_raw')
    assert seen(bag.write(tmp_path / 'b')) == [500]


def test_a_camera_whose_k_is_not_filled_in_is_that_of_p(tmp_path: Path) -> None:
    p = np.hstack([CAMERA.matrix, np.zeros((3, 1))])
    assert camera(Bag().info(k=np.eye(3), p=p).image(), tmp_path) == CAMERA


def test_images_of_a_bent_lens_are_undistorted_and_it_is_said(tmp_path: Path) -> None:
    bag = Bag().info(d=(-2.0, 0.5, 0, 0, 0)).image(topic=f'{DEPTH}/image_raw')
    assert 'they are undistorted' in notes(bag.write(tmp_path / 'b'))


def test_binned_images_have_the_binned_camera(tmp_path: Path) -> None:
    whole = Intrinsics(32, 24, 84.0, 86.0, 17.5, 13.5)
    assert camera(Bag().info(camera=whole, binning=(2, 2)).image(), tmp_path) == CAMERA


def test_rvl_images_are_read(tmp_path: Path) -> None:
    from test_depth_messages import rvl_bytes

    data = struct.pack('<iff', 0, 0, 0) + rvl_bytes(depth_units(3))
    bag = Bag().info().compressed('16UC1; compressedDepth rvl', data)
    assert seen(bag.write(tmp_path / 'b')) == [503]
