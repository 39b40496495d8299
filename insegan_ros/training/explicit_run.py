"""One run of the explicit InSeGAN: its step, its validation, its pictures, its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from insegan_ros import drawing
from insegan_ros.data.store import Dataset
from insegan_ros.model.explicit import Template, random_rotations, render
from insegan_ros.model.explicit_gan import ExplicitGAN, ExplicitGANConfig
from insegan_ros.model.explicit_scene import checked, compose, render_instances
from insegan_ros.training import checkpoint
from insegan_ros.training.explicit_config import ExplicitStepConfig
from insegan_ros.training.explicit_step import ExplicitTrainer
from insegan_ros.training.loop import Ending, Hooks, LoopConfig, run_loop
from insegan_ros.training.refine import (
    Scenes,
    Verdict,
    concluded,
    fit_frames,
    frozen_copy,
    judge,
)

SHOWN = 8  # pictures in a row
QUICK_FRAMES = 8  # of a validation on the way


@dataclass(frozen=True)
class ExplicitRunConfig:
    """All settings of a run; `--config` and `--set` override them."""

    model: ExplicitGANConfig = field(default_factory=ExplicitGANConfig)
    step: ExplicitStepConfig = field(default_factory=ExplicitStepConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(iterations=2000, validate_every=200)
    )
    frames: int = 300  # to learn from, at most
    held_out: int = 24  # to judge by
    fit_sweeps: int = 5  # of the search for a held-out frame's poses


class ExplicitRun:
    """One run's state and what the loop calls; `out` holds it."""

    def __init__(
        self, out: Path, config: ExplicitRunConfig, scenes: Scenes, start: Template, seed: int
    ) -> None:
        """Raises: TemplateError, for a template that cannot be posed."""
        self._out, self._config, self._scenes, self._seed = out, config, scenes, seed
        self.start = checked(start)
        torch.manual_seed(seed)
        self.trainer = ExplicitTrainer(
            ExplicitGAN(config.model, start, scenes.view), config.step, len(scenes.training)
        )
        self._first = frozen_copy(self.trainer.model.encoder)
        self._views: list[NDArray[np.uint8]] = []  # of the template, over time
        self._bar: tqdm | None = None
        self._recent: list[dict[str, float]] = []
        if (out / 'checkpoint.pt').exists():
            self._resume()

    def train(self, seconds: float = float('inf')) -> Ending:
        """Raises: FloatingPointError, for a loss that is not finite."""
        done, loop = self.trainer.steps, self._config.loop
        self._bar = tqdm(total=loop.iterations, initial=done, unit='it', desc='refine')
        hooks = Hooks(self.save, self.validate, self.draw, self.tell)
        try:
            return run_loop(self.step, done, loop, hooks, seconds)
        finally:
            self._bar.close()

    def step(self, k: int) -> dict[str, Tensor]:
        """Iteration k: what is drawn depends on (seed, k) alone."""
        rng = np.random.default_rng([self._seed, k])
        real = self._scenes.training
        chosen = torch.from_numpy(
            rng.choice(len(real), self._config.step.batch, len(real) < self._config.step.batch)
        )
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        losses = self.trainer.step(real[chosen], chosen, generator)
        if self.trainer.steps == self._config.step.warm:
            self._first = frozen_copy(self.trainer.average.network.encoder)
        return losses

    def tell(self, done: int, losses: Mapping[str, Tensor]) -> None:
        assert self._bar is not None
        self._recent.append({name: float(value) for name, value in losses.items()})
        self._bar.update(done - self._bar.n)
        if done % 20 == 0 or done == self._config.loop.iterations:
            names = list(self._recent[-1])
            mean = {
                n: float(np.mean([some[n] for some in self._recent if n in some])) for n in names
            }
            self._recent = []
            self._bar.set_postfix({n: f'{v:.3f}' for n, v in mean.items()})
            with open(self._out / 'losses.jsonl', 'a') as file:
                file.write(json.dumps({'step': done, **mean}) + '\n')

    def validate(self, done: int) -> None:
        model = self.trainer.average.network
        real = self._scenes.held_out[:QUICK_FRAMES]
        fitted = fit_frames(
            model.logits, [model.encoder], model, real, self._config.step.most,
            self._config.fit_sweeps,
        )  # fmt: skip
        self._views.append(self._template_row(model.logits))
        tqdm.write(
            f'{done} iterations: held-out re-rendering error '
            f'{1e3 * float(fitted.error_m.mean()):.3f} mm with {fitted.count:.1f} instances a '
            f'frame (no part at all: {1e3 * float(real.nanmean()):.3f} mm)'
        )

    def judge(self) -> tuple[Template, Verdict]:
        """The averaged template, and whether it re-renders held-out frames better."""
        model, config = self.trainer.average.network, self._config
        start = torch.from_numpy(np.array(self.start.logits, np.float32))
        verdict = judge(
            model, start, self._first, self._scenes.held_out, config.step.most, config.fit_sweeps
        )
        return concluded(self.start, model.logits, verdict, self.trainer.steps), verdict

    def _template_row(self, logits: Tensor) -> NDArray[np.uint8]:
        """(P, SHOWN P, 3): the template from above, from below, and from random sides."""
        size = self._config.model.image_size
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        turns = random_rotations(SHOWN // 2, torch.Generator().manual_seed(self._seed))
        turns = torch.stack([turns, flip @ turns], dim=1).flatten(0, 1)
        voxel_m = self.trainer.model.voxel_m
        with torch.no_grad():
            views = render(logits.detach().sigmoid(), voxel_m, turns, None, size)
        width = logits.shape[0] * voxel_m
        shown = views.height / views.silhouette.clamp(min=1e-3) + width / 2
        relief = torch.where(views.silhouette > 0.5, shown, torch.zeros_like(shown)).numpy()
        return np.concatenate([drawing.heights_picture(v, 0.9 * width) for v in relief], axis=1)

    def draw(self, done: int) -> None:
        """Rows: real held-out frames; re-rendered; generated; then the template over time."""
        model, config = self.trainer.average.network, self._config
        real = self._scenes.held_out[:SHOWN]
        again = fit_frames(model.logits, [model.encoder], model, real, config.step.most, 1).heights
        generator = torch.Generator().manual_seed(self._seed)
        solid = model.solid(generator)
        z = torch.randn(len(real), config.step.most, config.model.z_dim, generator=generator)
        with torch.no_grad():
            poses = model.imagine(z, torch.ones(z.shape[:2]), solid)
            made = compose(
                render_instances(
                    model.logits.sigmoid(), model.voxel_m, poses, solid.radius_m, model.view,
                    config.model.samples,
                )
            )[0]  # fmt: skip
        top = float(np.nanpercentile(real.numpy(), 99.5))

        def row(images: Tensor) -> NDArray[np.uint8]:
            pictures = [drawing.heights_picture(i.numpy(), top) for i in images]
            pictures += [np.zeros_like(pictures[0])] * (SHOWN - len(pictures))
            return np.concatenate(pictures, axis=1)

        first = self._template_row(torch.from_numpy(self.start.logits))
        views = [first, *self._views[-6:], self._template_row(model.logits)]
        rows = [row(real), row(again), row(made), *views]
        drawing.save_rows(self._out / 'picture.png', [[one] for one in rows])

    def save(self) -> None:
        state = {
            'trainer': self.trainer.state(),
            'first': self._first.state_dict(),
            'start': torch.from_numpy(np.array(self.start.logits, np.float32)),
            'views': [torch.from_numpy(view) for view in self._views[-6:]],
        }
        checkpoint.save(self._out / 'checkpoint.pt', state)

    def _resume(self) -> None:
        """Raises: CheckpointError, for a checkpoint that is damaged or of another run."""
        path = self._out / 'checkpoint.pt'
        state = checkpoint.load(path)
        try:
            if not np.array_equal(state['start'].numpy(), self.start.logits):
                raise KeyError('it began with another template')
            self.trainer.restore(state['trainer'])
            self._first.load_state_dict(state['first'])
            self._views = [view.numpy() for view in state['views']]
        except (KeyError, RuntimeError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise checkpoint.CheckpointError(
                f'{path} does not fit this run ({reason}); choose another folder'
            ) from None


def refine_template(
    template: Template,
    dataset: Dataset,
    indices: Sequence[int],
    out: Path,
    seconds: float,
    seed: int,
    config: ExplicitRunConfig | None = None,
) -> Template:
    """The template refined in whole scenes, or the one given where that is no better.

    Better means: real frames held out of `indices` are re-rendered with a smaller error. The same
    call goes on where one was stopped; `out` holds the checkpoint and a picture.

    Args:
        seconds: for the training; loading and judging take about a minute more.

    Raises:
        TemplateError: the template is too small or empty.
        DatasetError: no frame shows a bin.
    """
    config = config or ExplicitRunConfig()
    step = for_count(config.step, dataset.info.instances)
    # the encoder alone takes about a third: some three steps a second on one core
    config = replace(config, step=replace(step, warm=min(step.warm, max(50, int(seconds)))))
    out.mkdir(parents=True, exist_ok=True)
    checked(template)
    order = np.random.default_rng([seed, 7]).permutation(np.asarray(indices)).tolist()
    count = min(config.held_out, max(1, len(order) // 5))
    training, held_out = order[count:][: config.frames], order[:count]
    scenes = Scenes.of(dataset, training, held_out, config.model.image_size, seed)
    run = ExplicitRun(out, config, scenes, template, seed)
    if run.train(seconds) == 'interrupted':
        raise KeyboardInterrupt
    refined, verdict = run.judge()
    print(verdict, flush=True)
    return refined if verdict.better else template


def for_count(step: ExplicitStepConfig, instances: int | None) -> ExplicitStepConfig:
    """As many instances as every frame has; where that is unknown, the setting stays."""
    return step if instances is None else replace(step, least=instances, most=instances)
