"""`insegan train --method explicit-gan`: InSeGAN with an explicit, metric template.

The template is the starting one (`--template`, or <out>/start, or discovered first), or with
`--init blob` a lumpy ball. An encoder learns from generated scenes whose poses are known, then
from real frames that it re-renders; a discriminator judges scenes whose poses come from noise;
both move the template. The run's folder:

    <out>/config.yaml, run.yaml   all settings, resolved; dataset, versions, machine
          start/            the template begun with
          checkpoint.pt     where the same command goes on
          losses.jsonl      every 20 iterations
          picture.png       rows: held-out frames; re-rendered; generated; the template's two
                            sides over time, the one begun with first
          verdict.yaml      held-out re-rendering error of both templates, mm
          template/         only if held-out frames are re-rendered better with it
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from tqdm import tqdm

from insegan_ros import config
from insegan_ros.commands.insegan_settings import claim
from insegan_ros.commands.train_explicit import DISCOVERY, DISCOVERY_FRAMES, train_indices
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.discovery.crops import dataset_pieces
from insegan_ros.discovery.discover import discover
from insegan_ros.discovery.lengths import likeliest_length
from insegan_ros.discovery.state import Settings
from insegan_ros.inference import model_card
from insegan_ros.model.explicit import CARD, Template
from insegan_ros.model.explicit_scene import blob, checked
from insegan_ros.training.explicit_run import ExplicitRun, ExplicitRunConfig, for_count
from insegan_ros.training.refine import Scenes

BLOB_GRID = 24  # voxels a side
BLOB_FRAMES = 60  # looked at for the part's length
# only where it lies can be learned of a ball; badly posed, less of it would always be better
BLOB_SETTINGS = {'step': {'warm': 200, 'adversarial_template': 0.1, 'least_volume': 0.8}}


def run(args: argparse.Namespace) -> int:
    """Uses args.dataset, out, config, set, init, template, part_length, max_minutes and seed.

    Raises:
        ValueError: settings, a dataset, a template or a run's folder that do not fit.
    """
    dataset, out = Dataset(args.dataset), Path(args.out)
    if len(dataset) == 0:
        raise DatasetError(f'{args.dataset} has no frames; collect or generate some')
    settings = resolve(args, dataset)
    claim(out, settings, dataset, args.seed)
    seconds = 60.0 * args.max_minutes if args.max_minutes else float('inf')
    start = starting_template(args, dataset, out, seconds)
    indices = train_indices(dataset)
    unseen = dataset.split('val') if 'val' in dataset.splits() else indices[-settings.held_out :]
    held_out = unseen[: settings.held_out]
    training = [i for i in indices[: settings.frames + len(held_out)] if i not in set(held_out)]
    training = training[: settings.frames]
    if not training or not held_out:
        raise DatasetError(f'{dataset.path}: {len(dataset)} frames are too few to learn from')
    with tqdm(total=len(training) + len(held_out), desc='frames', unit='frame') as bar:
        size = settings.model.image_size
        scenes = Scenes.of(dataset, training, held_out, size, args.seed, bar.update)
    process = ExplicitRun(out, settings, scenes, start, args.seed)
    print(
        f'{len(training)} frames to learn from, {len(held_out)} held out; '
        f'{process.trainer.steps} of {settings.loop.iterations} iterations done',
        flush=True,
    )
    try:
        ending = process.train(seconds)
    except FloatingPointError as error:
        raise ValueError(
            f'{error}; training stopped, the last good state is {out / "checkpoint.pt"}. '
            'Lower step.encoder_rate or step.template_rate'
        ) from None
    if ending == 'interrupted':
        print('interrupted; the same command goes on')
        return 130
    conclude(process, out)
    if ending == 'out of time':
        print(
            f'{process.trainer.steps} of {settings.loop.iterations} iterations; '
            'the same command goes on'
        )
    return 0


def resolve(args: argparse.Namespace, dataset: Dataset) -> ExplicitRunConfig:
    """Raises: ConfigError, for unknown keys or values."""
    base = BLOB_SETTINGS if args.init == 'blob' else None
    settings = config.load(ExplicitRunConfig, args.config or [], args.set or [], base)
    return replace(settings, step=for_count(settings.step, dataset.info.instances))


def starting_template(
    args: argparse.Namespace, dataset: Dataset, out: Path, seconds: float
) -> Template:
    """The same one whenever the command goes on: it is kept in <out>/start.

    Raises:
        TemplateError: it is damaged or too small.
    """
    folder = out / 'start'
    if (folder / CARD).exists():
        return checked(Template.load(folder))
    if args.template is not None:
        template = Template.load(args.template)
    elif args.init == 'blob':
        generator = torch.Generator().manual_seed(args.seed)
        length_m = args.part_length or length_of_part(dataset, args.seed)
        template = blob(length_m, BLOB_GRID, generator)
    else:
        indices = train_indices(dataset)[:DISCOVERY_FRAMES]
        budget = min(DISCOVERY * seconds, 480.0)
        template = discover(dataset, indices, out / 'discovery', Settings(seed=args.seed), budget)
    checked(template).save(folder)
    return template


def length_of_part(dataset: Dataset, seed: int) -> float:
    """Metres, from segments in some frames; whole ones need not be among them."""
    import numpy as np

    indices = train_indices(dataset)[:BLOB_FRAMES]
    return likeliest_length(dataset_pieces(dataset, indices, np.random.default_rng([seed, 0])))


def conclude(process: ExplicitRun, out: Path) -> None:
    """Judge; keep the refined template only where it is better."""
    template, verdict = process.judge()
    found: dict[str, Any] = {**asdict(verdict), 'better': verdict.better}
    found['iterations'] = process.trainer.steps
    model_card.write_atomically(
        out / 'verdict.yaml', yaml.safe_dump(found, sort_keys=False).encode()
    )
    print(verdict)
    template.save(out / 'candidate')
    if verdict.better:
        template.save(out / 'template')
        print(f'the refined template is in {out / "template"}')
    else:
        print(
            f'no template is written: {out / "start"} explains held-out frames as well; '
            f'{out / "candidate"} holds the refined one'
        )
