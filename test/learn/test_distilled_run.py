"""`insegan train`: from unlabelled frames to a model that segments, a stage at a time."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import yaml
from brick_bin import SIZE, brick

from insegan_ros import __version__
from insegan_ros.bin_finding import find_bin
from insegan_ros.cli import main
from insegan_ros.data.store import Dataset
from insegan_ros.discovery.discover import WHOLE
from insegan_ros.discovery.pieces import MASK_EDGE, Piece, frame_pieces
from insegan_ros.discovery.resume import stored_pieces
from insegan_ros.discovery.search import Search, UnexplainedError
from insegan_ros.distillation import piles
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.surroundings import measure_surroundings
from insegan_ros.inference import model_card
from insegan_ros.inference.pose_search import PoseSettings
from insegan_ros.learn import stage_any_bin, stage_discovery
from insegan_ros.model.template import Template
from insegan_ros.types import DepthFrame

try:
    from torch.utils.tensorboard import writer  # noqa: F401
except ImportError:  # also where TensorBoard is there and its protobuf is not
    CAN_TRAIN_GANS = False
else:
    CAN_TRAIN_GANS = True
pytestmark = pytest.mark.usefixtures('two_ways_to_read')
# which model is kept is a matter of test_comparison.py
UNSEEN = ('--set', 'compared=0')
FEW = ('--set', 'least_piles=8', *UNSEEN)
SHAPES = ('--set', 'alike={shapes: 4, looks: 3, kept: 2, piles: 6}', *UNSEEN)


def test_the_bin_is_measured_in_unlabelled_frames(frames: Path) -> None:
    around = measure_surroundings(Dataset(frames), np.random.default_rng(0))
    assert around.camera_height == pytest.approx(0.5, abs=0.002)
    assert around.bin_width == pytest.approx(0.12, rel=0.06)
    assert around.wall_height == pytest.approx(0.03, abs=0.006)


def test_training_ends_in_a_model_that_loads_is_not_done_twice_and_goes_on_when_given_more_time(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    calls = []

    def found(search: Search) -> Template:
        calls.append(len(search.indices))
        brick().save(search.out)
        return brick()

    monkeypatch.setattr(stage_discovery, 'discover', found)
    command = ['train', '--dataset', str(frames), '--out', str(tmp_path)]
    command += ['--max-minutes', '0.01', '--workers', '1', '--device', 'cpu', *FEW]
    assert main(command) == 0
    card = model_card.read_card(tmp_path / 'model')
    assert card['labels_used'].startswith('none')
    assert card['training']['steps'] > 0
    for picture in ('piles.png', 'segmented.png'):
        assert (tmp_path / picture).stat().st_size > 500
    written = (tmp_path / 'model' / model_card.WEIGHTS).stat().st_mtime_ns
    assert main(command) == 0
    assert calls == [6]
    assert (tmp_path / 'model' / model_card.WEIGHTS).stat().st_mtime_ns == written
    segmenter = model_card.load_segmenter(str(tmp_path / 'model'))
    frame = Dataset(frames)[0].frame
    assert segmenter.segment(frame).labels.shape == frame.depth_m.shape
    assert main([*command, '--max-minutes', '0.15']) == 0  # the network goes on
    longer = model_card.read_card(tmp_path / 'model')['training']
    assert longer['steps'] > card['training']['steps']
    assert longer['seconds'] > card['training']['seconds']
    assert calls == [6]


def test_what_was_taught_is_neither_read_nor_scored_on(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    seen: dict[str, set[bytes]] = {}  # the piles, by the function that asks for their heights
    heights = Piles.heights

    def remembered(self: Piles, index: int, rng: np.random.Generator) -> np.ndarray:
        asking = sys._getframe(1).f_code.co_name
        seen.setdefault(asking, set()).add(self.depth[index].tobytes())
        return heights(self, index, rng)

    monkeypatch.setattr(Piles, 'heights', remembered)
    brick().save(tmp_path / 'template')
    monkeypatch.setattr(stage_discovery, 'discover', lambda _: brick())
    command = ['train', '--dataset', str(frames), '--out', str(tmp_path)]
    command += ['--max-minutes', '0.01', '--workers', '1', '--device', 'cpu']
    command += ['--set', 'least_piles=12', *UNSEEN]
    assert main(command) == 0
    taught = seen['mixed_batch']
    assert taught
    for held_out in (seen['learn_to_read'], seen['look']):  # by `look` scores are calibrated
        assert held_out
        assert not held_out & taught


def test_a_finished_run_is_not_taken_for_one_of_another_dataset_seed_or_setting(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    torch.set_num_threads(1)
    run = tmp_path / 'run'
    brick().save(run / 'template')
    monkeypatch.setattr(stage_discovery, 'discover', lambda _: brick())
    other = shutil.copytree(frames, tmp_path / 'other')
    info = (other / 'dataset.yaml').read_text()
    (other / 'dataset.yaml').write_text(info.replace('part: template', 'part: bolt'))
    command = ['train', '--out', str(run), '--workers', '1', '--device', 'cpu']
    command += ['--max-minutes', '0.01']
    mine = ['--dataset', str(frames), '--start', 'none', *FEW]
    assert main([*command, *mine]) == 0
    before = {p: p.read_bytes() for p in run.rglob('*') if p.is_file()}
    for given, said in (
        ([*mine, '--dataset', str(other)], 'dataset_hash was'),
        ([*mine, '--seed', '7'], 'seed was 0, is 7'),
        ([*mine, '--set', 'piles.count=9'], 'piles.count was 12000, is 9'),
        ([*mine, '--part-length', '0.05'], 'part_length_m was None, is 0.05'),
        (
            [*mine[:2], '--method', 'insegan3d', '--set', 'model.instances=2'],
            'method was distilled, is insegan3d' if CAN_TRAIN_GANS else 'needs tensorboard',
        ),
    ):
        assert main([*command, *given]) == 1
        assert said in capsys.readouterr().err
    assert {p: p.read_bytes() for p in run.rglob('*') if p.is_file()} == before
    text = (run / 'config.yaml').read_text()
    of_before = yaml.safe_load(text)
    del of_before['discovery']['across']  # a setting that a version before did not know
    (run / 'config.yaml').write_text(yaml.safe_dump(of_before))
    assert main([*command, *mine]) == 1
    said = capsys.readouterr().err
    assert 'discovery.across was not set, is 2.5' in said
    assert f'begun with insegan_ros {__version__}' in said
    (run / 'config.yaml').write_text(text)
    for name in ('config.yaml', 'run.yaml', 'report.yaml'):
        whole = (run / name).read_bytes()
        (run / name).write_bytes(b'')
        assert main([*command, *mine]) == 1
        assert f'{name} is damaged' in capsys.readouterr().err
        (run / name).write_bytes(whole)
    described = yaml.safe_load((run / 'run.yaml').read_text())
    assert described['dataset_hash'] == Dataset(frames).content_hash()
    (run / 'run.yaml').unlink()
    assert main([*command, *mine]) == 1
    assert 'earlier version' in capsys.readouterr().err


def test_where_no_shape_explains_the_frames_random_shapes_that_look_alike_teach_the_network(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def unlike(_: Search) -> Template:
        raise UnexplainedError('no shape explains what the frames show', 0.04)

    torch.set_num_threads(1)
    monkeypatch.setattr(stage_discovery, 'discover', unlike)
    # the network does not tell the length, either: what discovery guessed is left
    monkeypatch.setattr(stage_discovery, '_by_the_network', lambda *_: None)
    command = ['train', '--dataset', str(frames), '--out', str(tmp_path), '--max-minutes', '0.01']
    command += ['--workers', '1', '--device', 'cpu', *SHAPES]
    without = ['--out', str(tmp_path / 'without'), '--start', 'none']
    assert main([*command, *without]) == 1
    assert 'no shape explains' in capsys.readouterr().err

    store_pieces(tmp_path / 'template' / WHOLE, [])
    assert main(command) == 0  # too few parts are seen whole
    assert 'is any, for parts of 40 mm' in (said := capsys.readouterr().out)
    assert 'too few parts' in said
    segmenter = model_card.load_segmenter(str(tmp_path / 'model'))
    assert segmenter.part_length_m == pytest.approx(0.04)
    assert model_card.read_card(tmp_path / 'model')['began_with'].startswith('any')

    (tmp_path / 'template' / WHOLE).unlink()
    store_pieces(tmp_path / 'template' / WHOLE, bricks_seen(frames))
    assert main(command) == 0
    for picture in ('alike.png', 'segmented.png'):
        assert (tmp_path / picture).stat().st_size > 500
    card = model_card.read_card(tmp_path / 'model')
    assert card['training']['steps'] > 0
    assert card['training']['shapes'] == 1  # it is judged on the other
    assert card['training']['piles'] > 0
    assert 0 <= card['figures']['strict_miou_on_unseen_shapes'] <= 1
    written = (tmp_path / 'model' / model_card.WEIGHTS).stat().st_mtime_ns
    assert main(command) == 0
    assert (tmp_path / 'model' / model_card.WEIGHTS).stat().st_mtime_ns == written
    segmenter = model_card.load_segmenter(str(tmp_path / 'model'))
    frame = Dataset(frames)[0].frame
    assert segmenter.segment(frame).labels.shape == frame.depth_m.shape


def store_pieces(file: Path, pieces: list[Piece]) -> None:
    file.parent.mkdir(exist_ok=True)
    stored_pieces(file, lambda: pieces)


def bricks_seen(frames: Path) -> list[Piece]:
    """Single bricks, as a network would have cut them out."""
    pieces = [p for index in range(6) for p in pieces_in(Dataset(frames)[index].frame)]
    return [replace(piece, edge_px=MASK_EDGE) for piece in 6 * pieces]


def pieces_in(frame: DepthFrame) -> list[Piece]:
    return list(frame_pieces(frame, find_bin(frame, np.random.default_rng(0))))


@pytest.mark.parametrize('with_frames', [False, True])
def test_a_cad_model_ends_in_a_model_with_poses_and_another_mesh_is_another_run(
    frames: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    with_frames: bool,
) -> None:
    torch.set_num_threads(1)
    # rough poses are enough here
    few = (100, 10, 1, 2, *PoseSettings.__init__.__defaults__[4:])
    monkeypatch.setattr(PoseSettings.__init__, '__defaults__', few)
    for module in (piles, stage_any_bin):  # a brick is one convex piece
        monkeypatch.setattr(module, 'convex_pieces', lambda mesh: [mesh.convex_hull])
    mesh, out = tmp_path / 'brick.stl', tmp_path / 'run'
    solid = trimesh.creation.box([1e3 * side for side in SIZE])
    solid.apply_translation((100, 0, 0))
    solid.export(mesh)
    command = ['train', '--mesh', str(mesh), '--units', 'mm', '--out', str(out)]
    command += ['--dataset', str(frames)] if with_frames else []
    command += ['--max-minutes', '0.02', '--workers', '1', '--device', 'cpu']
    command += ['--set', 'least_piles=16', '--set', 'reading.scored_piles=2', *UNSEEN]
    assert main(command) == 0
    card = model_card.read_card(out / 'model')
    assert card['mesh']['origin_m'] == pytest.approx((0.1, 0, 0), abs=2e-4)
    assert card['dataset']['frames'] == (6 if with_frames else 0)
    moved = trimesh.load_mesh(str(out / 'model' / 'part.ply'))
    assert np.allclose(moved.extents, SIZE, atol=1e-6)
    assert np.allclose(moved.center_mass, 0, atol=2e-4)
    segmenter = model_card.load_segmenter(str(out / 'model'))
    frame = Dataset(frames)[0].frame
    assert segmenter.segment(frame, pose_seconds=9).labels.shape == frame.depth_m.shape
    solid.apply_scale(1.1)
    solid.export(mesh)
    assert main(command) != 0
    assert 'mesh_hash' in capsys.readouterr().err
