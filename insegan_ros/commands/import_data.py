"""Turn a recording made with stock tools, images, or another layout, into a dataset.

Reads rosbag2 folders (SQLite or MCAP), single .mcap and .db3 files, and .bag files of ROS 1 or the
RealSense Viewer, compressed ones too, with plain, compressedDepth (PNG, RVL) or PNG-compressed
images; folders of depth images (PNG, TIFF, NPY, NPZ, EXR) beside their camera's file; and folders
of point clouds (PLY, PCD), of which an organised one shows its camera (docs/files.md). Of a
recording that was cut short what is there is read. Images that are not rectified are undistorted.
Importing again adds only frames that are not there yet: those of a recording are known by it and
their stamp, images by name and content.

A message or file that cannot be used is named and left out; the exit code is then 3, and of a
recording that was cut short too.

--from insta10 reads a class folder of the published Insta-10 layout (<class>/depth/*.png,
<class>/val/{depth,rgb}/*.png, <class>/test/{depth,rgb}/*.png) with its splits and masks. A mask's
background is the colour that most pixels on the outer edges of the class's masks have, unless
--background names it. The camera and the unit of those images were not published: the defaults of
--focal, --depth-scale and --depth-offset are guesses; `insegan calibrate --picture` shows whether
a bin floor is found with them.

--from bop reads a split of a dataset in the layout of the BOP benchmark (<split>/000001/...), with
masks, poses and visible fractions; --object chooses one of its objects. --from sileane and
--from ipa read an object's folder of the Siléane and of the Fraunhofer IPA Bin-Picking dataset.

examples:
  ros2 bag record /camera/camera/depth/image_rect_raw /camera/camera/depth/camera_info
  insegan import rosbag2_2026_01_31 --part nut --out ~/bins/nut --every 15
  insegan import zivid.mcap --part nut --out ~/bins/nut --depth-scale 0.00005
  insegan import pngs --part nut --out ~/bins/nut --camera-info camera_info.yaml
  insegan import --from insta10 ~/Insta-10/nut --out ~/bins/insta10_nut
  insegan import --from bop ~/bop/icbin/test --object 2 --part juice --out ~/bins/icbin_juice
  insegan import --from sileane ~/sileane/brick --out ~/bins/sileane_brick
  insegan import --from insta10 ~/Insta-10/nut --depth-offset 0.6 --depth-scale -0.001 --out nut
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from insegan_ros.commands.options import (
    add_reading_options,
    ended,
    reading_of,
    replay_given,
    require_counts,
)
from insegan_ros.depth_camera import D435

BENCHMARKS = ('bop', 'sileane', 'ipa')


def _colour(text: str) -> tuple[int, ...]:
    try:
        colour = tuple(int(value) for value in text.split(','))
    except ValueError:
        colour = ()
    if len(colour) not in (1, 3):
        raise argparse.ArgumentTypeError(f'{text!r}: R,G,B or one grey value is expected')
    return colour


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument(
        'recording',
        type=Path,
        help='a rosbag2 folder, .mcap, .db3, .bag, a folder of images, or an Insta-10 class',
    )
    parser.add_argument('--from', dest='layout', choices=['recording', 'insta10', *BENCHMARKS])
    parser.add_argument('--out', type=Path, required=True, help='the dataset folder')
    parser.add_argument('--part', help="the part's name, e.g. nut (insta10: the folder's name)")
    parser.add_argument(
        '--instances', type=int, help='parts in every frame, if it is known (insta10: 5)'
    )
    recording = parser.add_argument_group('of a recording or images')
    add_reading_options(recording)
    recording.add_argument(
        '--every',
        type=int,
        default=1,
        metavar='K',
        help='keep one frame in K: frames of the same scene teach little (default: all)',
    )
    recording.add_argument(
        '--camera',
        type=int,
        default=1,
        metavar='N',
        help='which camera, where size or camera_info change in the recording (1, the first)',
    )
    bop = parser.add_argument_group('of --from bop')
    bop.add_argument('--object', type=int, metavar='ID', help='which object, where there are some')
    insta10 = parser.add_argument_group(
        'of --from insta10',
        '--depth-scale may be negative: brighter is nearer (16 bits: 0.001, 8 bits: 0.004)',
    )
    insta10.add_argument('--size', type=int, default=224, help="the images' side in px (224)")
    insta10.add_argument(
        '--focal',
        type=float,
        default=D435.fx,
        help='focal length in px, the principal point in the middle (422)',
    )
    insta10.add_argument(
        '--depth-offset',
        type=float,
        default=0.0,
        metavar='M',
        help='metres at value 0 (0: a value of 0 means unmeasured)',
    )
    insta10.add_argument(
        '--background',
        type=_colour,
        action='append',
        default=[],
        metavar='R,G,B',
        help="a mask's colour that is no instance; may be repeated (default: found)",
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    if args.layout == 'insta10':
        return _import_insta10(args)
    return _import_benchmark(args) if args.layout in BENCHMARKS else _import_recording(args)


def _import_insta10(args: argparse.Namespace) -> int:
    from insegan_ros.data.insta10 import DepthCode
    from insegan_ros.data.insta10_import import import_insta10
    from insegan_ros.types import Intrinsics

    if args.topic is not None or args.every != 1:
        raise ValueError('--topic and --every are for recordings, not for --from insta10')
    middle = (args.size - 1) / 2
    print(
        import_insta10(
            args.recording,
            args.out,
            Intrinsics(args.size, args.size, args.focal, args.focal, middle, middle),
            code=DepthCode(args.depth_scale, args.depth_offset),
            background=args.background,
            part=args.part or args.recording.resolve().name,
            instances=5 if args.instances is None else args.instances,
        )
    )
    return 0


def _import_benchmark(args: argparse.Namespace) -> int:
    from insegan_ros.data.benchmarks import BenchmarkRequest, import_benchmark
    from insegan_ros.data.left_out import LeftOut

    left_out = LeftOut('images', lambda text: print(text, file=sys.stderr))
    request = BenchmarkRequest(
        args.out, args.layout, args.object, args.part, args.instances, args.depth_scale
    )
    done = import_benchmark(args.recording, request, left_out)
    print(f'{args.out}: {done.added} frames added, {done.total} in all')
    if done.warning is not None:
        print(done.warning, file=sys.stderr)
    return ended(left_out)


def _import_recording(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from insegan_ros.data.importing import ImportRequest, import_all

    if args.part is None:
        raise ValueError("--part is needed: a recording does not say the part's name")
    require_counts(args, 'every', 'camera')
    request = ImportRequest(
        args.out,
        args.part,
        args.instances,
        args.every,
        args.camera,
        args.depth_scale,
        trusted=reading_of(args).is_trusted,
    )
    with replay_given(args, args.recording) as replay:
        done = import_all(replay, request, lambda text: tqdm.write(text, file=sys.stderr))
        left_out, whole = replay.left_out, replay.is_whole
    known = f'; {done.known} were there already (same recording and stamp)' if done.known else ''
    print(f'{args.out}: {done.added} frames added, {done.total} in all{known}')
    return ended(left_out, whole=whole)
