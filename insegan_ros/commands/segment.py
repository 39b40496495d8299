"""Segment depth images with a trained model or a classical method.

The input is a dataset, a folder of 16-bit depth PNGs with a camera_info.yaml (ROS's format), or
one such PNG with --camera-info. In the output folder are labels/<frame>.png (16-bit, 0 background,
1 the best pick), depths/<frame>_<k>.png (each instance alone), overlays/<frame>.png to look at,
and result.json with every instance's score, pose, visible fraction and bounding box.

examples:
  insegan segment --model models/nut --input ~/bins/nut --split test --out found
  insegan segment --method kmeans --input pngs --instances 5 --out found
  insegan segment --method felzenszwalb --input bin.png --camera-info camera_info.yaml --out found
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from insegan_ros.commands.segmenter_options import (
    add_segmenter_options,
    chosen_bin,
    chosen_instances,
    require_counts,
)
from insegan_ros.types import DepthFrame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument('--model', help="a model's name or folder")
    how.add_argument(
        '--method', help='kmeans, spectral, grabcut_kmeans, graph_cut or felzenszwalb'
    )
    parser.add_argument('--input', type=Path, required=True, help='PNG, folder of PNGs or dataset')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--split', default='all', help="of a dataset: its split's name (all)")
    add_segmenter_options(parser)
    parser.add_argument(
        '--camera-info', type=Path, help='of PNGs (default: camera_info.yaml in their folder)'
    )
    parser.add_argument(
        '--depth-scale', type=float, default=0.001, help='of PNGs: metres a unit (0.001)'
    )
    parser.add_argument(
        '--pose-seconds',
        type=float,
        default=1.0,
        help="a frame's, for 6-DoF poses of a model with a template (1); 0: rough ones",
    )
    parser.add_argument('--seed', type=int, default=0)


@dataclass(frozen=True)
class Source:
    """Depth frames with names, wherever they come from."""

    count: int
    frames: Iterator[tuple[str, DepthFrame]]
    depth_scale: float
    instances: int | None  # parts in every frame, where that is known


def open_source(args: argparse.Namespace) -> Source:
    """Raises: DatasetError for an input that is none of the three, or one without its camera."""
    from insegan_ros.data.pngs import PngFolder, read_camera_info, read_depth_png
    from insegan_ros.data.store import Dataset, DatasetError

    path, limit = args.input, args.limit
    if not path.exists():
        raise DatasetError(f'there is no {path}')
    if (path / 'dataset.yaml').exists():
        dataset = Dataset(path)
        indices = dataset.split(args.split)[:limit]
        frames = ((f'{index:06d}', dataset[index].frame) for index in indices)
        return Source(len(indices), frames, dataset.info.depth_scale, dataset.info.instances)
    if args.split != 'all':
        raise DatasetError(f'--split {args.split}: {path} is no dataset and has no splits')
    scale = args.depth_scale
    if path.is_dir():
        folder = PngFolder(path, scale, args.camera_info)
        files, intrinsics = folder.files[:limit], folder.intrinsics
    elif args.camera_info is None:
        raise DatasetError(f'--camera-info is needed: {path} does not say which camera took it')
    else:
        files, intrinsics = [path], read_camera_info(args.camera_info)
    frames = ((file.stem, read_depth_png(file, intrinsics, scale)) for file in files)
    return Source(len(files), frames, scale, None)


def run(args: argparse.Namespace) -> int:
    import time

    from tqdm import tqdm

    from insegan_ros import baselines
    from insegan_ros.data.results import ResultWriter
    from insegan_ros.floor import FloorNotFoundError
    from insegan_ros.inference.model_card import load_segmenter
    from insegan_ros.types import Segmenter

    require_counts(args, 'limit')
    if not 0 < args.depth_scale < 1:
        raise ValueError(f'--depth-scale {args.depth_scale}: metres a unit are expected')
    if args.model is not None and args.instances is not None:
        raise ValueError('--instances is for classical methods; a model finds out by itself')
    source = open_source(args)
    instances, bin = chosen_instances(args, source.instances), chosen_bin(args)
    segmenter: Segmenter
    if args.model is not None:
        segmenter = load_segmenter(args.model, args.device, bin, args.seed, args.pose_seconds)
    else:
        segmenter = baselines.make(args.method, instances, bin, args.seed)
    settings = {
        'input': str(args.input),
        'split': args.split,
        'model': args.model,
        'method': args.method,
        'instances': instances,
        'bin': None if args.bin is None else str(args.bin),
        'seed': args.seed,
    }
    done = found = 0
    with ResultWriter(args.out, settings, source.depth_scale) as writer:
        for name, frame in tqdm(source.frames, total=source.count, unit='frame'):
            start = time.perf_counter()
            try:
                segmentation = segmenter.segment(frame)
            except FloorNotFoundError as error:
                writer.write_failure(name, str(error))
                tqdm.write(f'{name}: {error}')
                continue
            writer.write(name, frame, segmentation, time.perf_counter() - start)
            done, found = done + 1, found + segmentation.count
    print(f'{args.out}: {done} of {source.count} frames, {found} instances')
    return 0 if done else 1
