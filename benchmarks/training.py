"""Training images per second: the reference networks trained plainly, and as this package does.

The peer updates the same networks at the reference sizes in the plain way: discriminator,
generator and encoder each generate a batch of their own, the template is grown for every instance,
all in float32. Beside it, in turns within one run: this package's step at the reference sizes
(`config/train/insegan_reference.yaml`), the default model in its phases, and its generator
without the template (2-D).

python benchmarks/training.py --batch 32 --seconds 20 --threads 2
python benchmarks/training.py --batch 16 --threads 1 --processor-time    # beside other work
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from insegan_ros import config
from insegan_ros.device import pick_device
from insegan_ros.learn.config import LearnConfig
from insegan_ros.learn.insegan import pick_precision
from insegan_ros.model import losses
from insegan_ros.model.insegan import InSeGAN, InSeGANConfig
from insegan_ros.model.matching import match
from insegan_ros.training.step import Trainer
from insegan_ros.training.step_config import StepConfig

REFERENCE = Path(__file__).parents[1] / 'config/train/insegan_reference.yaml'


class Plain:
    """The three updates one after another, each from latents to loss."""

    def __init__(self, model: InSeGAN) -> None:
        self.model = model
        instance = model.generator.instance
        instance.draw = lambda motion: self._features(instance, motion)  # type: ignore[method-assign]
        self._optimizers = [
            torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
            for network in (model.discriminator, model.generator, model.encoder)
        ]

    def _features(self, instance: nn.Module, motion: Tensor) -> Tensor:
        template = instance.template.expand(len(motion), -1, -1, -1, -1)
        template = instance.doubling(nn.functional.instance_norm(template))
        motion = motion.unflatten(-1, (3, 4))
        back = motion[..., :3].transpose(1, 2)
        theta = torch.cat([back, -back @ motion[..., 3:]], dim=-1)
        grid = nn.functional.affine_grid(theta, list(template.shape), align_corners=False)
        posed = nn.functional.grid_sample(template, grid, align_corners=False)
        return instance.project(instance.volume(posed).flatten(1, 2))

    def step(self, real: Tensor, z: Tensor) -> None:
        model = self.model
        with torch.no_grad():
            fake = model.generator(z)[0]
        self._update(
            0, losses.discriminator_loss(model.discriminator(real), model.discriminator(fake))
        )
        fake, features = model.generator(z)
        self._update(1, losses.generator_loss(model.discriminator(fake)))
        with torch.no_grad():
            fake, features = model.generator(z)
        z_hat, derendered = model.encoder(fake)
        again = model.generator(z_hat)[0]
        loss = losses.alignment_loss(z, z_hat, match(z, z_hat, 'hungarian'))
        loss = loss + losses.intermediate_loss(features, derendered)
        self._update(2, loss + losses.pose_loss(fake, again, 'l2'))

    def _update(self, which: int, loss: Tensor) -> None:
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizers[which].step()


Clock = Callable[[], float]


def seconds_of(work: Callable[[], object], device: str, clock: Clock) -> float:
    if device.startswith('cuda'):
        torch.cuda.synchronize()
    begun = clock()
    work()
    if device.startswith('cuda'):
        torch.cuda.synchronize()
    return clock() - begun


def breakdown(
    model: InSeGAN, real: Tensor, z: Tensor, precision: torch.dtype, *, clock: Clock
) -> dict[str, float]:
    """Milliseconds an image of each network, forwards and backwards once."""
    device = real.device.type
    on = torch.autocast(device, precision, enabled=precision != torch.float32)
    features = torch.randn_like(model.generator(z[:1])[1]).expand(len(real), -1, -1, -1)
    parts: dict[str, Callable[[], Tensor]] = {
        'G_s (instances)': lambda: (
            model.generator.features(model.generator.place(z)).float().square().sum()
        ),
        'G_r (renderer)': lambda: model.generator.renderer(features).float().square().sum(),
        'D (discriminator)': lambda: model.discriminator(real).float().square().sum(),
        'E (encoder)': lambda: model.encoder(real)[0].float().square().sum(),
    }
    spent = {}
    for name, forward in parts.items():

        def both(forward: Callable[[], Tensor] = forward) -> None:
            with on:
                loss = forward()
            loss.backward()

        both()
        best = min(seconds_of(both, device, clock) for _ in range(3))
        spent[name] = 1e3 * best / len(real)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--instances', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=20.0, help='for each contender (20)')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='auto')
    parser.add_argument(
        '--processor-time', action='store_true', help='count only what this process was given'
    )
    args = parser.parse_args()
    clock = time.process_time if args.processor_time else time.perf_counter
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    precision = pick_precision('auto', device)
    settings = config.load(LearnConfig, [REFERENCE])
    reference = replace(settings.model, instances=args.instances)
    default = InSeGANConfig(instances=args.instances)

    def images(size: int) -> Tensor:
        return torch.rand(args.batch, 1, size, size, device=device) * 2 - 1

    def latents(model: InSeGANConfig) -> Tensor:
        return torch.randn(args.batch, args.instances, model.z_dim, device=device)

    together = settings.step
    first = StepConfig(generator_steps=10**9)  # generator and discriminator
    then = replace(first, generator_steps=-1)  # the encoder on the frozen average
    joint = replace(then, joint_after=0, real_after=0, generator_steps=1)

    def ours(
        model: InSeGANConfig, dtype: torch.dtype, step: StepConfig = together
    ) -> Callable[[], object]:
        trainer = Trainer(InSeGAN(model).to(device), step, dtype)
        trainer.steps = int(step is joint)
        return lambda: trainer.step(images(model.image_size), latents(model))

    plain = Plain(InSeGAN(reference).to(device))
    name = str(precision).removeprefix('torch.')
    contenders: dict[str, Callable[[], object]] = {
        'reference, plainly': lambda: plain.step(images(64), latents(reference)),
        'reference, this package, float32': ours(reference, torch.float32),
        f'reference, this package, {name}': ours(reference, precision),
        f'default, generator, {name}': ours(default, precision, first),
        f'default, encoder, {name}': ours(default, precision, then),
        f'default, joint, {name}': ours(default, precision, joint),
        f'2-D ablation, generator, {name}': ours(replace(default, kind='2d'), precision, first),
    }
    rates: dict[str, list[float]] = {key: [] for key in contenders}
    for work in contenders.values():
        work()
    begun = clock()
    while clock() - begun < args.seconds * len(contenders):
        for key, work in contenders.items():  # in turns: what else the machine does hits all
            rates[key].append(args.batch / seconds_of(work, device, clock))
    told = ', processor time' * args.processor_time
    print(
        f'batch {args.batch}, {args.instances} instances, {device}, {args.threads} threads{told}'
    )
    print(f'{"":40} {"images/s":>9} {"of the plain":>13}')
    peer = float(np.median(rates['reference, plainly']))
    for key, values in rates.items():
        rate = float(np.median(values))
        print(f'{key:40} {rate:9.1f} {rate / peer:13.2f}')
    print(f'\nreference sizes, {name}: ms an image, forwards and backwards once')
    model = InSeGAN(reference).to(device)
    parts = breakdown(model, images(64), latents(reference), precision, clock=clock)
    for part, spent in parts.items():
        print(f'{part:40} {spent:9.2f}')


if __name__ == '__main__':
    main()
