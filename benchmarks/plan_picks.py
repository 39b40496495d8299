"""How long picks take to plan, by the number of parts, as a ratio to what one part takes.

python benchmarks/plan_picks.py
python benchmarks/plan_picks.py --part bolt --counts 10 20 40 --repeats 9

A heap of parts is dropped into a bin for each count and seen by a D435; the true labels stand for
a segmenter's, so that planning alone is timed. A planner that is linear in the number of parts has
the same time for each of them: the ratio is that to the smallest heap's, after what the frame
itself costs (measured with no instance) is taken off.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.evaluation.picking import CellConfig, SimulatedCell
from insegan_ros.parts_bin import Bin
from insegan_ros.picks.gripper import Gripper, find_gripper
from insegan_ros.picks.planner import plan_picks
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.types import DepthFrame, Segmentation


def milliseconds(
    frame: DepthFrame, found: Segmentation, parts_bin: Bin, *, gripper: Gripper, repeats: int
) -> float:
    """The median of one thread's processor time."""
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        plan_picks(frame, found, parts_bin, gripper=gripper)
        spent.append(time.process_time() - began)
    return 1000 * float(np.median(spent))


def main() -> None:
    """Print a row for each count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--part', default='obj_01', choices=sorted(PARTS))
    parser.add_argument('--counts', type=int, nargs='+', default=[5, 10, 20, 40])
    parser.add_argument('--gripper', default='cup_9mm')
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    gripper = find_gripper(args.gripper)
    first = None
    print('parts  instances  picks  ms in all  ms an instance  ratio')
    for count in args.counts:
        cell = SimulatedCell(CellConfig(part=make_part(args.part), count=count), gripper)
        frame, ids = cell.photographed(args.seed)
        timed = {'gripper': gripper, 'repeats': args.repeats}
        nothing = segmentation_from_labels(frame, np.zeros(ids.shape, int))
        empty = milliseconds(frame, nothing, cell.parts_bin, **timed)
        found = segmentation_from_labels(frame, ids + 1)
        full = milliseconds(frame, found, cell.parts_bin, **timed)
        each = (full - empty) / max(found.count, 1)
        first = first or each
        plan = plan_picks(frame, found, cell.parts_bin, gripper=gripper)
        print(
            f'{count:5} {found.count:10} {len(plan.picks):6} {full:10.1f} {each:15.2f} '
            f'{each / first:6.2f}'
        )


if __name__ == '__main__':
    main()
