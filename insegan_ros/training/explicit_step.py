"""One update of the explicit InSeGAN: encoder, template, pose decoder and discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from insegan_ros.crop import CropConfig
from insegan_ros.model import losses
from insegan_ros.model.contact import drop
from insegan_ros.model.explicit_gan import ExplicitGAN
from insegan_ros.model.explicit_scene import (
    Poses,
    Rendered,
    SceneView,
    Solid,
    compose,
    render_instances,
)
from insegan_ros.model.set_predictor import (
    Slots,
    assign,
    existence_loss,
    nearest_slots,
    surface_distance,
)
from insegan_ros.training.ema import Ema
from insegan_ros.training.loop import require_finite
from insegan_ros.training.step import frozen

COARSE = 4  # pixels of an image to one of those that slots are assigned by
CANDIDATES = 4  # slots that may stand for an instance
SEEN_M = 0.003  # above the floor: what crops show of parts


@dataclass(frozen=True)
class ExplicitStepConfig:
    """How the networks and the template are updated."""

    batch: int = 8
    most: int = 5  # instances of a scene
    least: int = 5
    warm: int = 800  # steps in which the encoder learns from dropped templates alone
    encoder_rate: float = 5e-4
    template_rate: float = 0.03  # of the logits; 0 keeps the template
    gan_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.99)
    ema: float = 0.995
    adversarial: float = 1.0  # weight of L_G; 0 switches the discriminator off
    adversarial_template: float = 0.1  # share of L_G's gradient that reaches the template
    r1: float = 2.0  # on heights in units of half the image; 8 freezes the generator
    real: float = 1.0  # weight of the re-rendering of real frames
    surface: float = 10.0  # of the distance between surfaces, in units of the part's radius
    noise_m: float = 0.0008  # of heights, generated and real alike
    smooth: float = 0.02  # of the occupancy's differences between neighbours

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= 14:
            raise ValueError(
                f'step.least {self.least}, step.most {self.most}: 1 <= least <= most <= 14 '
                'instances are expected'
            )


class ExplicitTrainer:
    """The networks, their optimisers and their averages: all that a step changes."""

    def __init__(self, model: ExplicitGAN, config: ExplicitStepConfig) -> None:
        self.model, self.config = model, config

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
        crop, size = model.view.crop, model.config.image_size // COARSE
        self._coarse = SceneView(CropConfig(crop.side_m, crop.height_m, size), model.view.apex)

    def step(self, real: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """One update.

        Args:
            real: (B, S, S) heights in metres.
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
        occupancy = model.logits.sigmoid()
        found = self._encoder_losses(occupancy.detach(), solid, generator, warm)
        total = config.surface * found['surface'] + found['exist']
        if not warm:
            total = total + found['alone']
            found['real'] = self._real_loss(occupancy, real, solid, generator)
            total = total + config.real * found['real']
            if config.template_rate:
                total = total + config.smooth * roughness(occupancy)
            if config.adversarial:
                found |= self._adversarial_losses(occupancy, real, solid, generator)
                total = total + config.adversarial * found['G']
                total = total + found['D'] + config.r1 / 2 * found['R1']
        total.backward()
        require_finite({f'L_{k}': v.detach() for k, v in found.items()}, self.steps)
        used = ['encoder'] if warm else ['encoder', 'template']
        used += ['poses', 'discriminator'] if config.adversarial and not warm else []
        torch.nn.utils.clip_grad_norm_(model.encoder.parameters(), 1.0)
        for name in used:
            if name != 'template' or config.template_rate:
                self._optimizers[name].step()
        with torch.no_grad():
            model.logits.clamp_(-8, 8)
        self.steps += 1
        self.average.update(model, self.steps)
        return {name: value.detach() for name, value in found.items()}

    def scenes(self, solid: Solid, generator: torch.Generator, warm: bool) -> Poses:
        """Dropped templates, and where the pose decoder has learned, half of them its own."""
        config, batch = self.config, self.config.batch
        counts = torch.randint(config.least, config.most + 1, (batch,), generator=generator)
        dropped = drop(solid, self.model.view, counts, config.most, generator)
        if warm or not config.adversarial:
            return dropped
        with torch.no_grad():
            imagined = self.model.imagine(self._noise(batch, generator), dropped.present, solid)
        half = torch.arange(batch) < batch // 2

        def mixed(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(half.reshape(-1, *[1] * (a.dim() - 1)), a, b)

        return Poses(
            mixed(imagined.rotation, dropped.rotation),
            mixed(imagined.position, dropped.position),
            dropped.present,
        )

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
        self, occupancy: Tensor, solid: Solid, generator: torch.Generator, warm: bool
    ) -> dict[str, Tensor]:
        """Generated scenes, whose poses are known: by rendering, matched one to one."""
        model = self.model
        with torch.no_grad():
            truth = self.scenes(solid, generator, warm)
            alone = self._render(occupancy, truth, solid)
            heights, _, visible = compose(alone)
            shown = visible.sum((2, 3)) / alone.silhouette.sum((2, 3)).clamp(min=1)
        slots = model.encoder(self._measured(heights, generator))
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
        named = {
            'surface': (distance * asked).sum() / each,
            'exist': existence_loss(slots.score, matched, exist),
        }
        if warm:  # first about there, then exactly
            return named
        again = self._render(occupancy, poses, solid)
        both = torch.minimum(alone.silhouette, again.silhouette)
        off = ((alone.height - again.height).abs() / (0.2 * solid.radius_m)).clamp(max=1)
        wrong = (alone.silhouette - again.silhouette).abs() + both * off
        wrong = wrong.sum((2, 3)) / alone.silhouette.sum((2, 3)).clamp(min=1)
        return {**named, 'alone': (wrong * asked).sum() / each}

    def _real_loss(
        self, occupancy: Tensor, real: Tensor, solid: Solid, generator: torch.Generator
    ) -> Tensor:
        """Real frames: what the encoder finds, rendered again (L1 of heights and silhouette)."""
        model = self.model
        slots: Slots = model.encoder(real / model.unit_m).top(self.config.most + 1)
        heights, silhouette, _ = compose(
            self._render(occupancy, model.placed(slots, solid), solid)
        )
        return rerendering_loss(heights, silhouette, real, 0.2 * solid.radius_m).mean()

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
        data = self._measured(real, generator)[:, None].requires_grad_()
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
            'optimizers': {name: o.state_dict() for name, o in self._optimizers.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises: RuntimeError or KeyError, for a state of other networks."""
        self.model.load_state_dict(state['model'])
        self.average.network.load_state_dict(state['average'])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state['optimizers'][name])
        self.steps = int(state['steps'])


def rerendering_loss(heights: Tensor, silhouette: Tensor, real: Tensor, unit_m: float) -> Tensor:
    """(B,) difference of heights in `unit_m` and of silhouettes, a share of the image's pixels."""
    there = (real > SEEN_M).float()
    off = ((heights - real).abs() / unit_m).clamp(max=1.5)
    return (off + (silhouette - there).abs()).mean((1, 2))


def roughness(occupancy: Tensor) -> Tensor:
    """Mean difference between neighbouring voxels, in units of a whole surface's."""
    steps = [occupancy.diff(dim=axis).abs().sum() for axis in range(3)]
    return torch.stack(steps).sum() / (6 * occupancy.shape[0] ** 2)


def _scaled_gradient(x: Tensor, share: float) -> Tensor:
    return x * share + x.detach() * (1 - share)
