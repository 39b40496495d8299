"""Compare segmentation methods on a dataset: a table, JSON, a plot, and a picture of some frames.

Methods are classical ones (kmeans, spectral, grabcut_kmeans, graph_cut, felzenszwalb) and models,
by name or folder; any:0.056 is the model of any part, for parts that are 56 mm long. Without
labels only the re-rendering error, of models that render, and the speed are reported. The picture
shows frames from the last method's worst to its best.
--make-splits first chooses train, val, test (frames on which K-means fails) and test_random of a
labelled dataset and stores the choice in its splits.yaml.

Frames that were collected have no labels. Draw masks by hand on some of them, a mask a part, in
any tool that writes COCO JSON (polygons or run lengths) or labelme JSON (polygons or masks), on
pictures of the frames at their own size and under their names: 000012.png is frame 12, and
`insegan export --format png` makes them. With --masks only these frames are evaluated. What lies
in a crowd of COCO (iscrowd) is not judged: draw one over parts that nobody can tell apart.
An annotation that is no mask is named and left out, and the report counts it. A frame or an
annotated image that cannot be used is left out too, and the exit code is then 3.

examples:
  insegan evaluate --dataset ~/bins/nut
  insegan evaluate --dataset ~/bins/nut --methods kmeans,models/nut --split test_random --out r
  insegan evaluate --dataset ~/bins/mixed --methods kmeans --instances 0 --limit 50 --out r
  insegan evaluate --dataset ~/bins/nut --masks coco.json --methods kmeans,runs/nut/model --out r
  insegan evaluate --dataset ~/bins/nut --masks labelme_folder --measured-only --methods nut
  insegan evaluate --dataset ~/bins/nut --methods nut --poses
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from insegan_ros.commands.options import (
    UNITS,
    add_reading_options,
    add_segmenter_options,
    chosen_bin,
    chosen_instances,
    dataset_given,
    require_counts,
    workers_of,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('--dataset', type=Path, required=True, help='dataset, images or recording')
    parser.add_argument(
        '--methods',
        help='names and model folders, comma separated (default: the classical ones and the '
        "models of the dataset's part that come with the package)",
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='folder for the results (default: results/<dataset>.<split> or .masks)',
    )
    parser.add_argument(
        '--split',
        help="test, test_random, val, train or all (default: test, or all if it's absent or "
        'there are --masks)',
    )
    parser.add_argument(
        '--masks',
        type=Path,
        metavar='PATH',
        help='hand-made masks instead of the labels: a COCO or labelme file, or a folder of them',
    )
    why = 'of --masks: judge no pixel without depth, where nobody sees where a part ends'
    parser.add_argument('--measured-only', action='store_true', help=why)
    add_reading_options(parser.add_argument_group('of images'), topic=False)
    parser.add_argument('--seeds', type=int, default=3, help='runs of a random method (3)')
    add_segmenter_options(parser)
    parser.add_argument('--workers', type=int, default=1, help='processes; 0: one a core (1)')
    parser.add_argument(
        '--make-splits', action='store_true', help='choose the splits first, and store them'
    )
    parser.add_argument(
        '--poses',
        action='store_true',
        help='judge 6-DoF poses instead, of models, against the true mesh: MSSD and ADD-S recall, '
        'and the average precision of the Siléane benchmark',
    )
    parser.add_argument('--mesh', type=Path, help="the true mesh of a part that isn't simulated")
    parser.add_argument('--units', choices=UNITS, default='m', help='of --mesh (m)')
    parser.add_argument(
        '--symmetry',
        metavar='CLASS',
        help="of --poses' average precision: none, sphere, revolution:z, revolution-flip:z, C6:z, "
        "D2:z, or Siléane's poseutils.json (default: what the mesh shows)",
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from tqdm import tqdm

    from insegan_ros.data.annotations import Unusable, labels_of_frames, read_annotations
    from insegan_ros.data.left_out import SOME_LEFT_OUT, LeftOut
    from insegan_ros.evaluation.benchmark import named_methods
    from insegan_ros.evaluation.judging import judge_masks
    from insegan_ros.evaluation.pose_benchmark import write_pose_report
    from insegan_ros.evaluation.selection import make_splits, to_judge
    from insegan_ros.files import FolderClaim

    say = partial(print, file=sys.stderr)
    require_counts(args, 'seeds', 'limit')
    name = args.dataset.resolve().name
    images = 'all' if args.masks is None else 'masks'
    beside = (args.out or Path('results') / f'{name}.{images}') / 'frames'
    given = dataset_given(args, args.dataset, beside)
    dataset = given.dataset
    if args.make_splits:
        with tqdm(total=len(dataset), unit='frame', desc='splits') as bar:
            print(make_splits(dataset.path, workers=workers_of(args), progress=bar.update))
    truth, unusable = None, Unusable(LeftOut('annotations', say), LeftOut('images', say))
    if args.masks is not None:
        truth = labels_of_frames(read_annotations(args.masks, unusable), dataset, unusable)
    damaged = LeftOut('frames', say)
    of = {name: getattr(args, name) for name in ('limit', 'measured_only')}
    judged = to_judge(dataset, args.split, truth, damaged=damaged, **of)
    methods = named_methods(args.methods, dataset.info.part)
    judged_by = judged.split if truth is None else 'masks'
    out = args.out or Path('results') / f'{name}.{judged_by}'
    tallies = [given.left_out, damaged, unusable.images, unusable.annotations]
    with FolderClaim(out):
        if args.poses:
            of = {name: getattr(args, name) for name in ('mesh', 'units', 'symmetry', 'device')}
            print(write_pose_report(dataset, out, methods, indices=judged.indices, **of))
            print(f'written: {out}/poses.json')
        else:
            how = {'seeds': args.seeds, 'device': args.device, 'workers': workers_of(args)}
            told = chosen_instances(args, dataset.info.instances), chosen_bin(args)
            account = judged.account(args.masks, tallies)
            print(judge_masks(judged, methods, out, told=told, account=account, **how))
            print(f'written: {out}/results.md, results.json, results.png, scenes.png')
    for text in [*dataset.notes, *(tally.summary() for tally in tallies if tally)]:
        say(text)
    lost = given.left_out or damaged or unusable.images or not given.is_whole
    return SOME_LEFT_OUT if lost else 0
