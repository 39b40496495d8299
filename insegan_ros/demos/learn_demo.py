"""`make learn-demo`: from unlabelled frames to a model that segments, in minutes on a CPU.

1. collect: the collector stores depth frames of a simulated bin. The bin is filled anew between
   two frames and the arm stays still: shaken within an arm's limits, nuts end up flat and side by
   side in a corner, and few dozen frames of that do not show what one nut is.
2. train: `insegan train` finds the shape of the part in them, piles it up in physics and teaches
   a network; it sees no label.
3. segment: the segmenter node with that model, then with K-means, which is given how many parts
   there are, on the same new scenes. Here the true labels are used, for the figures.

The same command goes on where it was stopped. More frames and more minutes give a better model.

examples:
  make learn-demo
  python -m insegan_ros.demos.learn_demo --part bolt --count 200 --minutes 20 --out runs/bolt
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.store import Dataset
from insegan_ros.demos import demo
from insegan_ros.demos.collect_demo import contact_sheet, run_until_stored, stored_frames
from insegan_ros.demos.demo_picture import (
    TILE,
    Snapshot,
    depth_range,
    header,
    region_of_interest,
    with_gaps,
)
from insegan_ros.demos.demo_recorder import DemoRecorder
from insegan_ros.demos.processes import DemoError, demo_parser, exit_code
from insegan_ros.drawing import colour_depth, fit, overlay
from insegan_ros.seeds import require_seed
from insegan_ros.synthetic.parts import PARTS, make_part

INSTANCES = 5
BIN_LENGTHS = 2.3  # the bin's width in part lengths: parts lie on parts, and some alone
REFILL_S = 1.0  # between two fillings while frames are collected
COLLECT_RATE = 15.0  # Hz; a camera's 30 would only cost the simulation its time
SEGMENT_RATE = 10.0
SCENES = 12  # new ones, on which both methods are compared
SCENE_S = 2.0
SHOWN = 5  # scenes in the picture
STOP_S = 20.0  # for a training to store its state


def collect_frames(args: argparse.Namespace) -> Path:
    """Step 1; the dataset's folder."""
    out = args.out / '1_collected'
    folder = (out / 'dataset').resolve()
    present = stored_frames(folder)
    if present and (part := Dataset(folder).info.part) != args.part:
        raise DemoError(f'{folder} holds frames of {part}, not {args.part}; choose another --out')
    if present < args.count:
        shown = {'part': args.part, 'instances': INSTANCES, 'bin_width': bin_width(args.part)}
        simulated = shown | {'scene_period': REFILL_S, 'rate': COLLECT_RATE}
        wanted: dict[str, object] = {
            'dataset': folder,
            'part': args.part,
            'count': args.count,
            'instances': INSTANCES,
            'seed': args.seed,
            'start': True,  # a dry run, which is the default: the arm stays still
            'timing.settle': 0.2,
        }
        # a run that goes on shall see other scenes
        simulated['seed'] = 1000 * args.seed + present
        dataset = run_until_stored(out, simulated, wanted)
        cv2.imwrite(str(out / 'contact_sheet.png'), contact_sheet(dataset))
        problems = [problem for found in dataset.verify() for problem in found]
        if problems:
            raise DemoError('the dataset is damaged:\n' + '\n'.join(problems))
    say(f'{stored_frames(folder)} unlabelled frames in {folder}', out / 'contact_sheet.png')
    return folder


def bin_width(part: str) -> float:
    """Width of the simulated bin in metres, for a part by its name."""
    return round(BIN_LENGTHS * make_part(part).length, 3)


def train(args: argparse.Namespace, dataset: Path) -> Path:
    """Step 2; the model's folder."""
    out = args.out / '2_trained'
    begun = time.monotonic()
    command = [sys.executable, '-m', 'insegan_ros.cli', 'train', '--dataset', str(dataset)]
    command += ['--out', str(out), '--max-minutes', str(args.minutes), '--seed', str(args.seed)]
    process = subprocess.Popen(command, start_new_session=True)  # Ctrl-C is passed on, once
    try:
        code = process.wait()
    except KeyboardInterrupt:
        stop_group(process)
        raise
    if code:
        raise DemoError(f'the training ended with code {code}; what it said is above')
    minutes = (time.monotonic() - begun) / 60
    pictures = (out / 'template' / 'template.png', out / 'piles.png', out / 'segmented.png')
    say(f'a model after {minutes:.1f} minutes in {out / "model"}', *pictures)
    return out / 'model'


