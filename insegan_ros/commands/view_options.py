"""The options --region and --max-depth of the commands that look at frames."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from insegan_ros.view_limits import ViewLimits


def _region(text: str) -> tuple[int, int, int, int]:
    from insegan_ros.view_limits import parse_region

    try:
        return parse_region(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


def view_limits_of(args: argparse.Namespace) -> ViewLimits:
    """Raises: ValueError, for a distance that is none."""
    from insegan_ros.view_limits import ViewLimits

    return ViewLimits(args.region, args.max_depth)
