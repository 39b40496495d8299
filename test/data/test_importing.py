"""`insegan import` keeps what was recorded, says what it left out, and adds nothing twice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from exr_files import exr_bytes
from recorded import CAMERA, DEPTH, HEIGHT, START, STEP, WIDTH, Bag, depth_units, imported, stored

from insegan_ros import cli
from insegan_ros.data import writer as writer_module
from insegan_ros.data.left_out import SOME_LEFT_OUT
from insegan_ros.data.store import Dataset
from insegan_ros.types import Intrinsics

Say = pytest.CaptureFixture[str]


def test_frames_of_two_recordings_with_the_same_stamps_are_all_kept(tmp_path: Path) -> None:
    out = tmp_path / 'ds'
    for place, first in (('a', 0), ('b', 10)):  # of the same name, as simulators have them
        (tmp_path / place).mkdir()
        bag = Bag()
        for k in range(3):
            bag.info(10**9 + k).image(10**9 + k, depth_units(first + k))
        assert imported(bag.write(tmp_path / place / 'rec'), out) == 0
    assert stored(out) == [500, 501, 502, 510, 511, 512]


def test_the_same_recording_adds_nothing_twice_even_renamed_or_of_one_stamp(
    tmp_path: Path, capsys: Say
) -> None:
    bag = Bag().info()
    for k in range(3):
        bag.image(START, depth_units(k))  # a driver whose clock stands still
    path = bag.write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'ds') == 0
    path.rename(tmp_path / 'other')
    assert imported(tmp_path / 'other', tmp_path / 'ds') == 0
    assert '0 frames added, 3 in all; 3 were there already' in capsys.readouterr().out
    assert stored(tmp_path / 'ds') == [500, 501, 502]


def test_more_frames_of_a_recording_join_those_that_were_kept(tmp_path: Path) -> None:
    path = Bag().frames(5).write(tmp_path / 'rec')
    imported(path, tmp_path / 'ds', '--every', '2')
    assert stored(tmp_path / 'ds') == [500, 502, 504]
    imported(path, tmp_path / 'ds')
    assert sorted(stored(tmp_path / 'ds')) == [500, 501, 502, 503, 504]


def test_what_is_left_out_is_named_counted_and_in_the_exit_code(
    tmp_path: Path, capsys: Say
) -> None:
    bag = Bag().frames(3)
    for k in range(20):
        bag.image(START + 10 * STEP + k, data=np.zeros(9, np.uint8))
    assert imported(bag.write(tmp_path / 'rec'), tmp_path / 'ds') == SOME_LEFT_OUT
    said = capsys.readouterr()
    assert '3 frames added, 3 in all' in said.out
    assert 'image 000003 of' in said.err
    assert '20 frames left out; 10 of them are not named' in said.err


def test_a_recording_of_which_nothing_can_be_used_makes_no_folder(
    tmp_path: Path, capsys: Say
) -> None:
    path = Bag().info().image(data=np.zeros(9, np.uint8)).write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'ds') == 1
    assert 'none of 1 images can be used' in capsys.readouterr().err
    assert not (tmp_path / 'ds').exists()


def test_each_camera_of_a_recording_goes_to_a_folder_of_its_own(
    tmp_path: Path, capsys: Say
) -> None:
    other = Intrinsics(8, 6, 20.0, 20.0, 3.5, 2.5)
    bag = Bag().frames(2)
    bag.info(START + 5 * STEP, other).image(START + 5 * STEP, depth_units(9)[:6, :8])
    path = bag.write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'one') == SOME_LEFT_OUT
    assert '--camera 2' in capsys.readouterr().err
    assert Dataset(tmp_path / 'one').info.intrinsics == CAMERA
    assert imported(path, tmp_path / 'two', '--camera', '2') == SOME_LEFT_OUT
    assert Dataset(tmp_path / 'two').info.intrinsics == other
    assert stored(tmp_path / 'two') == [460]
    assert imported(path, tmp_path / 'three', '--camera', '3') == 1


# --- images ------------------------------------------------------------------------------------


def images(folder: Path) -> Path:
    folder.mkdir()
    matrix = CAMERA.matrix.reshape(-1).tolist()
    content = {'width': WIDTH, 'height': HEIGHT, 'k': matrix}
    (folder / 'camera_info.json').write_text(json.dumps(content))
    units, metres = depth_units(), depth_units().astype(np.float32) / 1000
    cv2.imwrite(str(folder / '0.png'), units)
    cv2.imwrite(str(folder / '1.tiff'), units)
    cv2.imwrite(str(folder / '2.tif'), metres)
    np.save(folder / '3.npy', units)
    np.save(folder / '4.npy', metres.astype(np.float64)[..., None])
    np.savez(folder / '5.npz', depth=metres, k=np.eye(3))
    (folder / '6.exr').write_bytes(exr_bytes(metres))
    (folder / '7.exr').write_bytes(exr_bytes(metres, 0, ('B', 'depth', 'G')))
    cv2.imwrite(str(folder / '8.pgm'), units)
    cv2.imwrite(str(folder / '9.png'), np.dstack([units] * 3))  # 16-bit, three equal channels
    return folder


def test_images_of_every_format_hold_the_same_depth(tmp_path: Path) -> None:
    assert imported(images(tmp_path / 'img'), tmp_path / 'ds') == 0
    dataset = Dataset(tmp_path / 'ds')
    assert len(dataset) == 10
    for sample in dataset:
        np.testing.assert_allclose(
            np.nan_to_num(sample.frame.depth_m), depth_units() / 1000, atol=5e-4
        )
    assert imported(tmp_path / 'img', tmp_path / 'ds') == 0
    assert len(Dataset(tmp_path / 'ds')) == 10


def test_images_that_are_no_depth_cost_themselves_alone(tmp_path: Path, capsys: Say) -> None:
    folder = images(tmp_path / 'img')
    whole = (folder / '0.png').read_bytes()
    cv2.imwrite(str(folder / 'colour.png'), np.random.default_rng(0).integers(0, 255, (12, 16, 3)))
    cv2.imwrite(str(folder / 'other_size.png'), depth_units()[:5])
    cv2.imwrite(str(folder / 'eight.png'), depth_units().astype(np.uint8))
    (folder / 'empty.png').touch()
    (folder / 'cut.png').write_bytes(whole[: len(whole) // 2])
    (folder / 'text.npy').write_text('no array')
    (folder / '._0.png').write_bytes(b'Mac OS X')
    assert imported(folder, tmp_path / 'ds') == SOME_LEFT_OUT
    said = capsys.readouterr().err
    for name in ('colour', 'other_size', 'eight', 'empty', 'cut', 'text'):
        assert f'{name}.' in said
    assert '6 frames left out' in said
    assert len(Dataset(tmp_path / 'ds')) == 10


# --- folders -----------------------------------------------------------------------------------


def test_a_folder_that_another_process_writes_is_refused(tmp_path: Path, capsys: Say) -> None:
    path = Bag().frames().write(tmp_path / 'rec')
    imported(path, tmp_path / 'ds')
    with writer_module.DatasetWriter(tmp_path / 'ds', Dataset(tmp_path / 'ds').info):
        assert imported(path, tmp_path / 'ds') == 1
    assert 'being written by another process' in capsys.readouterr().err


def test_a_disk_that_fills_up_ends_in_words_and_the_next_call_goes_on(
    tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Bag().frames(4).write(tmp_path / 'rec')
    write, written = writer_module.write_atomically, []

    def full(file: Path, content: bytes) -> None:
        if file.suffix == '.png':
            written.append(file)
        if len(written) > 2:
            raise OSError(28, 'No space left on device')
        write(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, 'write_atomically', full)
        assert imported(path, tmp_path / 'ds') == 1
    assert 'No space left' in capsys.readouterr().err
    assert stored(tmp_path / 'ds') == [500, 501]
    assert imported(path, tmp_path / 'ds') == 0
    assert stored(tmp_path / 'ds') == [500, 501, 502, 503]


@pytest.mark.skipif(os.geteuid() == 0, reason='root writes everywhere')
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / 'fixed').mkdir(mode=0o500)
    path = Bag().frames().write(tmp_path / 'rec')
    assert imported(path, tmp_path / 'fixed' / 'ds') == 1
    assert 'Permission denied' in capsys.readouterr().err


def test_an_output_that_is_a_file_is_said(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / 'ds').write_text('')
    assert imported(Bag().frames().write(tmp_path / 'rec'), tmp_path / 'ds') == 1
    assert str(tmp_path / 'ds') in capsys.readouterr().err


def test_a_dataset_is_no_recording(tmp_path: Path, capsys: Say) -> None:
    imported(Bag().frames().write(tmp_path / 'rec'), tmp_path / 'ds')
    assert imported(tmp_path / 'ds', tmp_path / 'again') == 1
    assert 'is a dataset already' in capsys.readouterr().err
    assert not (tmp_path / 'again').exists()


def test_a_line_of_the_list_that_is_damaged_costs_its_frame_and_no_other(
    tmp_path: Path, capsys: Say
) -> None:
    path, out = Bag().frames(4).write(tmp_path / 'rec'), tmp_path / 'ds'
    imported(path, out)
    lines = (out / 'frames.jsonl').read_text().splitlines()
    lines[3] = '{"index": 3, "st'
    (out / 'frames.jsonl').write_text('\n'.join([lines[0], '[]', *lines[2:]]) + '\n')
    assert Dataset(out).indices == [0, 2]
    assert len(Dataset(out).notes) == 2
    assert cli.main(['verify', str(out)]) == 1
    assert 'frames.jsonl, line 2, is damaged' in capsys.readouterr().out
    assert imported(path, out) == 0  # those that are not known come again, under new numbers
    assert sorted(stored(out)) == [500, 501, 502, 503]
    assert Dataset(out).indices == [0, 2, 4, 5]


# --- segment -----------------------------------------------------------------------------------


def test_segment_names_what_it_leaves_out_and_does_the_rest(tmp_path: Path, capsys: Say) -> None:
    folder = images(tmp_path / 'img')
    (folder / '1.tiff').write_bytes(b'')
    out = tmp_path / 'out'
    call = ['segment', '--method', 'felzenszwalb', '--input', str(folder), '--out', str(out)]
    code = cli.main(call)
    said = capsys.readouterr().err
    assert '1.tiff' in said
    assert code in (1, SOME_LEFT_OUT)  # such small images may show no bin at all
    result = json.loads((out / 'result.json').read_text())
    assert '1.tiff' in result['left_out'][0]
    assert result['complete']


def test_what_an_interrupted_run_left_is_not_mixed_with_the_new(
    tmp_path: Path, capsys: Say
) -> None:
    folder, out = images(tmp_path / 'img'), tmp_path / 'out'
    call = ['segment', '--method', 'felzenszwalb', '--input', str(folder), '--out', str(out)]
    (out / 'depths').mkdir(parents=True)
    (out / 'depths' / '0_1.png').write_bytes(b'')
    assert cli.main(call) == 1
    assert 'of a run that did not end' in capsys.readouterr().err
    shutil.rmtree(out)


def test_a_recording_is_segmented_as_it_is(tmp_path: Path) -> None:
    path = Bag().info().image(topic=f'{DEPTH}/image_raw').write(tmp_path / 'rec')
    call = ['segment', '--method', 'felzenszwalb', '--input', str(path), '--out']
    cli.main([*call, str(tmp_path / 'out')])
    assert (tmp_path / 'out' / 'result.json').exists()


def test_a_split_may_name_frames_that_are_gone(tmp_path: Path) -> None:
    imported(Bag().frames(2).write(tmp_path / 'rec'), tmp_path / 'ds')
    (tmp_path / 'ds' / 'splits.yaml').write_text('test: [1, 77]\n')
    dataset = Dataset(tmp_path / 'ds')
    assert dataset.split('test') == [1]
    assert '77' in dataset.notes[0]
