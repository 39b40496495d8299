"""Options that several commands have, and what they mean."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from insegan_ros.data.bags import Reading
    from insegan_ros.data.gathered import Gathered
    from insegan_ros.data.left_out import LeftOut
    from insegan_ros.data.replay import Replay
    from insegan_ros.parts_bin import Bin
    from insegan_ros.view_limits import ViewLimits

UNITS = ['mm', 'cm', 'm', 'in']
RECTIFIED = {'auto': None, 'yes': True, 'no': False}


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare --device."""
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda[:index], for models')


def add_mesh(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare --mesh and --units."""
    parser.add_argument(
        '--mesh',
        type=Path,
        metavar='FILE',
        help=f'{what}: one closed solid (STL, OBJ, PLY, OFF, GLB; STEP where cascadio is there)',
    )
    parser.add_argument(
        '--units',
        choices=UNITS,
        help='of the numbers in the mesh (mm; metres where the format says so: GLB, STEP)',
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Declare --workers."""
    parser.add_argument(
        '--workers', type=int, default=0, metavar='N', help='processes (0: one a core)'
    )


def workers_of(args: argparse.Namespace) -> int:
    """Raises: ValueError, for less than no process."""
    if args.workers < 0:
        raise ValueError(f'--workers {args.workers}: 0, one a core, or more are expected')
    return args.workers or os.cpu_count() or 1


def add_segmenter_options(parser: argparse.ArgumentParser) -> None:
    """--limit, --instances, --bin and --device."""
    parser.add_argument('--limit', type=int, metavar='N', help='only the first N frames')
    parser.add_argument(
        '--instances',
        type=int,
        metavar='N',
        help='how many parts classical methods look for '
        "(default: the dataset's number; 0: they estimate it)",
    )
    parser.add_argument('--bin', type=Path, help="`insegan calibrate`'s file (default: found)")
    add_device(parser)


def require_counts(args: argparse.Namespace, *names: str) -> None:
    """Raises: ValueError, where an option of these names is given and less than 1."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f'--{name} {value}: at least 1 is expected')


def ended(left_out: LeftOut, *, whole: bool = True) -> int:
    """Say what was left out; the exit code of a command that did the rest.

    Args:
        whole: nothing was found to be missing otherwise.
    """
    from insegan_ros.data.left_out import SOME_LEFT_OUT

    if left_out:
        print(left_out.summary(), file=sys.stderr)
    return SOME_LEFT_OUT if left_out or not whole else 0


def chosen_instances(args: argparse.Namespace, known: int | None) -> int | None:
    """Parts in a frame for a classical method, of which the data say `known`; None: estimated."""
    return (known if args.instances is None else args.instances) or None


def chosen_bin(args: argparse.Namespace) -> Bin | None:
    """Raises: ValueError or OSError, for a file that cannot be read; None: to be found."""
    from insegan_ros.parts_bin import load_bin

    return None if args.bin is None else load_bin(args.bin)


def add_part_length(parser: argparse.ArgumentParser) -> None:
    """Declare --part-length."""
    parser.add_argument(
        '--part-length',
        type=float,
        metavar='METRES',
        help="the part's longest side, roughly: needed only where so few parts lie alone that the "
        'frames do not show it (default: found)',
    )


def add_view_limits(parser: argparse.ArgumentParser) -> None:
    """Declare --region and --max-depth."""
    parser.add_argument(
        '--region',
        type=_region,
        metavar='X,Y,W,H',
        help='the window of the image, in px, outside which nothing counts: tables, rooms, other '
        'bins (the whole image)',
    )
    parser.add_argument(
        '--max-depth',
        type=float,
        metavar='METRES',
        help='what is further from the camera does not count: the ground beside a table',
    )


def _region(text: str) -> tuple[int, int, int, int]:
    from insegan_ros.view_limits import parse_region

    try:
        return parse_region(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def view_limits_of(args: argparse.Namespace) -> ViewLimits:
    """Raises: ValueError, for a distance that is none."""
    from insegan_ros.view_limits import ViewLimits

    return ViewLimits(args.region, args.max_depth)


def add_reading_options(group: argparse._ActionsContainer, *, topic: bool = True) -> None:
    """Declare the options that say how depth images and recordings are read.

    Args:
        topic: whether --topic is among them.
    """
    if topic:
        group.add_argument('--topic', help='the depth image topic, if a recording has several')
    group.add_argument(
        '--camera-info',
        type=Path,
        metavar='FILE',
        help="the camera: a ROS calibration YAML, `ros2 topic echo`'s output, or JSON of "
        'librealsense, Open3D or BOP (default: what the recording, folder or cloud says)',
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
        help='metres a unit of float images and clouds: 0.001 where they are millimetres (1)',
    )
    group.add_argument(
        '--rectified',
        choices=list(RECTIFIED),
        default='auto',
        help='whether the images are rectified; no: they are undistorted (auto: judged by the '
        "topic's name and by camera_info)",
    )


def dataset_given(args: argparse.Namespace, path: Path, beside: Path) -> Gathered:
    """The dataset in `path`, or one in `beside` that is made of the images or recording there.

    Raises:
        DatasetError: nothing that can be read.
        ValueError: a unit that is none.
    """
    from functools import partial

    from insegan_ros.data.gathered import dataset_of

    say = partial(print, file=sys.stderr)
    return dataset_of(path, beside, reading_of(args), camera_file=args.camera_info, say=say)


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


def replay_given(args: argparse.Namespace, path: Path, split: str = 'all') -> Replay:
    """Frames of any kind, read as the reading options say.

    Raises:
        DatasetError: `path` is nothing that can be replayed.
    """
    from insegan_ros.data.replay import Replay

    where = {'camera_file': args.camera_info, 'topic': args.topic, 'split': split}
    return Replay(path, reading_of(args), **where)
