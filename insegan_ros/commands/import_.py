"""Turn a recording made with stock tools into a dataset.

Reads rosbag2 folders (SQLite or MCAP), single .mcap and .db3 files, and .bag files of ROS 1 or the
RealSense Viewer. Importing again adds only frames that are not there yet.

examples:
  ros2 bag record /camera/camera/depth/image_rect_raw /camera/camera/depth/camera_info
  insegan import rosbag2_2026_01_31 --part nut --out ~/bins/nut --every 15
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('recording', type=Path, help='a rosbag2 folder, .mcap, .db3 or .bag')
    parser.add_argument('--out', type=Path, required=True, help='the dataset folder')
    parser.add_argument('--part', required=True, help="the part's name, e.g. nut")
    parser.add_argument('--instances', type=int, help='parts in every frame, if it is known')
    parser.add_argument('--topic', help='the depth image topic, if there are several')
    parser.add_argument(
        '--every',
        type=int,
        default=1,
        metavar='K',
        help='keep one frame in K: frames of the same scene teach little (default: all)',
    )


def run(args: argparse.Namespace) -> int:
    from itertools import islice

    from tqdm import tqdm

    from insegan_ros.data.bags import Recording
    from insegan_ros.data.store import Dataset, DatasetInfo, DatasetWriter, to_units

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
