"""`make pick-demo`: a simulated cell empties a bin with the picks that the segmenter publishes.

The segmenter runs as a ROS 2 process, gets depth images as from a camera, and is asked for their
picks by its service. The best pick is tried in a physics simulation by a gripper whose bodies
really touch the parts, until the bin is empty or three tries in a row failed. A table says how
every try ended; pick.gif shows what the camera saw and which place was chosen.

examples:
  make pick-demo
  make pick-demo PART=bolt
  python -m insegan_ros.demos.pick_demo --part obj_14 --count 12 --gripper cup_9mm,jaw_60mm
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import rclpy
from numpy.typing import NDArray
from PIL import Image as Picture
from tqdm import tqdm

from insegan_ros.demos.node_look import NodeLook
from insegan_ros.demos.processes import DemoError, NodeProcess, demo_parser, exit_code
from insegan_ros.drawing import picture
from insegan_ros.evaluation.picking import BinRun, CellConfig, SimulatedCell, View, outcomes
from insegan_ros.files import write_atomically
from insegan_ros.inference import model_card
from insegan_ros.parts_bin import Bin, save_bin
from insegan_ros.picks.gripper import find_gripper
from insegan_ros.seeds import require_seed
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.synthetic.pick_cell import Outcome, UnstableError
from insegan_ros.types import DepthFrame

GIF_MS = 700  # a picture
ZOOM = 3
GOOD, BAD, DARK = (80, 220, 80), (240, 80, 60), (24, 24, 24)  # RGB
TITLE_PX = 26  # above a picture
MOST_PARTS = 100  # in the bin; filling it with more takes minutes


def _pixel(point: NDArray, frame: DepthFrame) -> tuple[int, int]:
    k = frame.intrinsics
    column = round(float(point[0] / point[2] * k.fx + k.cx))
    row = round(float(point[1] / point[2] * k.fy + k.cy))
    return min(max(column, 0), k.width - 1), min(max(row, 0), k.height - 1)


class Film:
    """A picture for every try, as a GIF."""

    def __init__(self, parts_bin: Bin) -> None:
        self._region = parts_bin.region
        self._pictures: list[Picture.Image] = []

    def take(self, view: View) -> None:
        """The instances, the chosen place, and how it ended."""
        image = picture(view.frame, view.sight.labels).copy()
        x, y, width, height = self._region or (0, 0, image.shape[1], image.shape[0])
        image = image[y : y + height, x : x + width].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
        image = np.ascontiguousarray(image)
        colour = GOOD if view.outcome is Outcome.LIFTED else BAD
        said = 'no pick found' if view.outcome is None else view.outcome.value
        if view.chosen is not None:
            column, row = _pixel(view.chosen.pose[:3, 3], view.frame)
            at = ((column - x) * ZOOM, (row - y) * ZOOM)
            cv2.circle(image, at, 10, colour, 2, cv2.LINE_AA)
        title = np.full((TITLE_PX, image.shape[1], 3), DARK, np.uint8)
        line = f'{view.left} left: {said}'
        cv2.putText(title, line, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
        image = np.concatenate([title, image])
        self._pictures.append(Picture.fromarray(image))

    def save(self, path: Path) -> None:
        """All pictures, one after another."""
        if self._pictures:
            first, *others = self._pictures
            first.save(path, save_all=True, append_images=others, duration=GIF_MS, loop=0)


def run(args: argparse.Namespace) -> BinRun:
    """Start the segmenter, empty the bin, write the film and the result.

    Raises:
        DemoError: the segmenter did not start, died or did not answer.
        ValueError: the parts do not fit a bin, or there is no such gripper.
    """
    grippers = [find_gripper(name.strip()) for name in args.gripper.split(',')]
    args.out.mkdir(parents=True, exist_ok=True)
    cell = SimulatedCell(CellConfig(part=make_part(args.part), count=args.count), grippers)
    save_bin(args.out / 'bin.yaml', cell.parts_bin)
    model = args.model or (args.part if args.part in model_card.available() else 'any')
    parameters = {
        'model': model,
        'bin_file': (args.out / 'bin.yaml').resolve(),
        'gripper': args.gripper,
        'continuous': False,  # the frames are segmented when their picks are asked for
    }
    film = Film(cell.parts_bin)
    rclpy.init()
    segmenter = NodeProcess('segmenter', args.out, parameters)
    bar = tqdm(total=args.count, desc='parts lifted', disable=None)

    def watch(view: View) -> None:
        film.take(view)
        bar.update(view.outcome is Outcome.LIFTED)

    try:
        with NodeLook(segmenter) as look:
            done = cell.run(look, args.seed, watch=watch)
    finally:
        bar.close()
        segmenter.stop()
        rclpy.try_shutdown()
        film.save(args.out / 'pick.gif')
    return done


def report(args: argparse.Namespace, done: BinRun) -> str:
    """The table that is printed; result.json holds the same."""
    ended = outcomes([done])
    ms = np.array([1000 * one.seconds for one in done.tries] or [np.nan])
    tries = len(done.tries)
    result = {
        'part': args.part,
        'parts': done.parts,
        'tried': tries,
        'outcomes': ended,
        'left': done.left,
        'frames_without_a_pick': done.blind,
        'milliseconds': {
            'p50': round(float(np.percentile(ms, 50)), 1),
            'p99': round(float(np.percentile(ms, 99)), 1),
        },
    }
    write_atomically(args.out / 'result.json', (json.dumps(result, indent=1) + '\n').encode())
    end = 'the bin is empty' if not done.left else 'given up after three misses in a row'
    lines = [
        f'{args.part}, {args.gripper}: {done.parts} parts in the bin, {tries} picks tried, '
        f'{done.left} parts left: {end}'
    ]
    lines += [f'  {name:<12} {count}' for name, count in ended.items() if count]
    if done.blind:
        lines.append(f'  {"no pick found":<12} {done.blind} frames')
    lines.append(
        f'from a frame to its picks: p50 {result["milliseconds"]["p50"]:.0f} ms, '  # type: ignore[index]
        f'p99 {result["milliseconds"]["p99"]:.0f} ms'  # type: ignore[index]
    )
    lines.append(f'see {args.out / "pick.gif"} and {args.out / "result.json"}')
    return '\n'.join(lines)


def main() -> int:
    """0: at least one part was lifted; 1: none was, or a node failed; 130: Ctrl-C."""
    parser = demo_parser('pick_demo', __doc__)
    parser.add_argument('--part', default='cylinder', choices=sorted(PARTS), help='in the bin')
    parser.add_argument('--count', type=int, default=20, help='parts in the full bin')
    parser.add_argument(
        '--gripper', default='cup_9mm', help='by name, or a YAML file; several with commas'
    )
    parser.add_argument('--model', help="a trained model; default: the part's own, else any")
    parser.add_argument('--seed', type=int, default=0, help='of the bin')
    parser.add_argument('--out', type=Path, default=Path('demo/picking'), help='folder of output')
    args = parser.parse_args()
    require_seed(parser, args)
    if not 1 <= args.count <= MOST_PARTS:
        parser.error(f'--count {args.count}: 1 to {MOST_PARTS} parts are expected')
    return exit_code('pick_demo', lambda: pick_and_report(args))


def pick_and_report(args: argparse.Namespace) -> int:
    """Empty the bin and print the table; whether no part was lifted."""
    try:
        done = run(args)
    except UnstableError as error:
        raise DemoError(str(error)) from None
    print(report(args, done))
    return 0 if any(one.outcome is Outcome.LIFTED for one in done.tries) else 1


if __name__ == '__main__':
    sys.exit(main())
