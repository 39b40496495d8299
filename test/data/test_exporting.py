"""`insegan export` writes what others read, and nothing that only passes for it."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from recorded import Bag, fine, imported, stored

from insegan_ros import cli
from insegan_ros.data.left_out import SOME_LEFT_OUT
from insegan_ros.data.store import Dataset

Say = pytest.CaptureFixture[str]


# --- export ------------------------------------------------------------------------------------


@pytest.mark.parametrize('storage', ['mcap', 'db3'])
def test_an_exported_recording_is_one_that_humble_reads(tmp_path: Path, storage: str) -> None:
    yaml = pytest.importorskip('yaml')
    imported(Bag().frames(3).write(tmp_path / 'rec'), tmp_path / 'ds')
    out = tmp_path / 'bag'
    assert cli.main(['export', str(tmp_path / 'ds'), '--out', str(out), '--format', storage]) == 0
    text = (out / 'metadata.yaml').read_text()
    information = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert information['version'] <= 8
    for topic in information['topics_with_message_count']:
        assert isinstance(topic['topic_metadata']['offered_qos_profiles'], str)
    assert imported(out, tmp_path / 'again') == 0
    assert stored(tmp_path / 'again') == [500, 501, 502]


def test_fine_depth_survives_the_way_into_a_recording_and_back(tmp_path: Path) -> None:
    bag = Bag().info().image(pixels=fine(), encoding='32FC1')
    imported(bag.write(tmp_path / 'rec'), tmp_path / 'ds')
    assert cli.main(['export', str(tmp_path / 'ds'), '--out', str(tmp_path / 'bag')]) == 0
    imported(tmp_path / 'bag', tmp_path / 'again')
    frames = [Dataset(tmp_path / name)[0].frame.depth_m for name in ('ds', 'again')]
    np.testing.assert_allclose(*frames, atol=1e-6)


def test_a_damaged_frame_is_left_out_of_an_export(tmp_path: Path, capsys: Say) -> None:
    imported(Bag().frames(3).write(tmp_path / 'rec'), tmp_path / 'ds')
    (tmp_path / 'ds' / 'depth' / '000001.png').write_bytes(b'')
    for out, more in (('bag', []), ('pictures', ['--format', 'png'])):
        call = ['export', str(tmp_path / 'ds'), '--out', str(tmp_path / out), *more]
        assert cli.main(call) == SOME_LEFT_OUT
        assert '000001.png' in capsys.readouterr().err


@pytest.mark.parametrize('storage', ['mcap', 'db3'])
def test_a_disk_that_fills_up_ends_an_export_in_words(
    tmp_path: Path, capsys: Say, storage: str
) -> None:
    imported(Bag().frames(3).write(tmp_path / 'rec'), tmp_path / 'ds')
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
    try:
        call = ['export', str(tmp_path / 'ds'), '--out', str(tmp_path / 'bag')]
        assert cli.main([*call, '--format', storage]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        signal.signal(signal.SIGXFSZ, handler)
    said = capsys.readouterr().err
    assert 'defect' not in said
    assert 'too large' in said or 'is the disk full?' in said
    assert not (tmp_path / 'bag').exists()


@pytest.mark.parametrize(
    'command',
    [['export', '--format', 'png'], ['segment', '--method', 'felzenszwalb', '--input']],
)
def test_what_is_made_of_a_dataset_does_not_overwrite_it(
    tmp_path: Path, capsys: Say, command: list[str]
) -> None:
    imported(Bag().frames(2).write(tmp_path / 'rec'), tmp_path / 'ds')
    before = sorted(tmp_path.rglob('*'))
    assert cli.main([*command, str(tmp_path / 'ds'), '--out', str(tmp_path / 'ds')]) == 1
    assert 'is a dataset; name another folder' in capsys.readouterr().err
    assert sorted(tmp_path.rglob('*')) == before


def test_an_export_that_was_interrupted_leaves_nothing_that_passes_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from insegan_ros.data import bag_export

    imported(Bag().frames(3).write(tmp_path / 'rec'), tmp_path / 'ds')
    call = ['export', str(tmp_path / 'ds'), '--out', str(tmp_path / 'bag')]
    with monkeypatch.context() as patch:
        patch.setattr(bag_export, '_image', lambda *_: 1 / 0)
        assert cli.main(call) == 1
    assert not (tmp_path / 'bag').exists()
    assert cli.main(call) == 0
