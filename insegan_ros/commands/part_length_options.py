"""The option --part-length of the commands that discover a part."""

from __future__ import annotations

import argparse


def add_part_length(parser: argparse.ArgumentParser) -> None:
    """Declare --part-length."""
    parser.add_argument(
        '--part-length',
        type=float,
        metavar='METRES',
        help="the part's longest side, roughly: needed only where so few parts lie alone that the "
        'frames do not tell it (default: found)',
    )


def require_part_length(args: argparse.Namespace) -> None:
    """Raises: ValueError, where it is given and cannot be."""
    if args.part_length is not None and not 0.001 <= args.part_length <= 2:
        raise ValueError(f'--part-length {args.part_length}: 0.001 to 2 metres are expected')
