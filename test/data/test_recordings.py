"""Recordings as people have them: split, compressed, cut short, of two cameras, damaged."""

from __future__ import annotations

import bz2
import gzip
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from lz4 import frame as lz4
from recorded import DEPTH, HEIGHT, START, STEP, WIDTH, Bag, depth_units, notes, seen, storage_file
from rosbags.highlevel import AnyReader

from insegan_ros.data.bags import Recording
from insegan_ros.data.store import DatasetError, to_units
from insegan_ros.types import Intrinsics

try:
    from compression import zstd  # Python 3.14
except ImportError:
    from backports import zstd

IMAGE = f'{DEPTH}/image_rect_raw'


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('compress', ['', 'message', 'file', 'storage'])
def test_messages_are_those_that_the_rosbags_library_reads(
    tmp_path: Path, storage: str, compress: str
) -> None:
    if (storage, compress) == ('sqlite3', 'storage'):
        pytest.skip('SQLite has no compression of its own')
    path = Bag().frames(5).write(tmp_path / 'b', storage, compress)
    with AnyReader([path]) as reader:
        expected = [reader.deserialize(r, c.msgtype) for c, _, r in reader.messages()]
    images = [m for m in expected if hasattr(m, 'encoding')]
    with Recording(path) as recording:
        frames = list(recording)
        assert recording.is_whole
        assert recording.notes == []
    assert len(frames) == len(recording) == len(images) == 5
    for frame, image in zip(frames, images):
        units = np.frombuffer(image.data, '<u2').reshape(HEIGHT, WIDTH)
        np.testing.assert_array_equal(to_units(frame.depth_m, 0.001), units)
        assert frame.stamp_ns == image.header.stamp.sec * 10**9 + image.header.stamp.nanosec


@pytest.mark.parametrize('compress', ['', 'lz4', 'bz2'])
def test_bags_of_ros_1_are_read_by_any_name(tmp_path: Path, compress: str) -> None:
    path = Bag(ros1=True).frames(3).write(tmp_path / 'x.bag', compress=compress)
    path = path.rename(tmp_path / 'x.bag.active')
    assert seen(path) == [500, 501, 502]


@pytest.mark.parametrize(
    ('ending', 'pack'),
    [
        ('.zstd', zstd.compress),
        ('.zst', lambda c: zstd.compress(c[:500]) + zstd.compress(c[500:])),
        ('.lz4', lz4.compress),
        ('.gz', gzip.compress),
        ('.bz2', bz2.compress),
    ],
)
@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_compressed_files_are_unpacked(tmp_path: Path, ending: str, pack, storage: str) -> None:
    file = storage_file(Bag().frames(3).write(tmp_path / 'b', storage))
    packed = tmp_path / f'part{file.suffix}{ending}'
    packed.write_bytes(pack(file.read_bytes()))
    assert seen(packed) == [500, 501, 502]


def split(tmp_path: Path, parts: int = 3) -> Path:
    """A recording of twelve and more files, numbered past nine."""
    folder = tmp_path / 'rec with ünicode and spaces'
    folder.mkdir()
    for k in range(parts):
        bag = Bag().info(START + k * STEP).image(START + k * STEP, depth_units(k))
        shutil.copy(storage_file(bag.write(tmp_path / f'p{k}')), folder / f'rec_{k}.mcap')
    listed = ''.join(f'  - rec_{k}.mcap\n' for k in range(parts))
    text = f'rosbag2_bagfile_information:\n  version: 5\n  relative_file_paths:\n{listed}'
    (folder / 'metadata.yaml').write_text(text)
    return folder


def test_a_split_recording_is_read_in_its_order_with_and_without_metadata(tmp_path: Path) -> None:
    folder = split(tmp_path, 12)
    assert seen(folder) == list(range(500, 512))
    (folder / 'metadata.yaml').unlink()
    assert seen(folder) == list(range(500, 512))
    assert 'ros2 bag reindex' in notes(folder)
    link = tmp_path / 'link'
    link.symlink_to(folder)
    assert len(seen(link)) == 12