def stop_group(process: subprocess.Popen) -> None:
    """Interrupt a process and its own processes; kill what does not end."""
    for number, patience in ((signal.SIGINT, STOP_S), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
            return


def segment(args: argparse.Namespace, name: str, model: Path | None) -> DemoRecorder:
    """Step 3, with the model or, where there is none, with K-means; what was seen."""
    given = argparse.Namespace(
        frames=None,
        method=None if model else 'kmeans',
        model=str(model.resolve()) if model else None,
        device='cpu',
        part=args.part,
        instances=INSTANCES,
        seed=2**20 + args.seed,  # scenes that were not collected
        rate=SEGMENT_RATE,
        bin_width=bin_width(args.part),
        out=args.out / '3_segmented' / name,
        seconds=SCENES * SCENE_S,
        rows=SCENES,
    )
    recorder = demo.run(given)
    if not recorder.segmented:
        raise DemoError(f'{name}: nothing was segmented; see {given.out}/segmenter.log')
    return recorder


def compare_methods(args: argparse.Namespace, model: Path) -> None:
    """The figures of both methods, and a picture of them side by side."""
    out = args.out / '3_segmented'
    seen = {'learned': segment(args, 'learned', model), 'kmeans': segment(args, 'kmeans', None)}
    shown = ('segmented', 'latency p50 ms', 'mean IoU', "mean IoU, the paper's way")
    results = {name: recorder.result() for name, recorder in seen.items()}
    (out / 'result.json').write_text(json.dumps(results, indent=2) + '\n')
    draw_comparison(seen['learned'].snapshots, seen['kmeans'].snapshots, out / 'result.png')
    print(f'  {SCENES} new scenes of {INSTANCES} parts; the true labels are used only here:')
    print(f'  {"":<28}{"learned":>10}{"K-means*":>10}')
    for key in shown:
        print(f'  {key:<28}{results["learned"][key]:>10}{results["kmeans"][key]:>10}')
    print('  * is given the number of parts; the learned model finds it')
    say('both on the same scenes', out / 'result.png')


def draw_comparison(learned: list[Snapshot], kmeans: list[Snapshot], path: Path) -> None:
    """A row a scene that both have seen: depth, learned, K-means, truth."""
    rows: list[NDArray[np.uint8]] = []
    for ours in learned:
        theirs = next((other for other in kmeans if same_scene(ours, other)), None)
        if theirs is not None and ours.truth is not None and len(rows) < SHOWN:
            rows.append(comparison(ours, theirs.labels, ours.truth))
    picture = [header(['depth', 'learned', 'K-means', 'truth']), *rows]
    cv2.imwrite(str(path), np.vstack(with_gaps(picture, axis=0)))


def same_scene(a: Snapshot, b: Snapshot) -> bool:
    """Whether two snapshots show the same scene."""
    return a.truth is not None and b.truth is not None and np.array_equal(a.truth > 0, b.truth > 0)


def comparison(
    ours: Snapshot, theirs: NDArray[np.uint16], truth: NDArray[np.uint16]
) -> NDArray[np.uint8]:
    """One row of tiles: depth, the truth, the classical method, the learned model."""
    window = region_of_interest(ours)
    depth = ours.depth[window].astype(np.float32) / np.float32(1000)
    depth[depth == 0] = np.nan
    near, far = depth_range(depth, truth[window])
    grey = colour_depth(depth, near, far, colours=cv2.COLORMAP_BONE)
    panels = [fit(colour_depth(depth, near, far), TILE)]
    panels += [fit(overlay(grey, labels[window]), TILE) for labels in (ours.labels, theirs, truth)]
    return np.hstack(with_gaps(panels))


def say(what: str, *pictures: Path) -> None:
    """Print what was done, and which pictures show it."""
    print(f'  {what}\n  see ' + ', '.join(map(str, pictures)), flush=True)


def main(argv: list[str] | None = None) -> int:
    """0: a model was learned and segments; 1: a step failed; 130: Ctrl-C."""
    parser = demo_parser('learn_demo', __doc__)
    parser.add_argument('--part', default='nut', choices=sorted(PARTS), metavar='PART')
    parser.add_argument('--count', type=int, default=60, help='frames that are collected (60)')
    parser.add_argument('--minutes', type=float, default=5.0, help='of training, about (5)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('demo/learned'))
    args = parser.parse_args(argv)
    require_seed(parser, args)
    if args.count < 1 or not args.minutes > 0:
        parser.error('--count and --minutes must be more than 0')
    said = 'stopped; the same command goes on from here'
    return exit_code('learn_demo', lambda: all_steps(args), said)


def all_steps(args: argparse.Namespace) -> int:
    """Collect, train, segment."""
    begun = time.monotonic()
    print('1 of 3: collect', flush=True)
    dataset = collect_frames(args)
    print('2 of 3: train', flush=True)
    model = train(args, dataset)
    print('3 of 3: segment', flush=True)
    compare_methods(args, model)
    print(f'  all of it took {(time.monotonic() - begun) / 60:.1f} minutes')
    return 0


if __name__ == '__main__':
    sys.exit(main())
