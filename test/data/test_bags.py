"""A dataset survives the way into a recording and back; a wrong recording is named."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from insegan_ros import cli
from insegan_ros.data import bag_export, streams
from insegan_ros.data.bags import Recording
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(16, 12, 42.0, 43.0, 8.5, 6.5)
TOPIC = '/camera/camera/depth'


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    with DatasetWriter(tmp_path / 'nuts', DatasetInfo('nut', CAMERA, 'test')) as writer:
        for k in range(4):
            depth = rng.integers(0, 900, (12, 16)).astype(np.uint16)
            writer.append(depth, record={'stamp_ns': 10**18 + k})
    return Dataset(tmp_path / 'nuts')


@pytest.fixture
def bag(dataset: Dataset, tmp_path: Path) -> Path:
    how = {'frame_id': 'optical', 'topic': TOPIC, 'left_out': LeftOut('frames')}
    assert list(bag_export.write_bag(dataset, tmp_path / 'bag', **how)) == dataset.indices
    return tmp_path / 'bag'


def test_export_and_import_give_the_same_frames(dataset: Dataset, bag: Path) -> None:
    out = bag.parent / 'again'
    assert cli.main(['import', str(bag), '--part', 'nut', '--out', str(out)]) == 0
    again = Dataset(out)
    assert again.info.intrinsics == CAMERA
    assert again.indices == dataset.indices
    for index in dataset.indices:
        np.testing.assert_array_equal(again[index].frame.depth_m, dataset[index].frame.depth_m)
        assert again[index].frame.stamp_ns == dataset[index].frame.stamp_ns


def test_importing_twice_adds_nothing(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(bag.parent / 'again')
    for expected in ('2 frames added, 2 in all', '0 frames added, 2 in all'):
        cli.main(['import', str(bag), '--part', 'nut', '--out', out, '--every', '2'])
        assert expected in capsys.readouterr().out


def test_frames_keep_stamp_and_frame_id(bag: Path) -> None:
    with Recording(bag) as recording:
        frames = list(recording)
    assert [f.stamp_ns for f in frames] == [10**18 + k for k in range(4)]
    assert {f.frame_id for f in frames} == {'optical'}


def write_bag(path: Path, topics: list[str], encoding: str = '32FC1', info: bool = True) -> Path:
    """A SQLite rosbag2 with one 1.5 m image on each topic."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        header = bag_export._header(store, 5, 'f')
        data = np.full((12, 16), 1.5, np.float32)
        data[0, 0], data[0, 1] = 0, np.inf
        image = store.types['sensor_msgs/msg/Image'](
            header, 12, 16, encoding, 0, 64, data.reshape(-1).view(np.uint8)
        )
        messages = [(topic, image, 'sensor_msgs/msg/Image') for topic in topics]
        if info:
            camera_info = bag_export._camera_info(store, header, CAMERA)
            messages.append((f'{TOPIC}/camera_info', camera_info, 'sensor_msgs/msg/CameraInfo'))
        for topic, message, kind in messages:
            connection = writer.add_connection(topic, kind, typestore=store)
            writer.write(connection, 5, store.serialize_cdr(message, kind))
    return path


def test_float_metres_are_read_and_holes_become_nan(tmp_path: Path) -> None:
    with Recording(write_bag(tmp_path / 'b', [f'{TOPIC}/image'])) as recording:
        depth = next(iter(recording)).depth_m
    assert np.isnan(depth[0, :2]).all()
    assert (depth[1:] == 1.5).all()


@pytest.mark.parametrize(
    ('topics', 'info', 'message'),
    [
        (['/a/depth', '/b/depth'], True, 'several depth topics .*choose with --topic'),
        ([f'{TOPIC}/image'], False, 'no camera_info; record it with the images'),
    ],
)
def test_a_recording_without_a_clear_depth_stream_is_named(
    tmp_path: Path, topics: list[str], info: bool, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        Recording(write_bag(tmp_path / 'b', topics, info=info))


def test_a_recording_of_colour_images_lists_its_topics(tmp_path: Path) -> None:
    path = write_bag(tmp_path / 'b', ['/rgb/image'], encoding='rgb8')
    with pytest.raises(DatasetError, match=r'no depth topic; its image topics: /rgb/image \(rgb8'):
        Recording(path)


def test_colour_images_on_the_depth_topic_are_left_out(tmp_path: Path) -> None:
    path = write_bag(tmp_path / 'b', [f'{TOPIC}/image'], encoding='rgb8')
    with Recording(path) as recording:
        assert list(recording) == []
        assert recording.left_out.count == 1
        assert "encoding is 'rgb8'" in recording.left_out.reasons[0]


def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / 'x.bag').write_bytes(b'nonsense')
    with pytest.raises(DatasetError, match='cannot be read as a recording'):
        Recording(tmp_path / 'x.bag')


