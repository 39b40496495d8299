"""One update of the explicit InSeGAN: encoder, template, pose decoder and discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from insegan_ros.crop import CropConfig
from insegan_ros.model import losses
from insegan_ros.model.contact import drop
from insegan_ros.model.explicit_gan import ExplicitGAN
from insegan_ros.model.explicit_scene import (
    SEEN_M,
    Poses,
    Rendered,
    SceneView,
    Solid,
    compose,
    render_instances,
)
from insegan_ros.model.set_predictor import (
    assign,
    existence_loss,
    nearest_slots,
    surface_distance,
)
from insegan_ros.training.ema import Ema
from insegan_ros.training.explicit_config import ExplicitStepConfig
from insegan_ros.training.loop import require_finite
from insegan_ros.training.real_frames import SPARE, Memory, fit_real
from insegan_ros.training.scene_search import Shape
from insegan_ros.training.step import frozen

COARSE = 4  # pixels of an image to one of those that slots are assigned by
CANDIDATES = 4  # slots that may stand for an instance


def mixed(first: Tensor, a: Poses, b: Poses) -> Poses:
    """Scenes of a where `first` (B,), else of b; the fewer instances are filled up, absent."""
    count = max(a.present.shape[1], b.present.shape[1])

    def filled(x: Tensor) -> Tensor:
        more = count - x.shape[1]
        return torch.cat([x, x[:, :1].expand(-1, more, *x.shape[2:])], dim=1) if more else x

    def pick(x: Tensor, y: Tensor) -> Tensor:
        return torch.where(first.reshape(-1, *[1] * (x.dim() - 1)), x, y)

    def there(x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (0, count - x.shape[1]))

    return Poses(
        pick(filled(a.rotation), filled(b.rotation)),
        pick(filled(a.position), filled(b.position)),
        pick(there(a.present), there(b.present)),
    )


class ExplicitTrainer:
    """The networks, their optimisers and their averages: all that a step changes."""

    def __init__(self, model: ExplicitGAN, config: ExplicitStepConfig, frames: int) -> None:
        """`frames`: how many real ones there are to learn from."""
        self.model, self.config = model, config
        self.memory = Memory.of(frames, config.most + SPARE)

        def adam(parameters: Any, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
            return torch.optim.Adam(parameters, lr=rate, betas=betas)

        plain = (0.9, 0.99)
        self._optimizers = {
            'encoder': adam(model.encoder.parameters(), config.encoder_rate, plain),
            'template': adam([model.logits], config.template_rate, plain),
            'poses': adam(model.pose_decoder.parameters(), config.gan_rate, config.betas),
            'discriminator': adam(model.discriminator.parameters(), config.gan_rate, config.betas),
        }
        self.average: Ema[ExplicitGAN] = Ema(model, config.ema)
        self.steps = 0
        self._least = config.least_volume * float(model.logits.detach().sigmoid().sum())  # voxels
        crop, size = model.view.crop, model.config.image_size // COARSE
        self._coarse = SceneView(CropConfig(crop.side_m, crop.height_m, size), model.view.apex)

    def step(self, real: Tensor, index: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """One update.

        Args:
            real: (B, S, S) heights in metres, NaN where unknown.
            index: (B,) which frames of all they are: what explained them best is remembered.
            generator: of all that is drawn in this step.

        Returns:
            Each loss by name, unweighted.

        Raises:
            FloatingPointError: a loss is not finite; no weight has been changed then.
            TemplateError: the template has vanished.
        """
        model, config = self.model.train(), self.config
        warm = self.steps < config.warm
        for optimizer in self._optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        solid = model.solid(generator)
        told: dict[str, Tensor] = {}
        truth = self.scenes(solid, generator, warm)
        alone = self._render(model.logits.detach().sigmoid(), truth, solid)
        heights = self._measured(compose(alone)[0], generator)
        if not warm:
            told['real'] = fit_real(
                model, self._optimizers['template'], self.memory, real, index, solid, config,
                self.steps, generator,
            )  # fmt: skip
            occupancy = model.logits.sigmoid()
            known = Shape(occupancy.detach(), model.voxel_m, solid, model.view, 0).placed(
                self.memory.of_frames(index), hard=True
            )
            half = torch.arange(len(real)) < len(real) // 2  # real frames, in their best poses
            truth = mixed(half, known, truth)
            heights = torch.where(half[:, None, None], real.nan_to_num() / model.unit_m, heights)
            alone = self._render(occupancy.detach(), truth, solid)
        found = self._encoder_losses(truth, alone, heights, solid)
        total = config.surface * found['surface'] + found['exist']
        if not warm and config.adversarial:
            found |= self._adversarial_losses(occupancy, real, solid, generator)
            total = total + config.adversarial * found['G']
            total = total + found['D'] + config.r1 / 2 * found['R1']
        told |= found
        require_finite({f'L_{k}': v.detach() for k, v in told.items()}, self.steps)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.encoder.parameters(), 1.0)
        used = ['encoder']
        used += ['poses', 'discriminator'] if config.adversarial and not warm else []
        used += ['template'] if config.adversarial_template and 'G' in found else []
        for name in used:
            self._optimizers[name].step()
        with torch.no_grad():
            keep_volume(model.logits, self._least)
            model.logits.clamp_(-8, 8)
        self.steps += 1
        self.average.update(model, self.steps)
        return {name: value.detach() for name, value in told.items()}

    def scenes(self, solid: Solid, generator: torch.Generator, warm: bool) -> Poses:
        """Dropped templates, and where the pose decoder has learned, half of them its own."""
        config, batch = self.config, self.config.batch
        counts = torch.randint(config.least, config.most + 1, (batch,), generator=generator)
        dropped = drop(solid, self.model.view, counts, config.most, generator)
        if warm or not config.adversarial:
            return dropped
        with torch.no_grad():
            imagined = self.model.imagine(self._noise(batch, generator), dropped.present, solid)
        return mixed(torch.arange(batch) < batch // 2, imagined, dropped)

    def _noise(self, batch: int, generator: torch.Generator) -> Tensor:
        return torch.randn(batch, self.config.most, self.model.config.z_dim, generator=generator)

    def _measured(self, heights: Tensor, generator: torch.Generator) -> Tensor:
        """Heights as a camera finds them, in units of half the image."""
        noise = torch.randn(heights.shape, generator=generator) * self.config.noise_m
        return (heights + noise * (heights > SEEN_M)) / self.model.unit_m

    def _render(
        self, occupancy: Tensor, poses: Poses, solid: Solid, view: SceneView | None = None
    ) -> Rendered:
        model = self.model
        samples = model.config.samples if view is None else model.config.samples // 2
        return render_instances(
            occupancy, model.voxel_m, poses, solid.radius_m, view or model.view, samples
        )

    def _encoder_losses(
        self, truth: Poses, alone: Rendered, heights: Tensor, solid: Solid
    ) -> dict[str, Tensor]:
        """Scenes whose poses are known: matched one to one by what they look like."""
        model, occupancy = self.model, self.model.logits.detach().sigmoid()
        with torch.no_grad():
            visible = compose(alone)[2]
            shown = visible.sum((2, 3)) / alone.silhouette.sum((2, 3)).clamp(min=1)
        slots = model.encoder(heights)
        with torch.no_grad():
            near = nearest_slots(
                model.encoder.places, truth.position, model.view.crop.side_m, CANDIDATES
            )
            tried = slots.pick(near.flatten(1))
            every = model.placed(tried, solid, torch.ones_like(tried.score))
            wanted = (shown > 0.15) & (truth.present > 0)
            matched = assign(
                self._render(occupancy, truth, solid, self._coarse),
                self._render(occupancy, every, solid, self._coarse),
                near,
                wanted,
                slots.score,
                0.2 * solid.radius_m,
            )
        asked = wanted.float()
        # hidden almost wholly, but there: neither right nor wrong to see
        hidden = (truth.present > 0) & ~wanted & (shown > 0.03)
        exist = torch.where(hidden, torch.nan, asked)
        chosen = slots.pick(matched)
        poses = model.placed(chosen, solid, torch.ones_like(chosen.score))
        distance = surface_distance(solid.surface[:160], truth, poses) / solid.radius_m
        each = asked.sum().clamp(min=1)
        return {
            'surface': (distance * asked).sum() / each,
            'exist': existence_loss(slots.score, matched, exist),
        }

    def _adversarial_losses(
        self, occupancy: Tensor, real: Tensor, solid: Solid, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """L_G and L_D (Eq. 3) of poses from noise, with R1 on the real images."""
        model, config = self.model, self.config
        counts = torch.randint(config.least, config.most + 1, (len(real),), generator=generator)
        present = (torch.arange(config.most) < counts[:, None]).float()
        poses = model.imagine(self._noise(len(real), generator), present, solid)
        share = config.adversarial_template
        seen = occupancy.detach() if not share else _scaled_gradient(occupancy, share)
        heights, _, _ = compose(self._render(seen, poses, solid))
        fake = self._measured(heights, generator)[:, None]
        data = self._measured(real.nan_to_num(), generator)[:, None].requires_grad_()
        with frozen(model.discriminator):
            g_loss = losses.generator_loss(model.discriminator(fake))
        logits = model.discriminator(data)
        (slope,) = torch.autograd.grad(logits.sum(), data, create_graph=True)
        return {
            'G': g_loss,
            'D': losses.discriminator_loss(logits, model.discriminator(fake.detach())),
            'R1': slope.square().sum((1, 2, 3)).mean(),
        }

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, tensors and plain values."""
        return {
            'steps': self.steps,
            'model': self.model.state_dict(),
            'average': self.average.network.state_dict(),
            'memory': vars(self.memory),
            'optimizers': {name: o.state_dict() for name, o in self._optimizers.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises: RuntimeError or KeyError, for a state of other networks."""
        self.model.load_state_dict(state['model'])
        self.average.network.load_state_dict(state['average'])
        if len(state['memory']['known']) != len(self.memory.known):
            raise KeyError('it was made from another number of frames')
        self.memory = Memory(**state['memory'])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state['optimizers'][name])
        self.steps = int(state['steps'])


@torch.no_grad()
def keep_volume(logits: Tensor, least: float) -> None:
    """Raise what is at least a little occupied until the occupancy sums up to `least` voxels."""
    for _ in range(20):
        occupancy = logits.sigmoid()
        lack = least - occupancy.sum()
        if lack <= 0:
            return
        some = (occupancy > 0.05).float()
        logits += some * lack / (some * occupancy * (1 - occupancy)).sum().clamp(min=1)


def _scaled_gradient(x: Tensor, share: float) -> Tensor:
    return x * share + x.detach() * (1 - share)