def test_a_missing_part_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder = split(tmp_path)
    (folder / 'rec_1.mcap').unlink()
    assert seen(folder) == [500, 502]
    assert 'rec_1.mcap is missing' in notes(folder)


@pytest.mark.parametrize('content', ['', 'a: [', 'rosbag2_bagfile_information:\n\t- x', '[]'])
def test_damaged_metadata_is_named_and_the_files_are_read(tmp_path: Path, content: str) -> None:
    folder = split(tmp_path)
    (folder / 'metadata.yaml').write_text(content)
    assert seen(folder) == [500, 501, 502]
    assert 'metadata.yaml: is damaged' in notes(folder)


def test_a_part_that_metadata_does_not_list_is_read_and_named(tmp_path: Path) -> None:
    folder = split(tmp_path)
    (folder / 'rec_1.mcap').rename(folder / 'rec_9.MCAP')
    assert seen(folder) == [500, 502, 501]
    assert 'rec_9.MCAP is read, though metadata.yaml does not list it' in notes(folder)


def test_a_part_that_is_no_recording_costs_itself_alone(tmp_path: Path) -> None:
    folder = split(tmp_path)
    (folder / 'rec_1.mcap').write_bytes(b'')
    assert seen(folder) == [500, 502]
    assert 'rec_1.mcap cannot be read as a recording: it is empty' in notes(folder)
    with Recording(folder) as recording:
        assert not recording.is_whole


def test_a_part_that_lies_there_packed_and_unpacked_is_read_once(tmp_path: Path) -> None:
    folder = split(tmp_path)
    file = folder / 'rec_0.mcap'
    (folder / 'rec_0.mcap.zstd').write_bytes(zstd.compress(file.read_bytes()))
    (folder / '._rec_0.mcap').write_bytes(b'Mac OS X')
    assert seen(folder) == [500, 501, 502]


