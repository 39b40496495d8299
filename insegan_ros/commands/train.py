r"""Learn a model of the part from unlabelled depth images.

The run's folder holds what each stage found, a picture of it, and its figures; the same command
after an interruption goes on. Labels are never read, even where the dataset has some. Where no
shape explains the frames, the random shapes that look most like what they show teach the network:
masks, but no poses.

With --mesh the part's shape comes from a CAD model, and no frames are needed: piles then lie in
bins of any kind under any depth camera. With --dataset as well, a few unlabelled frames say what
the bin and the camera are like. Poses have the axes of the CAD model; model.yaml says their
origin in it (mesh.origin_m), and the model's folder holds the mesh moved there (part.ply).

Every setting can be set: --dry-run prints all of them, and the stages with their times.

examples:
  insegan train --dataset ~/bins/nut --out ~/runs/nut
  insegan train --dataset ~/bins/nut --out ~/runs/nut --max-minutes 15
  insegan train --dataset zivid_clouds --float-scale 0.001 --out ~/runs/nut
  insegan train --mesh part.stl --units mm --out ~/runs/part
  insegan train --mesh part.stl --dataset ~/bins/part --out ~/runs/part
  insegan train --dataset ~/bins/nut --out ~/runs/nut --set discovery.crops=500 --dry-run
  insegan train --dataset ~/bins/mixed --out ~/runs/mixed --kinds 2
  insegan train --dataset ~/bins/nut --out ~/runs/gan --method insegan3d --max-minutes 60 \
      --config config/train/insegan_reference.yaml --set step.batch=32
  insegan train --dataset ~/bins/nut --out ~/runs/gan2 --method insegan3d --start ~/runs/gan/model
  insegan train --dataset ~/bins/nut --out ~/runs/slots --method bo_qsa --max-minutes 60
  torchrun --nproc-per-node 4 -m insegan_ros.cli train --dataset ~/bins/nut --out ~/runs/gan \
      --method insegan3d
then:
  insegan segment --input ~/bins/nut --model ~/runs/nut/model --out ~/segmented
"""

from __future__ import annotations

import argparse
from pathlib import Path

from insegan_ros.commands.options import (
    add_device,
    add_mesh,
    add_part_length,
    add_reading_options,
    add_workers,
    dataset_given,
    workers_of,
)

METHODS = {
    'distilled': "discover the part's shape, pile it up in physics, teach a network from the "
    'piles',
    'insegan3d': "the paper's InSeGAN: a GAN with an implicit 3-D template, and an encoder that "
    'inverts it',
    'insegan2d': "the paper's ablation without a template",
    'slot_attention': 'Slot Attention (Locatello et al. 2020)',
    'bo_qsa': 'Slot Attention with learned starts (BO-QSA, 2023)',
    'iodine': 'IODINE (Greff et al. 2019)',
    'wu': 'our reconstruction of Wu et al. 2019',
}
# option -> the setting that it overrides
SETTINGS = {
    'method': 'method',
    'max_minutes': 'max_minutes',
    'start': 'start',
    'part_length': 'part_length_m',
    'camera': 'camera',
    'kinds': 'kinds',
    'units': 'units',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('--dataset', type=Path, help='a dataset, images, clouds or a recording')
    add_reading_options(parser.add_argument_group('of images'), topic=False)
    add_mesh(parser, 'distilled: a CAD model of the part; --dataset is then optional')
    parser.add_argument('--out', type=Path, required=True, help="the run's folder")
    described = '; '.join(f'{name}: {text}' for name, text in METHODS.items())
    parser.add_argument('--method', choices=list(METHODS), help=f'{described} (distilled)')
    parser.add_argument(
        '--max-minutes',
        type=float,
        help='distilled: shared out among its stages (30; 15 with --mesh), and with more than a '
        'finished run had its network goes on learning; all others: of this call (no limit)',
    )
    parser.add_argument(
        '--config',
        type=Path,
        action='append',
        default=[],
        metavar='FILE',
        help='YAML of settings that override the defaults; may be repeated',
    )
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='KEY=VALUE',
        help='one setting, e.g. model.z_dim=64; may be repeated',
    )
    parser.add_argument(
        '--start',
        metavar='MODEL',
        help='the model to begin with, by name or folder. distilled: its network goes on, or '
        '`none` (any); insegan3d, insegan2d: one of the same method, whose encoder goes on '
        'learning, after step.joint_after steps its generator, too (none)',
    )
    parser.add_argument(
        '--kinds',
        type=int,
        metavar='N',
        help='distilled: kinds of part, at most (1); insegan3d: --set model.templates=N instead',
    )
    parser.add_argument(
        '--camera',
        metavar='NAME',
        help='distilled: whose noise piles have: any, a name or file of docs/cameras.md (d435)',
    )
    add_part_length(parser)
    parser.add_argument('--seed', type=int, default=0)
    add_device(parser)
    add_workers(parser)
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='print all settings and the stages with their times, and do nothing',
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    import json

    from insegan_ros.device import pick_device
    from insegan_ros.learn import methods
    from insegan_ros.learn.resolve import resolve
    from insegan_ros.learn.run_folder import Job

    overrides = [
        f'{key}={getattr(args, option)}'
        for option, key in SETTINGS.items()
        if getattr(args, option) is not None
    ]
    if args.dataset is None and args.mesh is None:
        raise ValueError('--dataset (depth frames) or --mesh (a CAD model) is needed')
    if args.units is not None and args.mesh is None:
        raise ValueError('--units are those of --mesh, which is not given')
    if args.mesh is not None:
        overrides.append(f'mesh={json.dumps(str(args.mesh.expanduser().resolve()))}')
    dataset = None
    if args.dataset is not None:
        dataset = dataset_given(args, args.dataset, args.out / 'frames').dataset
    job = Job(
        frames=dataset,
        out=args.out,
        config=resolve(args.config, [*args.set, *overrides], dataset),
        seed=args.seed,
        device=pick_device(args.device),
        workers=workers_of(args),
    )
    if args.dry_run:
        print(methods.describe(job))
        return 0
    return methods.learn(job)
