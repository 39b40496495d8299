"""`insegan pretrain`: from random shapes to a model of any part, with which training begins."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from brick_bin import SIZE, brick

from insegan_ros.cli import main
from insegan_ros.data.store import Dataset
from insegan_ros.distillation.examples import Piles
from insegan_ros.distillation.pretrain import ShapesConfig, load_views
from insegan_ros.distillation.random_views import ViewConfig
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.learn import any_model, stage_discovery
from insegan_ros.learn.reading import look

pytestmark = pytest.mark.usefixtures('two_ways_to_read')
FEW = ('--set', 'least_piles=8', '--set', 'compared=0')


def test_pretraining_makes_a_model_that_training_begins_with(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    torch.set_num_threads(1)
    small = partial(ShapesConfig, bins=1, pictures=2, parts=(2, 3), view=ViewConfig(size=64))
    monkeypatch.setattr(any_model, 'ShapesConfig', small)
    once = replace(any_model.READING, generosity=any_model.READING.generosity[:1])
    monkeypatch.setattr(any_model, 'READING', once)
    scored = []

    def looked(segmenter: DistilledSegmenter, picture: Piles, *rest: Any, **named: Any) -> Any:
        scored.append((segmenter.part_length_m, picture.labels.tobytes()))
        return look(segmenter, picture, *rest, **named)

    monkeypatch.setattr(any_model, 'look', looked)
    start = tmp_path / 'any'
    command = ['pretrain', '--out', str(start), '--shapes', '2', '--max-minutes', '0.02']
    command += ['--workers', '1', '--device', 'cpu']
    assert main(command) == 0
    card = model_card.read_card(start / 'model')
    # one of any kind and a compact one; those of the other number are held out
    assert card['dataset']['random_shapes'] == 2
    assert card['dataset']['piles'] > 0
    assert card['training']['steps'] > 0
    unseen = [
        picture
        for kind in any_model.KINDS
        for picture in load_views(start / 'shapes' / f'0000{kind.ending}', small().view)
    ]
    told = {(scale.part_length_m, picture.labels.tobytes()) for picture, scale in unseen}
    assert set(scored) <= told  # scores are of the held-out shapes, told their lengths
    assert scored
    segmenter = model_card.load_segmenter(f'{start / "model"}:{SIZE[0]}')
    frame = Dataset(frames)[0].frame
    assert segmenter.segment(frame).labels.shape == frame.depth_m.shape

    run = ['train', '--dataset', str(frames), '--out', str(tmp_path), '--max-minutes', '0.01']
    run += ['--workers', '1', '--device', 'cpu', *FEW, '--start']
    brick().save(tmp_path / 'template')
    monkeypatch.setattr(stage_discovery, 'discover', lambda _: brick())
    shutil.copytree(start / 'model', tmp_path / 'torn')
    (tmp_path / 'torn' / model_card.WEIGHTS).write_bytes(b'torn')
    assert main([*run, str(tmp_path / 'torn')]) == 1
    assert 'torn/model.safetensors cannot be read' in capsys.readouterr().err
    assert main([*run, str(tmp_path / 'absent')]) == 1
    assert 'no model' in capsys.readouterr().err
    assert main([*run, str(start / 'model')]) == 0
    with pytest.raises(model_card.ModelError, match='knows one part'):
        model_card.load_segmenter(f'{tmp_path / "model"}:0.04')
    with pytest.raises(model_card.ModelError, match=r'0\.001 to 2 m'):
        model_card.load_segmenter(f'{start / "model"}:40')
    card = model_card.read_card(tmp_path / 'model')
    assert card['training']['began_with'].startswith('the weights of a model of any')
    assert main(['pretrain', '--out', str(start), '--shapes', '0']) == 1
    assert '1 or more shapes' in capsys.readouterr().err
