"""`make collect-demo`: a simulated arm shakes a simulated bin until a dataset is complete.

The collector and the simulator run as two ROS 2 processes. The dataset and a contact sheet of it
lie in the output folder; the same command goes on with a dataset that is not complete.

examples:
  make collect-demo
  python -m insegan_ros.demos.collect_demo --count 100 --part bolt --out runs/collected
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from insegan_ros.bin_finding import find_bin
from insegan_ros.data.store import Dataset
from insegan_ros.demos.processes import DemoError, NodeProcess, demo_parser, exit_code
from insegan_ros.drawing import colour_depth, fit
from insegan_ros.seeds import require_seed

TILE = 160  # px, of the contact sheet
COLUMNS = 5
BIN_WIDTH_M = 0.2  # in a tight one parts jam, and shaking changes little
START_S = 60.0  # without a frame before it is given up


def collect(args: argparse.Namespace) -> Dataset:
    """A held and shaken bin, until the dataset holds `args.count` frames."""
    folder = args.out / 'dataset'
    # another bin than before: the same seed would show the frames that are there once more
    seed = args.seed + stored_frames(folder)
    simulated = {'part': args.part, 'seed': seed, 'held': True, 'bin_width': BIN_WIDTH_M}
    wanted = {
        'dataset': folder.resolve(),
        'part': args.part,
        'count': args.count,
        'instances': 5,
        'seed': args.seed,
        'dry_run': False,
        'start': True,
        'arm.interface': 'topic',
        'arm.topic': 'joint_trajectory',
    }
    return run_until_stored(args.out, simulated, wanted)


def run_until_stored(
    out: Path, simulated: dict[str, object], wanted: dict[str, object]
) -> Dataset:
    """Run the simulator and the collector with these parameters until the dataset is complete.

    Raises:
        DemoError: a node died, or no frame came for a long time.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder, count = Path(str(wanted['dataset'])), int(str(wanted['count']))
    nodes: list[NodeProcess] = []
    try:
        nodes.append(NodeProcess('bin_simulator', out, simulated))
        nodes.append(NodeProcess('collector', out, wanted))
        with tqdm(total=count, unit='frame', desc='collecting') as bar:
            since = time.monotonic()
            while bar.n < count:
                time.sleep(0.2)
                for node in nodes:
                    node.require_alive()
                stored = stored_frames(folder)
                if stored > bar.n:
                    since = time.monotonic()
                    bar.update(stored - bar.n)
                elif time.monotonic() - since > START_S:
                    raise DemoError(f'no frame for {START_S:g} s:\n{nodes[1].last_words()}')
    finally:
        for node in reversed(nodes):
            node.stop()
    return Dataset(folder)


def stored_frames(folder: Path) -> int:
    """How many frames a dataset folder holds so far; 0 before it exists."""
    return len(Dataset(folder)) if (folder / 'frames.jsonl').exists() else 0


def contact_sheet(dataset: Dataset) -> np.ndarray:
    """The newest frames, up to forty, as a BGR image."""
    frames = [dataset[index].frame for index in dataset.indices[-40:]]
    whole = (0, 0, *frames[0].depth_m.shape[::-1])
    x, y, width, height = find_bin(frames[0], np.random.default_rng(0)).region or whole
    depths = [frame.depth_m[y : y + height, x : x + width] for frame in frames]
    near, far = np.nanpercentile(depths, [1, 99])
    tiles = [fit(colour_depth(depth, near, far), (TILE, TILE)) for depth in depths]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[k : k + COLUMNS]) for k in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def main(argv: list[str] | None = None) -> int:
    """0: collected and whole; 1: not; 130: Ctrl-C."""
    parser = demo_parser('collect_demo', __doc__)
    parser.add_argument('--count', type=int, default=20, help='frames')
    parser.add_argument('--part', default='nut')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('demo/collected'))
    args = parser.parse_args(argv)
    require_seed(parser, args)
    return exit_code('collect_demo', lambda: collect_and_show(args))


def collect_and_show(args: argparse.Namespace) -> int:
    """Collect, and show what was collected."""
    dataset = collect(args)
    problems = [problem for found in dataset.verify() for problem in found]
    print('\n'.join([*problems, f'{len(dataset)} frames, {len(problems)} problems']))
    sheet = args.out / 'contact_sheet.png'
    cv2.imwrite(str(sheet), contact_sheet(dataset))
    print(f'see {sheet}; the dataset is {dataset.path}')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
