"""`make demo`: a camera and the segmenter as real ROS 2 processes, watched for some seconds.

Writes overlay.png, result.json and the nodes' logs, prints a table, and fails if nothing was
segmented.

examples:
  make demo                              a simulated bin of nuts
  make demo PART=bolt METHOD=felzenszwalb
  make demo FRAMES=~/bins/nut            a dataset, or 16-bit PNGs beside a camera_info.yaml
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import rclpy
from tqdm import tqdm

from insegan_ros.demos.demo_picture import draw_rows
from insegan_ros.demos.demo_recorder import DemoRecorder
from insegan_ros.demos.processes import (
    DemoError,
    DemoProcesses,
    add_arguments,
    demo_parser,
    exit_code,
)
from insegan_ros.seeds import require_seed

DRAIN_S = 2.5  # after the last frame: the segmenter finishes and reports once more


def run(args: argparse.Namespace) -> DemoRecorder:
    """Run both nodes for a while; what was seen.

    Raises:
        DemoError: a node did not start or died.
    """
    args.scene_period = args.seconds / args.rows
    rclpy.init()
    recorder = DemoRecorder('camera' if args.frames else 'bin_simulator')
    try:
        with DemoProcesses(args, recorder) as pair:
            pair.start(recorder.connected)
            watch(recorder, pair, args.seconds, rows=args.rows)
            pair.hold()
            pair.spin(DRAIN_S)
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()
    return recorder


def watch(recorder: DemoRecorder, pair: DemoProcesses, seconds: float, *, rows: int) -> None:
    """Let it run; a picture is taken in the middle of each of `rows` equal stretches of time."""
    start = time.monotonic()
    bar_format = '{desc} {percentage:3.0f}% |{bar:30}|{postfix}'
    pace = 0.1 if sys.stderr.isatty() else seconds / 4  # a log file needs few lines
    total = round(seconds, 1)
    with tqdm(total=total, desc='demo', bar_format=bar_format, mininterval=pace) as bar:
        while (elapsed := time.monotonic() - start) < seconds:
            recorder.want_snapshots(int(elapsed / seconds * rows + 0.5))
            pair.spin(0.1)
            counts = f'{recorder.received} frames, {recorder.segmented} segmented'
            bar.set_postfix_str(counts, refresh=False)
            bar.update(min(time.monotonic() - start, seconds) - bar.n)


def results_table(result: dict[str, object]) -> str:
    """What a person reads at the end."""
    shown = {key: '-' if value is None else value for key, value in result.items()}
    width = max(map(len, shown))
    return '\n'.join(f'  {key:<{width}}  {value}' for key, value in shown.items())


def main(argv: list[str] | None = None) -> int:
    """0: frames were segmented; 1: none were, or a node failed; 130: Ctrl-C."""
    parser = demo_parser('demo', __doc__)
    add_arguments(parser)
    parser.add_argument('--seconds', type=float, default=20.0)
    parser.add_argument('--rows', type=int, default=4, help='scenes in the picture')
    args = parser.parse_args(argv)
    require_seed(parser, args)
    return exit_code('demo', lambda: segment_and_show(args))


def segment_and_show(args: argparse.Namespace) -> int:
    """Run it, write its picture and its figures, and print them."""
    recorder = run(args)
    result = recorder.result()
    if recorder.snapshots:
        draw_rows(recorder.snapshots, args.out / 'overlay.png')
    (args.out / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
    print(results_table(result))
    if not result['segmented']:
        raise DemoError(f'nothing was segmented; see {args.out}/segmenter.log')
    print(f'  see {args.out}/overlay.png')
    return 0


if __name__ == '__main__':
    sys.exit(main())
