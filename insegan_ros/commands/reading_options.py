"""How depth images are to be read: options of every command that takes recordings or images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from insegan_ros.data.bags import Reading

RECTIFIED = {'auto': None, 'yes': True, 'no': False}


def add_reading_options(group: argparse._ActionsContainer) -> None:
    """Declare the options that say how a recording is read."""
    group.add_argument('--topic', help='the depth image topic, if a recording has several')
    group.add_argument(
        '--camera-info',
        type=Path,
        metavar='FILE',
        help="the camera: a ROS calibration YAML, `ros2 topic echo`'s output, or JSON of "
        'librealsense, Open3D or BOP (default: what the recording or the folder has)',
    )
    group.add_argument(
        '--depth-scale',
        type=float,
        metavar='M',
        help='metres a unit of 16-bit images (default: as the recording says, or 0.001)',
    )
    group.add_argument(
        '--float-scale',
        type=float,
        default=1.0,
        metavar='M',
        help='metres a unit of float images: 0.001 where they are millimetres (1)',
    )
    group.add_argument(
        '--rectified',
        choices=list(RECTIFIED),
        default='auto',
        help='whether the images are rectified; no: they are undistorted (auto: judged by the '
        "topic's name and by camera_info)",
    )


def reading_of(args: argparse.Namespace) -> Reading:
    """Raises: ValueError for a unit that is none."""
    from insegan_ros.data.bags import Reading

    if args.depth_scale is not None and not 0 < args.depth_scale < 1:
        raise ValueError(f'--depth-scale {args.depth_scale}: metres a unit are expected')
    if not 0 < args.float_scale < 1000:
        raise ValueError(f'--float-scale {args.float_scale}: metres a unit are expected')
    return Reading(
        depth_scale=args.depth_scale,
        float_scale=args.float_scale,
        rectified=RECTIFIED[args.rectified],
    )
