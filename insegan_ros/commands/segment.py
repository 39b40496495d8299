"""Segment depth images with a trained model or a classical method.

The input is a dataset, depth images (PNG, TIFF, NPY, NPZ, EXR) with their camera's file beside
them, one such image, or a recording (rosbag2, MCAP, .bag). In the output folder are
labels/<frame>.png (16-bit, 0 background, 1 the best pick), depths/<frame>_<k>.png (each instance
alone), overlays/<frame>.png to look at, and result.json with every instance's score, pose, visible
fraction and bounding box. With --format npz there is grasp/<frame>.npz too: depth in metres (0
where unmeasured), K and segmap, which grasp networks such as Contact-GraspNet take.

A frame that is damaged or cannot be segmented is named and left out; the exit code is then 3.

examples:
  insegan segment --model models/nut --input ~/bins/nut --split test --out found
  insegan segment --model any --input pngs --region 290,130,300,200 --max-depth 0.7 --out found
  insegan segment --method kmeans --input pngs --instances 5 --out found
  insegan segment --method felzenszwalb --input bin.png --camera-info camera_info.yaml --out found
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from insegan_ros.commands.reading_options import add_reading_options, reading_of
from insegan_ros.commands.segmenter_options import (
    add_segmenter_options,
    chosen_bin,
    chosen_instances,
    require_counts,
)
from insegan_ros.commands.view_options import add_view_limits, view_limits_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from insegan_ros.data.replay import Replay
    from insegan_ros.data.results import ResultWriter
    from insegan_ros.types import DepthFrame, Segmenter
    from insegan_ros.view_limits import ViewLimits


LOOKED_AT = 6  # frames for one that votes: not all show a bin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument('--model', help="a model's name or folder")
    how.add_argument(
        '--method', help='kmeans, spectral, grabcut_kmeans, graph_cut or felzenszwalb'
    )
    parser.add_argument('--input', type=Path, required=True, help='dataset, images or recording')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--split', default='all', help="of a dataset: its split's name (all)")
    add_segmenter_options(parser)
    add_view_limits(parser)
    add_reading_options(parser.add_argument_group('of images and recordings'))
    parser.add_argument(
        '--pose-seconds',
        type=float,
        default=1.0,
        help="a frame's, for 6-DoF poses of a model with a template (1); 0: rough ones",
    )
    parser.add_argument(
        '--format',
        choices=('images', 'npz'),
        default='images',
        help='npz: also grasp/<frame>.npz with depth, K and segmap (images)',
    )
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from insegan_ros import baselines
    from insegan_ros.data.left_out import SOME_LEFT_OUT
    from insegan_ros.data.replay import Replay
    from insegan_ros.data.results import ResultWriter
    from insegan_ros.inference.model_card import load_segmenter
    from insegan_ros.view_limits import limited

    require_counts(args, 'limit')
    reading, limits = reading_of(args), view_limits_of(args)
    if args.model is not None and args.instances is not None:
        raise ValueError('--instances is for classical methods; a model finds out by itself')
    with Replay(
        args.input, reading, camera_file=args.camera_info, topic=args.topic, split=args.split
    ) as source:
        instances, parts_bin = chosen_instances(args, source.instances), chosen_bin(args)
        segmenter: Segmenter
        if args.model is not None:
            segmenter = load_segmenter(args.model, args.device, parts_bin, seed=args.seed)
        else:
            segmenter = baselines.make(args.method, instances, parts_bin, seed=args.seed)
        length_m = length_by_frames(segmenter, source, limits)
        segmenter = limited(segmenter, limits)
        settings = {
            'input': str(args.input),
            'split': args.split,
            'model': args.model,
            'method': args.method,
            'instances': instances,
            'bin': None if args.bin is None else str(args.bin),
            'region': args.region,
            'max_depth': args.max_depth,
            'part_length_by_frames': length_m,
            'seed': args.seed,
        }
        count = len(source) if args.limit is None else min(args.limit, len(source))
        with ResultWriter(
            args.out,
            settings,
            source.depth_scale,
            left_out=source.left_out,
            npz=args.format == 'npz',
        ) as writer:
            done, found = segment_all(
                source, segmenter, writer, count=count, pose_seconds=args.pose_seconds
            )
        for text in [*source.notes, *source.skipped]:
            print(text, file=sys.stderr)
        print(f'{args.out}: {done} of {count} frames, {found} instances')
        if source.left_out:
            print(source.left_out.summary(), file=sys.stderr)
        if not done:
            return 1
        return SOME_LEFT_OUT if source.left_out or done < count or not source.is_whole else 0


def length_by_frames(segmenter: Segmenter, source: Replay, limits: ViewLimits) -> float | None:
    """Metres, where a model of any part was told no length: the first frames vote; else None.

    Raises:
        LengthNotFoundError, FloorNotFoundError: those frames do not tell it, or show no bin.
    """
    if not hasattr(segmenter, 'look'):  # asked so that a classical method needs no torch
        return None
    from insegan_ros.inference.part_length import FRAMES

    def usable() -> Iterator[DepthFrame]:
        for item in islice(source, LOOKED_AT * FRAMES):
            with suppress(ValueError):  # nothing is measured in it; it is told of below
                yield limits.applied(item.frame)

    length_m: float = segmenter.look(usable())
    print(
        f'by the first frames the part is {1e3 * length_m:.0f} mm long; if not, tell it: any:0.08'
    )
    return round(length_m, 5)


def segment_all(
    source: Replay, segmenter: Segmenter, writer: ResultWriter, *, count: int, pose_seconds: float
) -> tuple[int, int]:
    """Segment the first `count` frames; how many were, and how many instances they show."""
    import time

    from tqdm import tqdm

    from insegan_ros.data.depth_messages import suspicious_depth
    from insegan_ros.floor import FloorNotFoundError
    from insegan_ros.inference.trust import judged

    done, found, suspicion = 0, 0, None
    for item in tqdm(islice(source, count), total=count, unit='frame'):
        if suspicion is None and (suspicion := suspicious_depth(item.frame.depth_m)):
            tqdm.write(f'{item.name}: {suspicion}', file=sys.stderr)
        start = time.perf_counter()
        try:
            segmentation = segmenter.segment(item.frame, pose_seconds=pose_seconds)
            segmentation = judged(segmentation, item.frame, segmenter)
        except FloorNotFoundError as error:
            writer.write_failure(item.name, str(error))
            tqdm.write(f'{item.name}: {error}')
            continue
        except Exception as error:  # whatever a method cannot do with this frame
            writer.write_failure(item.name, f'{type(error).__name__}: {error}')
            source.left_out.add(f'frame {item.name}', f'{type(error).__name__}: {error}')
            continue
        seconds = time.perf_counter() - start
        writer.write(item.name, item.frame, segmentation, seconds=seconds)
        done, found = done + 1, found + segmentation.count
    return done, found