@pytest.mark.parametrize('kind', ['mcap', 'mcap zstd', 'sqlite3', 'bag', 'bag lz4'])
def test_of_a_recording_that_was_cut_short_what_is_there_is_read(
    tmp_path: Path, kind: str
) -> None:
    storage, _, compress = kind.partition(' ')
    camera = Intrinsics(64, 48, 42.0, 43.0, 31.5, 23.5)
    bag, rng = Bag(ros1=storage == 'bag').info(camera=camera), np.random.default_rng(0)
    count = 75  # 460 kB: zstd packs 128 kB at a time
    for k in range(count):
        pixels = rng.integers(1, 60000, (camera.height, camera.width)).astype(np.uint16)
        pixels[-1, -1] = 500 + k
        bag.image(START + k * STEP, pixels)
    if storage == 'bag':
        file = bag.write(tmp_path / 'x.bag', compress=compress)
    else:
        compress = 'storage' if compress else ''
        file = storage_file(bag.write(tmp_path / 'x', storage, compress))
    content = file.read_bytes()
    cut = tmp_path / f'cut{file.suffix}'
    cut.write_bytes(content[: len(content) * 2 // 3])
    with Recording(cut) as recording:
        found = [int(to_units(frame.depth_m, 0.001)[-1, -1]) for frame in recording]
        said = '; '.join(recording.notes)
        assert not recording.is_whole
    assert count / 4 < len(found) < count
    assert found == list(range(500, 500 + len(found)))
    assert 'cut' in said
    assert any(way in said for way in ('mcap recover', '.recover', 'reindex'))


def test_what_a_killed_recorder_left_in_the_log_beside_a_db3_is_read(tmp_path: Path) -> None:
    source = storage_file(Bag().frames(4).write(tmp_path / 'b', 'sqlite3'))
    file = tmp_path / 'rec' / 'rec_0.db3'
    file.parent.mkdir()
    live = tmp_path / 'live.db3'
    shutil.copy(source, live)
    database = sqlite3.connect(live)
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('PRAGMA wal_autocheckpoint=0')
    database.execute(
        'INSERT INTO messages(topic_id, timestamp, data) '
        'SELECT topic_id, timestamp + 1, data FROM messages'
    )
    database.commit()
    for ending in ('', '-wal'):
        shutil.copy(f'{live}{ending}', f'{file}{ending}')
    database.close()
    before = file.read_bytes()
    assert len(seen(file.parent)) == 8
    assert file.read_bytes() == before


def test_what_is_no_recording_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / 'empty.mcap').touch()
    (tmp_path / 'text.bag').write_text('#ROSBAG V1.1\n')
    (tmp_path / 'x.db3').write_bytes(b'nonsense')
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe.mcap')
    for name, said in (
        ('pipe.mcap', 'neither a file nor a folder'),
        ('empty.mcap', 'it is empty'),
        ('text.bag', 'of a version that is not read'),
        ('x.db3', 'does not begin as one'),
        ('folder', 'holds no .mcap'),
        ('absent', 'there is no recording'),
    ):
        with pytest.raises(DatasetError, match=said) as error:
            Recording(tmp_path / name)
        assert name in str(error.value)


def test_a_recording_without_messages_says_so(tmp_path: Path) -> None:
    bag = Bag().info()
    with pytest.raises(DatasetError, match='holds no image message'):
        Recording(bag.write(tmp_path / 'b'))
    database = storage_file(Bag().frames(1).write(tmp_path / 'c', 'sqlite3'))
    with sqlite3.connect(database) as connection:
        connection.execute('DELETE FROM messages')
    with pytest.raises(DatasetError, match='holds no image message'):
        Recording(database)


# --- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize('padding', [0, 5, 32])
@pytest.mark.parametrize('big', [False, True])
def test_padding_and_byte_order_of_rows_are_read(tmp_path: Path, padding: int, big: bool) -> None:
    bag = Bag().info().image(padding=padding, big=big)
    bag.image(START + STEP, depth_units(1).astype(np.float32) / 1000, encoding='32FC1', big=big)
    with Recording(bag.write(tmp_path / 'b')) as recording:
        first, second = recording
    np.testing.assert_array_equal(to_units(first.depth_m, 0.001), depth_units())
    np.testing.assert_array_equal(to_units(second.depth_m, 0.001), depth_units(1))


def test_one_broken_message_costs_itself_alone(tmp_path: Path) -> None:
    bag = Bag().frames(2)
    bag.image(START + 7, data=np.zeros(50, np.uint8)).image(START + 8, step=3)
    bag.image(START + 9, encoding='8UC1').image(START + 10, depth_units()[:0])
    bag.image(START + 3 * STEP, depth_units(2))
    with Recording(bag.write(tmp_path / 'b')) as recording:
        assert len(list(recording)) == 3
        assert recording.left_out.count == 4
    assert f'image 000002 of {IMAGE}, stamp {START + 7} ns' in recording.left_out.reasons[0]


def test_bytes_that_are_no_message_cost_themselves_alone(tmp_path: Path) -> None:
    file = storage_file(Bag().frames(3).write(tmp_path / 'b', 'sqlite3'))
    with sqlite3.connect(file) as database:
        ids = [i for (i,) in database.execute('SELECT id FROM messages WHERE length(data) > 380')]
        database.execute('UPDATE messages SET data = ? WHERE id = ?', (b'\0\1\0\0abc', ids[1]))
        database.execute('UPDATE messages SET data = NULL WHERE 0')
    with Recording(file) as recording:
        assert len(list(recording)) == 2
    assert 'are no sensor_msgs/msg/Image' in recording.left_out.reasons[0]


def test_stamps_may_be_absent_negative_or_out_of_order(tmp_path: Path) -> None:
    bag = Bag().info().image(0, depth_units(0), time=50).image(START + STEP, depth_units(1))
    bag.image(START, depth_units(2), time=START + 2 * STEP)
    header = bag.header(0, 'optical')
    header.stamp.sec = -5
    bag.image(0, depth_units(3), time=START + 3 * STEP, header=header)
    with Recording(bag.write(tmp_path / 'b')) as recording:
        stamps = [frame.stamp_ns for frame in recording]
    assert stamps == [50, START + STEP, START, START + 3 * STEP]
