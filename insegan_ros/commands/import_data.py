"""Turn a recording made with stock tools, or another layout, into a dataset.

Reads rosbag2 folders (SQLite or MCAP), single .mcap and .db3 files, and .bag files of ROS 1 or the
RealSense Viewer, with plain or compressedDepth images. Importing again adds only frames that are
not there yet.

--from insta10 reads a class folder of the published Insta-10 layout (<class>/depth/*.png,
<class>/val/{depth,rgb}/*.png, <class>/test/{depth,rgb}/*.png) with its splits and masks. A mask's
background is the colour that most pixels on the outer edges of the class's masks have, unless
--background names it. The camera and the unit of those images were not published: the defaults of
--focal, --depth-scale and --depth-offset are guesses; `insegan calibrate --picture` shows whether
a bin floor is found with them.

examples:
  ros2 bag record /camera/camera/depth/image_rect_raw /camera/camera/depth/camera_info
  insegan import rosbag2_2026_01_31 --part nut --out ~/bins/nut --every 15
  insegan import --from insta10 ~/Insta-10/nut --out ~/bins/insta10_nut
  insegan import --from insta10 ~/Insta-10/nut --depth-offset 0.6 --depth-scale -0.001 --out nut
"""

from __future__ import annotations

import argparse
from pathlib import Path

NEAREST_FOCAL = 422.0  # px, of a D435's window, as `insegan generate` has it


def _colour(text: str) -> tuple[int, ...]:
    try:
        colour = tuple(int(value) for value in text.split(','))
    except ValueError:
        colour = ()
    if len(colour) not in (1, 3):
        raise argparse.ArgumentTypeError(f'{text!r}: R,G,B or one grey value is expected')
    return colour


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'recording', type=Path, help='a rosbag2 folder, .mcap, .db3, .bag or an Insta-10 class'
    )
    parser.add_argument('--from', dest='layout', choices=['recording', 'insta10'])
    parser.add_argument('--out', type=Path, required=True, help='the dataset folder')
    parser.add_argument('--part', help="the part's name, e.g. nut (insta10: the folder's name)")
    parser.add_argument(
        '--instances', type=int, help='parts in every frame, if it is known (insta10: 5)'
    )
    recording = parser.add_argument_group('of a recording')
    recording.add_argument('--topic', help='the depth image topic, if there are several')
    recording.add_argument(
        '--every',
        type=int,
        default=1,
        metavar='K',
        help='keep one frame in K: frames of the same scene teach little (default: all)',
    )
    insta10 = parser.add_argument_group('of --from insta10')
    insta10.add_argument('--size', type=int, default=224, help="the images' side in px (224)")
    insta10.add_argument(
        '--focal',
        type=float,
        default=NEAREST_FOCAL,
        help='focal length in px, the principal point in the middle (422)',
    )
    insta10.add_argument(
        '--depth-scale',
        type=float,
        metavar='M',
        help='metres a unit; negative: brighter is nearer (16 bits: 0.001, 8 bits: 0.004)',
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
    if args.layout == 'insta10':
        if args.topic is not None or args.every != 1:
            raise ValueError('--topic and --every are for recordings, not for --from insta10')
        return import_insta10(args)
    return import_recording(args)


def import_insta10(args: argparse.Namespace) -> int:
    from collections import Counter

    import numpy as np
    from tqdm import tqdm

    from insegan_ros.data.insta10 import DepthCode, Insta10
    from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo, to_units
    from insegan_ros.data.writer import DatasetWriter
    from insegan_ros.types import Intrinsics

    middle = (args.size - 1) / 2
    camera = Intrinsics(args.size, args.size, args.focal, args.focal, middle, middle)
    code = DepthCode(args.depth_scale, args.depth_offset)
    with tqdm(unit='mask', desc='masks') as bar:
        source = Insta10(args.recording, camera, code, args.background, bar.update)
    info = DatasetInfo(
        part=args.part or args.recording.resolve().name,
        intrinsics=camera,
        source='insta10',
        instances=5 if args.instances is None else args.instances,
        depth_scale=source.depth_scale,
    )
    with DatasetWriter(args.out, info) as writer:
        known = Dataset(args.out).records
        for index, record in known.items():
            if index >= len(source) or record.get('file') != source.name(index):
                raise DatasetError(
                    f'{args.out} was not made of {args.recording} as it is now: frame {index} is '
                    f'{record.get("file")}; choose another folder'
                )
        colours = ' '.join(','.join(map(str, colour)) for colour in sorted(source.background))
        # before the frames: an unfinished import must not pass for one without splits
        writer.write_splits(source.splits, f'as published; mask background: {colours}')
        missing = [index for index in range(len(source)) if index not in known]
        for index in tqdm(missing, total=len(missing), unit='frame'):
            found = source[index]
            units = to_units(found.frame.depth_m, info.depth_scale)
            writer.append(units, found.labels, record={'file': found.file}, index=index)
    stored = Dataset(args.out)
    labelled = [stored[i].labels for split in ('val', 'test') for i in stored.split(split)]
    counts = Counter(int(labels.max()) for labels in labelled if labels is not None)
    seen = ', '.join(f'{n} in {count}' for n, count in sorted(counts.items()))
    print(f'{args.out}: {len(missing)} frames added, {len(source)} in all')
    print(f'background of the masks: {colours}; instances: {seen} masks')
    measured = stored[0].frame.depth_m
    measured = measured[np.isfinite(measured)]
    span = f'{measured.min():.3f} to {measured.max():.3f} m' if len(measured) else 'unmeasured'
    print(f'depth of frame 0: {span}; --depth-scale and --depth-offset say how it is to be read')
    return 0


def import_recording(args: argparse.Namespace) -> int:
    from itertools import islice

    from tqdm import tqdm

    from insegan_ros.data.bags import Recording
    from insegan_ros.data.store import Dataset, DatasetInfo, to_units
    from insegan_ros.data.writer import DatasetWriter

    if args.part is None:
        raise ValueError("--part is needed: a recording does not tell the part's name")
    if args.every < 1:
        raise ValueError(f'--every {args.every}: at least 1 is expected')
    with Recording(args.recording, args.topic) as recording:
        info = DatasetInfo(
            part=args.part,
            intrinsics=recording.intrinsics,
            source='recording',
            instances=args.instances,
            depth_scale=recording.depth_scale,
        )
        with DatasetWriter(args.out, info) as writer:
            known = {r.get('stamp_ns') for r in Dataset(args.out).records.values()}
            added = 0
            total = -(-len(recording) // args.every)
            kept = islice(recording, 0, None, args.every)
            for frame in tqdm(kept, total=total, unit='frame'):
                if frame.stamp_ns in known:
                    continue
                writer.append(
                    to_units(frame.depth_m, info.depth_scale),
                    record={'stamp_ns': frame.stamp_ns, 'recording': args.recording.name},
                )
                added += 1
            print(f'{args.out}: {added} frames added, {len(writer.indices)} in all')
    return 0
