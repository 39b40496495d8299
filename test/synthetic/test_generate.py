"""Scenes and datasets: same seed, same bytes, however they were made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import trimesh

from insegan_ros.camera import points_from_depth
from insegan_ros.cli import main
from insegan_ros.data.store import Dataset
from insegan_ros.synthetic.generate import PARTS, SceneConfig, make_scene
from insegan_ros.synthetic.parts import make_part

COMMAND = ['generate', '--part', 'nut', '--count', '6', '--workers', '1', '--out']


def generate(out: Path, *extra: str) -> int:
    return main([*COMMAND, str(out), *extra])


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob('*')) if p.is_file() and p.name != '.lock')
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('generated') / 'whole'
    assert generate(folder) == 0
    return folder


def test_the_same_seed_gives_the_same_scene() -> None:
    config = SceneConfig()
    first, other, again = (make_scene(config, seed) for seed in (1, 2, 1))
    np.testing.assert_array_equal(first.frame.depth_m, again.frame.depth_m)
    assert not np.array_equal(first.labels, other.labels)


@pytest.mark.parametrize('name', PARTS)
def test_labelled_points_lie_on_the_part_at_its_pose(name: str) -> None:
    scene = make_scene(SceneConfig(part=name, noise='none'), 0)
    points = points_from_depth(scene.frame.depth_m, scene.frame.intrinsics).astype(np.float64)
    low, high = make_part(name).mesh.bounds
    for k, pose in enumerate(scene.poses.astype(np.float64), 1):
        local = trimesh.transform_points(points[scene.labels == k], np.linalg.inv(pose))
        assert (local > low - 1e-5).all()
        assert (local < high + 1e-5).all()
    heights = scene.floor.heights(points.astype(np.float32))
    assert np.abs(np.nanmin(heights)) < 1e-5
    assert heights[scene.labels > 0].max() > 0.01


def test_parts_are_30_to_50_px_long_and_inside_the_region() -> None:
    for name in PARTS:
        scene = make_scene(SceneConfig(part=name, noise='none'), 1)
        lengths = make_part(name).length * scene.frame.intrinsics.fx / scene.floor.offset
        assert 30 <= lengths <= 55
        x, y, width, height = scene.region
        inner = SceneConfig(part=name).bin_spec.width * 422 / scene.floor.offset
        assert width == pytest.approx(inner, abs=2)
        assert height == pytest.approx(inner, abs=2)
        v, u = np.nonzero(scene.labels)
        # parts reach above the floor, where perspective carries them a little further out
        assert x - 12 < u.min() < u.max() < x + width + 12
        assert y - 12 < v.min() < v.max() < y + height + 12


def test_instances_vary_within_the_range() -> None:
    config = SceneConfig(part='bolt', instances=(3, 6), noise='none')
    counts = {len(make_scene(config, seed).poses) for seed in range(20)}
    assert counts == {3, 4, 5, 6}


def test_a_tilted_full_frame_has_its_floor_where_it_says() -> None:
    scene = make_scene(SceneConfig(camera='d435', tilt_degrees=25, noise='none'), 0)
    assert scene.frame.depth_m.shape == (480, 848)
    points = points_from_depth(scene.frame.depth_m, scene.frame.intrinsics)
    heights = scene.floor.heights(points)
    assert np.degrees(np.arccos(-scene.floor.normal[2])) == pytest.approx(25)
    assert (np.abs(heights) < 1e-5).mean() > 0.8  # most of the image is floor
    x, y, width, height = scene.region
    assert 0 < x < 424 < x + width < 848
    assert 0 < y < 240 < y + height < 480


def test_two_workers_give_the_same_bytes_as_one(tmp_path: Path, whole: Path) -> None:
    assert generate(tmp_path / 'two', '--workers', '2') == 0
    assert contents(tmp_path / 'two') == contents(whole)


def test_gathered_shards_give_the_same_bytes(tmp_path: Path, whole: Path) -> None:
    shards = [tmp_path / 'a', tmp_path / 'b']
    for i, shard in enumerate(shards):
        assert generate(shard, '--shard', f'{i}/3') == 0  # the third is made while gathering
    assert Dataset(shards[1]).indices == [1, 4]
    assert generate(tmp_path / 'all', '--gather', *map(str, shards)) == 0
    assert contents(tmp_path / 'all') == contents(whole)


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, whole: Path) -> None:
    out = tmp_path / 'killed'
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, '-m', 'insegan_ros.cli', *COMMAND, str(out), '--count', '5000'],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    lines = out / 'frames.jsonl'
    deadline = time.monotonic() + 200
    while not (lines.exists() and lines.read_bytes().count(b'\n') >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = set(Dataset(out).indices)
    assert len(stored) >= 2
    for index in stored - set(range(3)):  # as if it had been killed after three at the latest
        (out / 'depth' / f'{index:06d}.png').unlink()
    kept = lines.read_bytes().splitlines(keepends=True)[:3]
    lines.write_bytes(b''.join(kept) + b'{"index": 3, "va')  # and in the middle of a line
    assert generate(out) == 0
    resumed, unbroken = contents(out), contents(whole)
    assert {k: resumed[k] for k in unbroken} == unbroken


def test_workers_do_not_outlive_a_killed_run(tmp_path: Path) -> None:
    command = [*COMMAND, str(tmp_path), '--count', '5000', '--workers', '2']
    process = subprocess.Popen(
        [sys.executable, '-m', 'insegan_ros.cli', *command],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while not (tmp_path / 'frames.jsonl').exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    for worker in alive:
        worker.kill()
    assert not alive


def test_another_configuration_may_not_be_mixed_in(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(whole)
    assert generate(whole, '--instances', '3-8') == 1
    assert 'choose another folder' in capsys.readouterr().err
    assert generate(tmp_path / 'other', '--seed', '1', '--gather', str(whole)) == 1
    assert 'other settings' in capsys.readouterr().err
    assert contents(whole) == before


def test_the_dataset_says_how_it_was_made(whole: Path) -> None:
    dataset = Dataset(whole)
    info, sample = dataset.info, dataset[2]
    assert (info.part, info.instances, info.source, info.seed) == ('nut', 5, 'simulated', 0)
    assert info.floor is not None
    np.testing.assert_allclose(info.floor, [0, 0, -1, 0.55])
    np.testing.assert_allclose(sample.record['floor'], info.floor, atol=0.0021)
    assert sample.frame.depth_m.shape == (224, 224)
    assert sample.poses is not None
    assert sample.poses.shape == (5, 4, 4)
    assert len(sample.record['visible']) == 5
    assert all(not problems for problems in dataset.verify())


@pytest.mark.parametrize('kind', ['ply', 'npz'])
def test_clouds_hold_the_measured_points_with_their_labels(tmp_path: Path, kind: str) -> None:
    assert generate(tmp_path, '--count', '1') == 0  # stored without clouds at first
    assert generate(tmp_path, '--count', '2', '--clouds', kind) == 0
    assert len(list((tmp_path / 'clouds').iterdir())) == 2
    sample = Dataset(tmp_path)[0]
    measured = np.isfinite(sample.frame.depth_m)
    expected = points_from_depth(sample.frame.depth_m, sample.frame.intrinsics)[measured]
    file = tmp_path / 'clouds' / f'000000.{kind}'
    if kind == 'npz':
        stored = np.load(file)
        points, labels = stored['points'], stored['labels']
        assert sample.labels is not None
        np.testing.assert_array_equal(labels, sample.labels[measured])
    else:
        points = trimesh.load(file).vertices
    np.testing.assert_allclose(points, expected, atol=1e-6)


@pytest.mark.parametrize(
    ('extra', 'message'),
    [
        (['--part', 'screw'], 'nut, stopper'),
        (['--instances', '40', '--bin-width', '1.3'], 'wider bin'),
        (['--tilt', '80'], '0 to 45'),
        (['--count', '0'], 'at least 1'),
        (['--size', '4000'], '480'),
    ],
)
def test_impossible_requests_are_refused_with_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert generate(tmp_path / 'none', *extra) == 1
    assert message in capsys.readouterr().err