def test_a_realsense_bag_brings_its_own_depth_unit(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(tmp_path / 'rs.bag') as writer:

        def write(topic: str, kind: str, message: object) -> None:
            connection = writer.add_connection(topic, kind, typestore=store)
            writer.write(connection, 7, store.serialize_ros1(message, kind))

        types = store.types
        time = types['builtin_interfaces/msg/Time'](0, 7)
        header = types['std_msgs/msg/Header'](0, time, 'f')
        units = np.full((12, 16), 5000, '<u2').reshape(-1).view(np.uint8)
        image = types['sensor_msgs/msg/Image'](header, 12, 16, 'mono16', 0, 32, units)
        roi = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
        k, r, p = CAMERA.matrix.reshape(-1), np.eye(3).reshape(-1), np.zeros(12)
        info = types['sensor_msgs/msg/CameraInfo'](
            header, 12, 16, 'plumb_bob', np.zeros(5), k, r, p, 0, 0, roi
        )
        sensor = '/device_0/sensor_0'
        write(f'{sensor}/Depth_0/image/data', 'sensor_msgs/msg/Image', image)
        write(f'{sensor}/Depth_0/info/camera_info', 'sensor_msgs/msg/CameraInfo', info)
        scale = types['std_msgs/msg/Float32'](1e-4)
        write(f'{sensor}/{streams.DEPTH_UNITS_TOPIC}', 'std_msgs/msg/Float32', scale)
    with Recording(tmp_path / 'rs.bag') as recording:
        frame = next(iter(recording))
    assert frame.intrinsics == CAMERA
    np.testing.assert_allclose(frame.depth_m, 0.5, rtol=1e-6)


def write_compressed(path: Path, contents: list[tuple[str, bytes]], raw: bool = False) -> Path:
    """A recording of compressedDepth messages of (format, data); with `raw`, of images too."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:

        def write(topic: str, kind: str, message: object, stamp: int) -> None:
            known = [c for c in writer.connections if c.topic == topic]
            connection = known[0] if known else writer.add_connection(topic, kind, typestore=store)
            writer.write(connection, stamp, store.serialize_cdr(message, kind))

        for k, (form, data) in enumerate(contents):
            header = bag_export._header(store, 10**18 + k, 'optical')
            kind = 'sensor_msgs/msg/CompressedImage'
            message = types[kind](header, form, np.frombuffer(data, np.uint8))
            write(f'{TOPIC}/image_rect_raw/compressedDepth', kind, message, k)
            write(f'{TOPIC}/camera_info', 'sensor_msgs/msg/CameraInfo', info_of(store, header), k)
            if raw:
                depth = np.full((12, 16), 0.7, np.float32)
                image = bag_export._image(
                    store, header, DepthFrame(depth, CAMERA), depth_scale=0.001
                )
                write(f'{TOPIC}/image_rect_raw', 'sensor_msgs/msg/Image', image, k)
    return path


def info_of(store, header):
    return bag_export._camera_info(store, header, CAMERA)


def compressed(units: np.ndarray, a: float = 0.0, b: float = 0.0) -> bytes:
    """What compressed_depth_image_transport puts into `data`."""
    return struct.pack('<iff', 0, a, b) + cv2.imencode('.png', units)[1].tobytes()


def test_compressed_depth_images_are_read(tmp_path: Path) -> None:
    units = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16)
    forms = ['16UC1; compressedDepth png', '16UC1; compressedDepth']
    path = write_compressed(tmp_path / 'b', [(form, compressed(units)) for form in forms])
    with Recording(path) as recording:
        frames = list(recording)
    assert len(frames) == 2
    for frame in frames:
        assert np.array_equal(np.nan_to_num(frame.depth_m * 1000).round(), units)
        assert np.isnan(frame.depth_m[0, 0])
        assert frame.intrinsics == CAMERA


def test_compressed_metres_are_read(tmp_path: Path) -> None:
    """Stored as a / depth + b, with holes as 0."""
    metres = np.linspace(0.3, 1.5, 12 * 16).reshape(12, 16)
    a, b = 100.0 * 101.0, -1009.0  # fine at a bin's distance
    units = (a / metres + b).round().astype(np.uint16)
    units[0, :5] = 0
    path = write_compressed(tmp_path / 'b', [('32FC1; compressedDepth', compressed(units, a, b))])
    with Recording(path) as recording:
        (frame,) = recording
    assert np.isnan(frame.depth_m[0, :5]).all()
    np.testing.assert_allclose(frame.depth_m[1:], metres[1:], rtol=1e-3)


def test_images_recorded_both_ways_are_read_once(tmp_path: Path) -> None:
    data = compressed(np.full((12, 16), 600, np.uint16))
    path = write_compressed(tmp_path / 'b', [('16UC1; compressedDepth png', data)], raw=True)
    with Recording(path) as recording:
        (frame,) = recording
    assert frame.depth_m[0, 0] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ('form', 'data'),
    [
        ('16UC1; compressedDepth rvl', b'x' * 50),
        ('16UC1; compressedDepth png', b''),
        ('8UC1; compressedDepth png', compressed(np.zeros((12, 16), np.uint8))),
    ],
)
def test_compressed_images_that_cannot_be_read_are_named(tmp_path, form: str, data: bytes) -> None:
    path = write_compressed(tmp_path / 'b', [(form, data)])
    with Recording(path) as recording:
        assert list(recording) == []
    assert form.split(';')[0] in recording.left_out.reasons[0]


def test_what_librealsense_records_becomes_a_dataset(tmp_path: Path, software_camera) -> None:
    """Recorded by rs.recorder, which writes .db3 files now, from a software device."""
    import pyrealsense2 as rs

    software, file = software_camera(), tmp_path / 'recorded.db3'
    recorder = rs.recorder(str(file), software.device)
    sensor, queue = recorder.query_sensors()[0], rs.frame_queue(1)
    sensor.open(sensor.get_stream_profiles())
    sensor.start(queue)
    for number in range(5):
        software.send_image(np.full((480, 848), 1000 + number, np.uint16), number)
        queue.wait_for_frame(1000)
    sensor.stop()
    sensor.close()
    del sensor, recorder  # closes the file
    out = tmp_path / 'dataset'
    assert cli.main(['import', str(file), '--part', 'nut', '--out', str(out)]) == 0
    dataset = Dataset(out)
    assert dataset.info.depth_scale == 0.0005
    assert dataset.info.intrinsics == Intrinsics(848, 480, 422.0, 421.0, 423.5, 239.5)
    depths = [float(sample.frame.depth_m[240, 424]) for sample in dataset]
    assert depths == pytest.approx([0.5, 0.5005, 0.501, 0.5015, 0.502])
