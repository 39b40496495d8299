"""Turn a dataset into a recording that ROS tools play and viewers open.

examples:
  insegan export ~/bins/nut --out nut_bag
  ros2 bag play nut_bag
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('dataset', type=Path, help='the dataset folder')
    parser.add_argument('--out', type=Path, required=True, help='the rosbag2 folder to make')
    parser.add_argument('--format', choices=['mcap'], default='mcap', help='its storage')
    parser.add_argument('--topic', default='/camera/camera/depth', help='prefix of the topics')
    parser.add_argument('--frame-id', default='camera_depth_optical_frame')


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from insegan_ros.data.bags import write_mcap
    from insegan_ros.data.store import Dataset

    dataset = Dataset(args.dataset)
    written = write_mcap(dataset, args.out, args.frame_id, args.topic)
    count = sum(1 for _ in tqdm(written, total=len(dataset), unit='frame'))
    print(f'{args.out}: {count} frames')
    return 0
