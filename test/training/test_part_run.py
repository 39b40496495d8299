"""`benchmarks/insegan_parts.py`: runs by plan, each with a schedule of its own."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

pytest.importorskip('torch.utils.tensorboard.writer', reason='tensorboard is not installed')

import insegan_parts
import part_run
from paper_experiments import EXPERIMENTS

from insegan_ros import config
from insegan_ros.crop import CropConfig
from insegan_ros.inference import model_card
from insegan_ros.model.insegan import InSeGANConfig
from insegan_ros.training import health
from insegan_ros.training.step_config import StepConfig

SMALL = {
    **{'template_channels': 8, 'feature_channels': 8, 'discriminator_channels': 8},
    **{'encoder_channels': 16, 'instances': 2},
}
PLANS = yaml.safe_load(Path(part_run.__file__).with_name('insegan_plans.yaml').read_text())


@pytest.fixture
def sets(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(part_run, 'HELD_OUT', 2)
    monkeypatch.setattr(health, 'SCENES', 2)
    images = np.random.default_rng(0).uniform(-1, 1, (6, 64, 64)).astype(np.float16)
    crop = CropConfig(0.1, 0.05, 64, 'gap')
    np.savez(tmp_path / 'nut.npz', images=images, crop=yaml.safe_dump(asdict(crop)))
    return tmp_path


def test_every_plan_has_valid_settings() -> None:
    names = [name for group in PLANS.values() for name in group]
    assert len(names) == len(set(names))
    for group in PLANS.values():
        for name, given in group.items():
            plan = config.from_mapping(part_run.Plan, given, f'{name}.')
            config.from_mapping(InSeGANConfig, plan.model)
            config.from_mapping(StepConfig, plan.step)


@pytest.mark.parametrize('name', ['table2', 'figure4a', 'figure4b'])
def test_plans_of_the_papers_experiments_are_their_trials(name: str) -> None:
    parts = {plan['part'] for plan in PLANS[name].values()}
    assert set(PLANS[name]) == {trial.name for trial in EXPERIMENTS[name].trials(sorted(parts))}


def test_a_run_passes_all_phases_and_leaves_a_model_to_go_on_from(sets: Path) -> None:
    plan = part_run.Plan('nut', model=SMALL, step={'batch': 2}, joint=0.8)
    run = part_run.PartRun('one', plan, sets, torch.device('cpu'))
    phases = []
    for share in (0.0, 0.2, 0.5, 0.7, 0.85, 0.95):
        run.advance(share)
        run.steps.step()
        phases.append(run.trainer.phase)
    assert phases == ['generator', 'generator', 'encoder', 'encoder', 'joint', 'joint']
    run.look(sets / 'out')
    card = model_card.read_card(sets / 'out/one/model')
    assert card['training']['images_seen'] == 12
    assert card['labels_used'].startswith('none')
    start = part_run.Plan('nut', start=str(sets / 'out/one/model'), step={'batch': 2})
    again = part_run.PartRun('two', start, sets, torch.device('cpu'))
    assert again.trainer.phase == 'encoder'
    assert again.model == run.model


def test_a_run_goes_on_where_the_last_call_ended(sets: Path) -> None:
    plan = part_run.Plan('nut', model=SMALL, step={'batch': 2}, joint=0.8)
    one = part_run.PartRun('one', plan, sets, torch.device('cpu'))
    for share in (0.0, 0.5):
        one.advance(share)
        one.steps.step()
    one.look(sets / 'out')
    again = part_run.PartRun('one', plan, sets, torch.device('cpu'))
    again.resume(sets / 'out')
    assert (again.share, again.best) == (0.5, one.best)
    assert again.trainer.config == one.trainer.config
    theirs = one.trainer.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(again.trainer.model.parameters(), theirs))
    again.advance(0.9)
    assert again.trainer.phase == 'joint'


def test_a_run_whose_weights_are_no_numbers_goes_back_and_gives_up_at_last(sets: Path) -> None:
    run = part_run.PartRun('one', part_run.Plan('nut', model=SMALL), sets, torch.device('cpu'))
    before = [p.clone() for p in run.trainer.model.parameters()]

    def broken(run: part_run.PartRun) -> None:
        with torch.no_grad():
            next(run.trainer.model.parameters()).fill_(torch.nan)
        run.steps.check()

    for _ in range(part_run.FALLS):
        assert insegan_parts.still_well([run], broken) == [run]
        assert all(torch.equal(a, b) for a, b in zip(before, run.trainer.model.parameters()))
    assert insegan_parts.still_well([run], broken) == []


def test_a_run_may_see_smaller_images_than_are_kept(sets: Path) -> None:
    small = {**SMALL, 'image_size': 32, 'doublings': 1}
    plan = part_run.Plan('nut', model=small, step={'batch': 2}, generator=0.0)
    run = part_run.PartRun('one', plan, sets, torch.device('cpu'))
    run.advance(0.5)
    run.steps.step()
    run.look(sets / 'out')
    assert model_card.read_card(sets / 'out/one/model')['settings']['crop']['size'] == 32
    with pytest.raises(ValueError, match='image_size 48'):
        part_run.crops(sets, 'nut', 48)
