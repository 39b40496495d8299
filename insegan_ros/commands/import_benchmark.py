"""`insegan import --from bop | sileane | ipa`: a benchmark's images, with masks and poses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from insegan_ros.data.benchmark_import import (
    BenchmarkImage,
    BenchmarkRequest,
    store_benchmark,
    stored_count,
)
from insegan_ros.data.bop import bop_images, chosen_object
from insegan_ros.data.ipa import ipa_images
from insegan_ros.data.left_out import SOME_LEFT_OUT, LeftOut
from insegan_ros.data.sileane import sileane_images


def import_benchmark(args: argparse.Namespace) -> int:
    """Import the images of one object.

    Raises:
        DatasetError: another layout, or an object that is not in it or is to be chosen.
    """
    left_out = LeftOut('images', lambda text: print(text, file=sys.stderr))
    part, images = _images(args, left_out)
    request = BenchmarkRequest(
        args.out, args.part or part, args.layout, args.instances, args.depth_scale
    )
    added, check = store_benchmark(images, request, left_out)
    print(f'{args.out}: {added} frames added, {stored_count(args.out)} in all')
    for text in [check.warning, left_out.summary() if left_out else None]:
        if text is not None:
            print(text, file=sys.stderr)
    return SOME_LEFT_OUT if left_out else 0


def _images(args: argparse.Namespace, left_out: LeftOut) -> tuple[str, Iterator[BenchmarkImage]]:
    """The part's name as the folder tells it, and the images."""
    if args.layout == 'bop':
        number = chosen_object(args.recording, args.object)
        return f'object_{number}', bop_images(args.recording, number, left_out)
    if args.object is not None:
        raise ValueError(f'--object is for --from bop: a folder of {args.layout} has one object')
    name = args.recording.resolve().name
    read = sileane_images if args.layout == 'sileane' else ipa_images
    return name, read(args.recording, left_out)
