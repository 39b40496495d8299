"""The explicit InSeGAN's update: what learns when, that it learns, that runs resume."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from insegan_ros.crop import CropConfig
from insegan_ros.model.contact import drop
from insegan_ros.model.explicit import Template
from insegan_ros.model.explicit_gan import ExplicitGAN, ExplicitGANConfig
from insegan_ros.model.explicit_scene import SceneView, compose, render_instances
from insegan_ros.training import checkpoint
from insegan_ros.training.explicit_config import ExplicitStepConfig
from insegan_ros.training.explicit_run import ExplicitRun, ExplicitRunConfig
from insegan_ros.training.explicit_step import ExplicitTrainer, keep_volume
from insegan_ros.training.loop import LoopConfig
from insegan_ros.training.refine import Scenes, Verdict

sys.path.insert(0, str(Path(__file__).parents[1] / 'model'))
from ell_template import ell

VIEW = SceneView(CropConfig(0.12, 0.09, 32), (0.0, 0.0, 0.5))
TINY = ExplicitGANConfig(
    image_size=32, samples=10, slots_side=4, z_dim=4, encoder_channels=16,
    discriminator_channels=8,
)  # fmt: skip
INDEX = torch.arange(2)
STEP = ExplicitStepConfig(batch=2, least=2, most=2, warm=2)


def trainer(step: ExplicitStepConfig = STEP, template: Template | None = None) -> ExplicitTrainer:
    torch.manual_seed(0)
    return ExplicitTrainer(ExplicitGAN(TINY, template or ell(), VIEW), step, 2)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def real_heights(count: int, seed: int = 7) -> Tensor:
    model = ExplicitGAN(TINY, ell(), VIEW)
    solid = model.solid(generator(0))
    poses = drop(solid, VIEW, torch.full((count,), 2), 2, generator(seed))
    occupancy = model.logits.detach().sigmoid()
    alone = render_instances(occupancy, model.voxel_m, poses, solid.radius_m, VIEW, 20)
    return compose(alone)[0]


def changed(one: ExplicitTrainer, before: dict[str, Tensor]) -> set[str]:
    return {
        name.split('.')[0]
        for name, value in one.model.state_dict().items()
        if not torch.equal(value, before[name])
    }


def snapshot(one: ExplicitTrainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in one.model.state_dict().items()}


def test_first_the_encoder_learns_alone_then_all_do() -> None:
    one, real = trainer(replace(STEP, warm=1)), real_heights(2)
    before = snapshot(one)
    one.step(real, INDEX, generator(1))
    assert changed(one, before) == {'encoder'}
    before = snapshot(one)
    losses = one.step(real, INDEX, generator(2))
    assert changed(one, before) == {'encoder', 'logits', 'pose_decoder', 'discriminator'}
    assert {'real', 'surface', 'exist', 'G', 'D', 'R1'} == set(losses)


def test_template_and_discriminator_can_be_left_out() -> None:
    one = trainer(replace(STEP, warm=0, template_rate=0.0, adversarial=0.0))
    before = snapshot(one)
    one.step(real_heights(2), INDEX, generator(1))
    assert changed(one, before) == {'encoder'}


def test_predictor_learns_a_few_scenes_by_heart() -> None:
    one = trainer(replace(STEP, warm=10**6))
    first = one.step(real_heights(2), INDEX, generator(3))
    for _ in range(120):
        last = one.step(real_heights(2), INDEX, generator(3))  # the same scenes each time
    assert last['surface'] < 0.45 * first['surface']
    assert last['exist'] < 0.5 * first['exist']


def test_real_frames_mend_a_template_whose_half_is_missing() -> None:
    whole = ell()
    logits = whole.logits.copy()
    logits[12:16, 4:8, 10:14] = -2  # the peg is gone
    one = trainer(
        replace(STEP, warm=0, adversarial=0.0, template_rate=0.1), Template(logits, whole.voxel_m)
    )
    solid = one.model.solid(generator(0))
    poses = drop(solid, VIEW, torch.full((8,), 2), 2, generator(5))
    true = torch.from_numpy(whole.logits).sigmoid()
    alone = render_instances(true, whole.voxel_m, poses, solid.radius_m + 0.006, VIEW, 20)
    target = compose(alone)[0]
    optimizer = torch.optim.Adam([one.model.logits], lr=0.2)
    for _ in range(25):
        seen = one.model.logits.sigmoid()
        again = render_instances(seen, whole.voxel_m, poses, solid.radius_m + 0.006, VIEW, 20)
        loss = (compose(again)[0] - target).abs().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    peg = one.model.logits.detach().sigmoid()[12:16, 4:8, 10:14]
    assert peg.mean() > 0.5


def run(out: Path, iterations: int) -> ExplicitRun:
    out.mkdir(exist_ok=True)
    config = ExplicitRunConfig(
        TINY, STEP, LoopConfig(iterations=iterations, validate_every=3), fit_sweeps=1
    )
    scenes = Scenes(real_heights(6), real_heights(3, seed=8), VIEW)
    return ExplicitRun(out, config, scenes, ell(), 0)


def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    whole = run(tmp_path / 'whole', 5)
    assert whole.train() == 'finished'
    run(tmp_path / 'broken', 3).train()
    rest = run(tmp_path / 'broken', 5)
    assert rest.trainer.steps == 3
    rest.train()
    ours, theirs = rest.trainer.state(), whole.trainer.state()
    for part in ('model', 'average'):
        for name, value in ours[part].items():
            assert torch.equal(value, theirs[part][name]), name
    assert rest.judge()[1] == whole.judge()[1]
    assert (tmp_path / 'broken' / 'picture.png').exists()


def test_a_run_of_another_template_is_refused(tmp_path: Path) -> None:
    one = run(tmp_path, 2)
    one.save()
    state = checkpoint.load(tmp_path / 'checkpoint.pt')
    checkpoint.save(tmp_path / 'checkpoint.pt', {**state, 'start': state['start'] + 1})
    with pytest.raises(checkpoint.CheckpointError, match='another template'):
        run(tmp_path, 2)


def test_better_means_by_more_than_chance() -> None:
    assert Verdict(3.0, 2.5, 0.5, 0.1).better
    assert not Verdict(3.0, 2.9, 0.1, 0.1).better
    assert not Verdict(3.0, 3.2, -0.2, 0.01).better
    assert 'not better' in str(Verdict(3.0, 3.2, -0.2, 0.01))


def test_counts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match='least'):
        ExplicitStepConfig(least=6, most=5)
    with pytest.raises(ValueError, match='power of two'):
        ExplicitGANConfig(image_size=48)


def test_a_template_that_vanishes_is_raised_where_it_was_and_one_that_grows_is_left() -> None:
    logits = torch.full((8, 8, 8), -6.0)
    logits[2:6, 2:6, 2:6] = -1.0  # 17 of 64 voxels' worth
    keep_volume(logits, 40.0)
    assert 40 <= float(logits.sigmoid().sum()) < 46
    assert float(logits[0].max()) == -6.0
    before = logits.clone()
    keep_volume(logits, 20.0)
    assert torch.equal(logits, before)
