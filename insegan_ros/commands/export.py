"""Turn depth frames into what other tools read: a recording, or pictures.

mcap: a rosbag2 folder that ROS tools play and viewers open. db3: the same with SQLite storage,
which Humble plays as it is; to play mcap there, install ros-humble-rosbag2-storage-mcap. png:
colour pictures of the depth, one a frame at its own size and under its name, to draw masks on for
`insegan evaluate --masks`.

Images, point clouds and recordings are taken as well as datasets; pictures of images have their
names. A frame that is damaged is named and left out, and the exit code is then 3.

examples:
  insegan export ~/bins/nut --out nut_bag
  ros2 bag play nut_bag
  insegan export ~/bins/nut --format png --every 40 --out to_label
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from insegan_ros.commands.options import add_reading_options, dataset_given, ended, require_counts

if TYPE_CHECKING:
    from insegan_ros.data.store import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('dataset', type=Path, help='the dataset, images, clouds or recording')
    add_reading_options(parser, topic=False)
    parser.add_argument('--out', type=Path, required=True, help='the folder to make')
    parser.add_argument(
        '--format', choices=['mcap', 'db3', 'png'], default='mcap', help='mcap, db3 or png'
    )
    parser.add_argument('--every', type=int, metavar='K', help='png: one frame in K (all)')
    parser.add_argument('--topic', help="mcap, db3: prefix of the topics (realsense-ros's)")
    parser.add_argument('--frame-id', help='mcap, db3: of the images (camera_depth_optical_frame)')


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from tempfile import TemporaryDirectory

    args.out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix='.frames.', dir=args.out.parent) as folder:
        given = dataset_given(args, args.dataset, Path(folder))
        return _export(args, given.dataset) or ended(given.left_out, whole=given.is_whole)


def _export(args: argparse.Namespace, dataset: Dataset) -> int:
    from tqdm import tqdm

    from insegan_ros.data.bag_export import write_bag
    from insegan_ros.data.left_out import LeftOut
    from insegan_ros.data.picture_export import write_pictures

    left_out = LeftOut('frames', lambda text: tqdm.write(text, file=sys.stderr))
    if args.format == 'png':
        if args.topic or args.frame_id:
            raise ValueError('--topic and --frame-id are for --format mcap and db3')
        require_counts(args, 'every')
        indices = dataset.indices[:: args.every or 1]
        written = write_pictures(dataset, indices, args.out, left_out=left_out)
        total = len(indices)
    else:
        if args.every is not None:
            raise ValueError('--every is for --format png; a recording holds all frames')
        written = write_bag(
            dataset,
            args.out,
            frame_id=args.frame_id or 'camera_depth_optical_frame',
            topic=args.topic or '/camera/camera/depth',
            storage='mcap' if args.format == 'mcap' else 'sqlite3',
            left_out=left_out,
        )
        total = len(dataset)
    count = sum(1 for _ in tqdm(written, total=total, unit='frame'))
    print(f'{args.out}: {count} frames')
    return ended(left_out)
