"""Options of the commands that segment frames, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from insegan_ros.parts_bin import Bin


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
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda[:i], for models')


def require_counts(args: argparse.Namespace, *names: str) -> None:
    """Raises: ValueError, where an option of these names is given and less than 1."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f'--{name} {value}: at least 1 is expected')


def chosen_instances(args: argparse.Namespace, known: int | None) -> int | None:
    """Parts in a frame for a classical method, of which the data say `known`; None: estimated."""
    return (known if args.instances is None else args.instances) or None


def chosen_bin(args: argparse.Namespace) -> Bin | None:
    """Raises: ValueError or OSError, for a file that cannot be read; None: to be found."""
    from insegan_ros.parts_bin import load_bin

    return None if args.bin is None else load_bin(args.bin)
