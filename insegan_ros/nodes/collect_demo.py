"""`make collect-demo`: a simulated arm shakes a simulated bin until a dataset is complete.

The collector and the simulator run as two ROS 2 processes. The dataset and a contact sheet of it
lie in the output folder; the same command goes on with a dataset that is not complete.

examples:
  make collect-demo
  python -m insegan_ros.nodes.collect_demo --count 100 --part bolt --out runs/collected
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from insegan_ros.data.store import Dataset
from insegan_ros.drawing import colour_depth
from insegan_ros.nodes.demo_processes import DemoError, NodeProcess, prepare_environment

TILE = 160  # px, of the contact sheet
COLUMNS = 5
BIN_WIDTH_M = 0.2  # in a tight one parts jam, and shaking changes little
START_S = 60.0  # without a frame before it is given up


def collect(args: argparse.Namespace) -> Dataset:
    """Run both nodes until the dataset holds `args.count` frames.

    Raises:
        DemoError: a node died, or no frame came for a long time.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    folder = args.out / 'dataset'
    simulated = {'part': args.part, 'seed': args.seed, 'held': True, 'bin_width': BIN_WIDTH_M}
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
    nodes = [
        NodeProcess('bin_simulator', args.out, simulated),
        NodeProcess('collector', args.out, wanted),
    ]
    try:
        with tqdm(total=args.count, unit='frame', desc='collecting') as bar:
            since = time.monotonic()
            while bar.n < args.count:
                time.sleep(0.2)
                for node in nodes:
                    node.require_alive()
                stored = len(Dataset(folder)) if (folder / 'frames.jsonl').exists() else 0
                if stored > bar.n:
                    since = time.monotonic()
                    bar.update(stored - bar.n)
                elif time.monotonic() - since > START_S:
                    raise DemoError(f'no frame for {START_S:g} s:\n{nodes[1].last_words()}')
    finally:
        for node in reversed(nodes):
            node.stop()
    return Dataset(folder)


def contact_sheet(dataset: Dataset) -> np.ndarray:
    """The newest frames, up to forty, as a BGR image."""
    tiles = []
    for index in dataset.indices[-40:]:
        depth = dataset[index].frame.depth_m
        middle = depth[:, (depth.shape[1] - depth.shape[0]) // 2 :][:, : depth.shape[0]]
        quarter = middle.shape[0] // 4
        window = middle[quarter:-quarter, quarter:-quarter]
        near, far = np.nanpercentile(window, [1, 99])
        tiles.append(cv2.resize(colour_depth(window, near, far), (TILE, TILE)))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[k : k + COLUMNS]) for k in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def main(argv: list[str] | None = None) -> int:
    """0: collected and whole; 1: not; 130: Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog='collect_demo',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--count', type=int, default=20, help='frames')
    parser.add_argument('--part', default='nut')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('demo/collected'))
    args = parser.parse_args(argv)
    prepare_environment()
    try:
        dataset = collect(args)
    except DemoError as error:
        print(f'collect_demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    problems = [problem for found in dataset.verify() for problem in found]
    print('\n'.join([*problems, f'{len(dataset)} frames, {len(problems)} problems']))
    sheet = args.out / 'contact_sheet.png'
    cv2.imwrite(str(sheet), contact_sheet(dataset))
    print(f'see {sheet}; the dataset is {dataset.path}')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
