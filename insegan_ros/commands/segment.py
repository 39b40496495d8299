"""Segment depth images with a trained model or a classical method.

The input is a dataset, depth images (PNG, TIFF, NPY, NPZ, EXR) with their camera's file beside
them, clouds (PLY, PCD), one such file, or a recording (rosbag2, MCAP, .bag). In the output are
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
from pathlib import Path

from insegan_ros.commands.options import (
    add_reading_options,
    add_segmenter_options,
    add_view_limits,
    chosen_bin,
    chosen_instances,
    ended,
    replay_given,
    require_counts,
    view_limits_of,
)

LOOKED_AT = 30  # frames that may show the part's length: not all show a bin


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
    from insegan_ros.data.results import ResultWriter, segment_frames
    from insegan_ros.inference.model_card import load_segmenter
    from insegan_ros.view_limits import limited

    require_counts(args, 'limit')
    limits = view_limits_of(args)
    if args.model is not None and args.instances is not None:
        raise ValueError('--instances is for classical methods; a model finds out by itself')
    with replay_given(args, args.input, args.split) as source:
        instances, parts_bin = chosen_instances(args, source.instances), chosen_bin(args)
        if args.model is not None:
            segmenter = load_segmenter(args.model, args.device, parts_bin, seed=args.seed)
        else:
            segmenter = baselines.make(args.method, instances, parts_bin, seed=args.seed)
        length_m = None
        if hasattr(segmenter, 'look'):  # a model of any part that was given no length
            length_m = round(segmenter.look(limits.applied_to(source.spread(LOOKED_AT))), 5)
            print(
                f'by these frames the part is {1e3 * length_m:.0f} mm long; if not, give it: '
                'any:0.08'
            )
        names = ('split', 'model', 'method', 'region', 'max_depth', 'seed')
        settings = {
            'input': str(args.input),
            'instances': instances,
            'bin': None if args.bin is None else str(args.bin),
            'part_length_by_frames': length_m,
            **{name: getattr(args, name) for name in names},
        }
        with ResultWriter(
            args.out,
            settings,
            source.depth_scale,
            left_out=source.left_out,
            npz=args.format == 'npz',
        ) as writer:
            how = {'limit': args.limit, 'pose_seconds': args.pose_seconds}
            limited_one = limited(segmenter, limits)
            done, found, count = segment_frames(source, limited_one, writer, **how)
        for text in [*source.notes, *source.skipped]:
            print(text, file=sys.stderr)
        print(f'{args.out}: {done} of {count} frames, {found} instances')
        code = ended(source.left_out, whole=done == count and source.is_whole)
        return code if done else 1
