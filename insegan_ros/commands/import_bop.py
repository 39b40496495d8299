"""`insegan import --from bop`: a split of a BOP dataset, with its masks and poses."""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from insegan_ros.data.bop import images_of, objects_of
from insegan_ros.data.left_out import SOME_LEFT_OUT, LeftOut
from insegan_ros.data.store import Dataset, DatasetError, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter

DEPTH_SCALE = 0.0001  # metres a unit of what is written: finer than most cameras measure


def import_bop(args: argparse.Namespace) -> int:
    """Import the images of one object.

    Raises:
        DatasetError: no BOP scenes, an object that is not in them, or several to choose from.
    """
    objects = objects_of(args.recording)
    number = args.object
    told = ', '.join(f'{key} (in {count} images)' for key, count in sorted(objects.items()))
    if number is None and len(objects) == 1:
        number = next(iter(objects))
    if number not in objects:
        raise DatasetError(f'{args.recording} has objects {told}; choose one: --object ID')
    left_out = LeftOut('images', lambda text: print(text, file=sys.stderr))
    images = images_of(args.recording, number, left_out)
    first = next(images, None)
    if first is None:
        reasons = '; '.join(left_out.reasons[:3])
        raise DatasetError(f'{args.recording}: no image can be read: {reasons}')
    info = DatasetInfo(
        part=args.part or f'object_{number}',
        intrinsics=first.frame.intrinsics,
        source='bop',
        instances=args.instances,
        depth_scale=DEPTH_SCALE if args.depth_scale is None else args.depth_scale,
    )
    added = 0
    with DatasetWriter(args.out, info) as writer:
        known = {record.get('file') for record in writer.records.values()}
        for image in chain([first], images):
            if image.name in known:
                continue
            if image.frame.intrinsics != info.intrinsics:  # a dataset has one camera
                left_out.add(image.name, 'another camera than that of the first image')
                continue
            visible = {} if image.visible is None else {'visible': image.visible}
            record = {'file': image.name, 'instances': len(image.poses), **visible}
            units = to_units(image.frame.depth_m, info.depth_scale)
            writer.append(units, image.labels, image.poses, record=record)
            added += 1
    print(f'{args.out}: {added} frames added, {len(Dataset(args.out))} in all')
    if left_out:
        print(left_out.summary(), file=sys.stderr)
    return SOME_LEFT_OUT if left_out else 0
