"""Find the bin for a camera that does not move, once, and store where it is.

Frames of the empty bin serve best: nothing then hides the floor and the walls. Several frames are
combined to their median, so parts may lie in the bin if they lie elsewhere in each frame. The
model `any` also estimates in such frames how long the parts are: check the length that is
printed, or give the right one with --part-length. The file goes to the segmenter's parameter
bin_file and to `insegan segment --bin`.

examples:
  insegan calibrate --input empty_bin_pngs --out bin.yaml --picture bin.png
  insegan calibrate --input ~/bins/nut --limit 50 --out bin.yaml
  insegan calibrate --input cell_pngs --region 290,130,300,200 --max-depth 0.7 --out bin.yaml
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from insegan_ros.commands.options import (
    add_part_length,
    add_reading_options,
    add_view_limits,
    replay_given,
    require_counts,
    view_limits_of,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument(
        '--input',
        type=Path,
        required=True,
        help='a dataset, a folder of depth images or point clouds, or a recording',
    )
    add_reading_options(parser)
    parser.add_argument('--out', type=Path, required=True, help='the YAML file to write')
    parser.add_argument('--limit', type=int, default=30, help='frames that are combined (30)')
    add_view_limits(parser)
    add_part_length(parser)
    parser.add_argument('--picture', type=Path, help='a PNG of what was found, to look at')
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from dataclasses import replace
    from itertools import islice

    import cv2
    import numpy as np

    from insegan_ros.bin_finding import find_bin
    from insegan_ros.camera import median_frame
    from insegan_ros.drawing import bin_picture
    from insegan_ros.inference.model_card import length_of_parts
    from insegan_ros.parts_bin import save_bin

    require_counts(args, 'limit')
    limits = view_limits_of(args)
    with replay_given(args, args.input) as replay:
        frames = [replayed.frame for replayed in islice(replay, args.limit)]
        for text in replay.skipped:
            print(text, file=sys.stderr)
    if not frames:
        raise ValueError(f'{args.input}: none of its images can be used')
    frame = limits.applied(median_frame(frames))
    found = find_bin(frame, np.random.default_rng(args.seed)).within(limits.region)
    length_m, said = args.part_length, 'the part length is the given one'
    if length_m is None:
        length_m, said = length_of_parts(limits.applied_to(frames), found)
    save_bin(args.out, replace(found, part_length_m=length_m))
    print(f'{len(frames)} frames: {found.in_words}; {said}')
    if args.picture:
        if not cv2.imwrite(str(args.picture), bin_picture(frame, found)):
            raise OSError(f'{args.picture} could not be written')
        print(f'see {args.picture}: heights in colour, the floor white, outside the bin dimmed')
    return 0
