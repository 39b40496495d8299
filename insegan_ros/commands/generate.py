"""Drop parts in a simulated bin and store depth images with ground truth.

The same command after an interruption goes on where it stopped; the same seed gives the same
bytes, however many workers or shards made them. Once all frames are there, splits.yaml names those
for training, validation and tests, and the rule by which they were chosen.

examples:
  insegan generate --part nut --count 10000 --out ~/bins/nut
  insegan generate --part bolt --count 2000 --instances 3-8 --noise none --out ~/bins/bolt
  insegan generate --part elbow --count 100 --camera d435 --tilt 20 --out ~/bins/elbow
  insegan generate --part nut --count 500 --camera structured_light --out ~/bins/nut_fine
  insegan generate --mesh bracket.stl --units mm --count 500 --out ~/bins/bracket
  insegan generate --part nut bolt --count 2000 --out ~/bins/mixed

on several machines, one command each, and a last one that puts their frames together:
  insegan generate --part nut --count 10000 --shard 0/2 --out a
  insegan generate --part nut --count 10000 --shard 1/2 --out b
  insegan generate --part nut --count 10000 --gather a b --out ~/bins/nut
"""

from __future__ import annotations

import argparse
from pathlib import Path

from insegan_ros.commands.options import add_mesh, add_workers, workers_of


def _range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition('-')
    try:
        return int(low), int(high if dash else low)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: a number or a range like 3-8') from None


def _shard(text: str) -> tuple[int, int]:
    try:
        i, k = (int(number) for number in text.split('/'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: i/k is expected, e.g. 0/8') from None
    if not 0 <= i < k:
        raise argparse.ArgumentTypeError(f'{text!r}: 0 <= i < k is expected')
    return i, k


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument(
        '--part',
        nargs='+',
        help='nut, bolt, ...: see docs/parts.md; of several, every bin holds a random mixture; '
        "of --mesh, what the part is called (the file's name)",
    )
    add_mesh(parser, 'a CAD model instead of a part that comes with the package')
    parser.add_argument('--count', type=int, required=True, help='frames in the dataset')
    parser.add_argument('--out', type=Path, required=True, help='the dataset folder')
    parser.add_argument(
        '--instances', type=_range, default=(5, 5), metavar='N|A-B', help='parts in a frame (5)'
    )
    parser.add_argument(
        '--noise',
        metavar='CAMERA',
        help="how the camera errs: none, d435, d435_strong, or as for --camera (the camera's own)",
    )
    parser.add_argument(
        '--camera',
        default='crop',
        help="crop, the window around the bin in a D435's image (default); or the whole image of "
        'd435, d435_filtered, d435_raw, structured_light, time_of_flight, or of a YAML file like '
        'those in config/cameras (docs/cameras.md)',
    )
    parser.add_argument('--size', type=int, default=224, help="the window's side in px (224)")
    parser.add_argument('--camera-height', type=float, default=0.55, help='metres (0.55)')
    parser.add_argument('--tilt', type=float, default=0.0, help='degrees from straight down (0)')
    parser.add_argument(
        '--bin-width',
        type=float,
        help='inner width in lengths of the longest part (by part)',
    )
    parser.add_argument('--seed', type=int, default=0)
    add_workers(parser)
    parser.add_argument(
        '--shard',
        type=_shard,
        default=(0, 1),
        metavar='i/k',
        help='make only frames i, i + k, ... (k machines, a folder each)',
    )
    parser.add_argument(
        '--gather',
        type=Path,
        nargs='+',
        default=[],
        help="shards' folders: take their frames over",
    )
    parser.add_argument(
        '--clouds', choices=['ply', 'npz'], help='also write labelled point clouds to clouds/'
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from tqdm import tqdm

    from insegan_ros.data.store import Dataset
    from insegan_ros.evaluation.selection import make_splits
    from insegan_ros.synthetic.datasets import write_dataset
    from insegan_ros.synthetic.generate import SceneConfig

    if args.count < 1:
        raise ValueError('--count must be at least 1')
    if args.part is None and args.mesh is None:
        raise ValueError('--part NAME or --mesh FILE is needed')
    workers = workers_of(args)
    config = SceneConfig(
        part='+'.join(args.part or [args.mesh.stem]),
        instances=args.instances,
        noise=args.noise or ('d435' if args.camera == 'crop' else args.camera),
        camera=args.camera,
        size=args.size,
        camera_height=args.camera_height,
        tilt_degrees=args.tilt,
        bin_width=args.bin_width,
        mesh=None if args.mesh is None else str(args.mesh.expanduser().resolve()),
        units=args.units,
    )
    wanted = range(args.shard[0], args.count, args.shard[1])
    with tqdm(total=len(wanted), unit='image') as bar:
        added = write_dataset(
            args.out,
            config,
            wanted,
            seed=args.seed,
            workers=workers,
            shards=[Dataset(folder) for folder in args.gather],
            clouds=args.clouds,
            progress=bar.update,
        )
    if args.shard == (0, 1) and (added or not (args.out / 'splits.yaml').exists()):
        with tqdm(total=len(wanted), unit='image', desc='splits') as bar:
            make_splits(args.out, args.seed, workers, progress=bar.update)
    print(f'{args.out}: {len(wanted)} frames')
    return 0
