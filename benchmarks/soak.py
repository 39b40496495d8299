"""A long collection: the real collector, a simulated arm and bin, thousands of captures.

The arm really shakes the bin and its physics runs in step with the clock; what is made quick are
the image (half a D435's width and height), the shake (short and weak) and the pauses, and
a frame need not differ much from the last to be stored. So the pace says nothing about a robot.

Asked at the end: is every frame that the collector counted there, under one index each, all
different, all whole, and has the collector's memory stayed flat? Exit code 0: all of that.
The same command goes on with a folder that is not complete.

    make soak
    python benchmarks/soak.py --count 200 --out runs/soak
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from insegan_ros.data.store import Dataset
from insegan_ros.demos.collect_demo import stored_frames
from insegan_ros.demos.processes import DemoError, NodeProcess, prepare_environment

STALL_S = 180.0  # without a frame before it is given up
WARM_UP = 100  # captures before memory is expected to be flat
FLAT_KB = 100.0  # more resident memory for 100 captures is a leak
SIMULATED = {
    'part': 'nut',
    'instances': 3,
    'held': True,
    'bin_width': 0.2,
    'resolution': 0.5,
    'rate': 15.0,
}
COLLECTED = {
    'part': 'nut',
    'instances': 3,
    'dry_run': False,
    'start': True,
    'arm.interface': 'topic',
    'arm.topic': 'joint_trajectory',
    'shake.frequency_hz': [2.0, 2.5],
    'shake.cycles': 1,
    'timing.settle': 0.1,
    'timing.joints_timeout': 5.0,  # a busy machine is no fault of the arm
    'timing.frame_timeout': 15.0,
    'timing.still_timeout': 60.0,
    'gates.min_changed_fraction': 0.0,  # the noise alone makes every frame another
}


@dataclass(frozen=True)
class Sample:
    """The collector at one moment of a run."""

    seconds: float  # since the run began
    stored: int  # as the collector says, frames of earlier runs included
    resident_kb: float
    images_sent: int  # by the camera


@dataclass(frozen=True)
class Memory:
    """Resident memory of the collector after its first `WARM_UP` captures, kB."""

    slope: float  # for 100 captures, least squares
    least: float
    most: float


def memory(samples: Sequence[Sample]) -> Memory | None:
    """None where too few captures were made to tell."""
    warm = [s for s in samples if s.stored >= samples[0].stored + WARM_UP]
    if len(warm) < 10 or warm[-1].stored - warm[0].stored < WARM_UP:
        return None
    resident = np.array([s.resident_kb for s in warm])
    slope = np.polyfit([s.stored for s in warm], resident, 1)[0] * 100
    return Memory(float(slope), float(resident.min()), float(resident.max()))


def losses(folder: Path, stored: int) -> list[str]:
    """What is lost, doubled or damaged in a dataset of which `stored` frames were counted."""
    dataset = Dataset(folder)
    records = [dataset.records[index] for index in dataset.indices]
    found = [problem for problems in dataset.verify() for problem in problems]
    if len(records) < stored:
        found.append(f'{stored} frames were counted as stored, {len(records)} are there')
    if dataset.indices != list(range(len(records))):
        found.append('the indices are not 0, 1, 2, ...')
    lines = (folder / 'frames.jsonl').read_text().splitlines()
    if len(lines) != len(records):
        found.append(f'{len(lines)} lines for {len(records)} frames: an index is there twice')
    files = {int(file.stem) for file in (folder / 'depth').glob('*.png')}
    if files != set(dataset.indices):
        found.append(f'{len(files ^ set(dataset.indices))} images without a line, or the reverse')
    for key in ('sha256', 'stamp_ns'):
        twice = sum(count - 1 for count in Counter(r[key] for r in records).values())
        if twice:
            found.append(f'{twice} frames have the {key} of another')
    stamps = [record['stamp_ns'] for record in records]
    if stamps != sorted(stamps):
        found.append('frames are not in the order in which they were taken')
    return found


class Watch:
    """What the nodes say of themselves on /diagnostics."""

    def __init__(self) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray

        rclpy.init()
        self._node = rclpy.create_node('soak')
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._store, 10)
        self.values: dict[str, dict[str, str]] = {}
        self.message = ''

    def _store(self, array) -> None:
        for status in array.status:
            self.values[status.name] = {v.key: v.value for v in status.values}
            if status.name == 'collector: collection':
                self.message = status.message

    @property
    def collector(self) -> dict[str, str]:
        return self.values.get('collector: collection', {})

    @property
    def images_sent(self) -> int:
        return int(self.values.get('bin_simulator: depth', {}).get('sent', 0))

    def spin(self, seconds: float) -> None:
        import rclpy

        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            rclpy.spin_once(self._node, timeout_sec=left)

    def close(self) -> None:
        import rclpy

        self._node.destroy_node()
        rclpy.try_shutdown()


def collect(args: argparse.Namespace, begun: int, samples: list[Sample]) -> Watch:
    """Run both nodes until all is stored, `begun` frames are; `samples` grows, also in a file.

    Raises:
        DemoError: a node died, the collector stopped, or no frame came for `STALL_S`.
    """
    folder = args.out / 'dataset'
    wanted = COLLECTED | {'dataset': folder.resolve(), 'count': args.count, 'seed': args.seed}
    # another bin than before: a seed shows the same scenes again
    simulated = SIMULATED | {'seed': args.seed + begun}
    watch, nodes = Watch(), []
    with contextlib.ExitStack() as stack:
        stack.callback(watch.close)
        file = stack.enter_context(open(args.out / 'samples.csv', 'a', newline=''))
        rows = csv.writer(file)
        nodes = [NodeProcess('bin_simulator', args.out, simulated)]
        stack.callback(nodes[0].stop)
        nodes.append(NodeProcess('collector', args.out, wanted))
        stack.callback(nodes[1].stop)
        process = psutil.Process(nodes[1].process.pid)
        bar = stack.enter_context(tqdm(total=args.count, unit='frame', desc='soak'))
        began = since = time.monotonic()
        while bar.n < args.count:
            watch.spin(1.0)
            for node in nodes:
                node.require_alive()
            now, stored = time.monotonic(), int(watch.collector.get('stored', 0))
            if stored > bar.n:
                since = now
                bar.update(stored - bar.n)
                kilobytes = process.memory_info().rss / 1024
                samples.append(Sample(now - began, stored, kilobytes, watch.images_sent))
                rows.writerow(asdict(samples[-1]).values())
                file.flush()
            state = watch.collector.get('state')
            if state == 'latched' or now - since > STALL_S:
                raise DemoError(f'the collector is {state}: {watch.message}')
    return watch


def report(
    args: argparse.Namespace, begun: int, samples: list[Sample], watch: Watch | None, error: str
) -> dict[str, object]:
    """Everything that was measured, and under 'problems' what must not be."""
    stored = samples[-1].stored if samples else 0
    problems = ([error] if error else []) + losses(args.out / 'dataset', stored)
    flat = memory(samples) if samples else None
    if flat is not None and flat.slope > FLAT_KB:
        problems.append(f'memory grows by {flat.slope:.0f} kB for 100 captures')
    first, last = (samples[0], samples[-1]) if samples else (None, None)
    seconds = last.seconds - first.seconds if samples else 0.0
    rejected = watch.collector if watch else {}
    return {
        'stored': stored,
        'stored by this run': stored - begun if samples else 0,
        'images sent by this run': last.images_sent if samples else 0,
        'rejected by this run': int(rejected.get('rejected', 0)),
        'why': {k[10:]: int(v) for k, v in rejected.items() if k.startswith('rejected, ')},
        'minutes of this run': round(seconds / 60, 2),
        'captures a minute': round(60 * (last.stored - first.stored) / seconds, 1)
        if seconds
        else None,
        'collector memory after warm-up, kB': asdict(flat) if flat else None,
        'settings': {'simulated': SIMULATED, 'collected': COLLECTED},
        'problems': problems,
    }


def plot(samples: list[Sample], path: Path) -> None:
    import matplotlib as mpl

    mpl.use('Agg')
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, sharex=True, figsize=(6.4, 4.8), layout='constrained')
    minutes = [s.seconds / 60 for s in samples]
    resident = [s.resident_kb / 1024 for s in samples]
    axes[0].plot(minutes, resident)
    axes[0].set(ylabel='collector, MiB resident', ylim=(0, 1.2 * max(resident)))
    axes[1].plot(minutes, [s.stored for s in samples])
    axes[1].set(ylabel='frames stored', xlabel='minutes of this run')
    figure.savefig(path, dpi=80)


def main(argv: list[str] | None = None) -> int:
    """0: nothing lost, nothing doubled, memory flat; 1: not; 130: Ctrl-C, go on later."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--count', type=int, default=2000, help='captures in all')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('runs/soak'))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    prepare_environment()
    samples: list[Sample] = []
    watch, error = None, ''
    begun = stored_frames(args.out / 'dataset')
    try:
        watch = collect(args, begun, samples)
    except DemoError as failed:
        error = str(failed)
    except KeyboardInterrupt:
        return 130
    if not (args.out / 'dataset' / 'frames.jsonl').exists():
        print(f'soak: {error or "nothing was stored"}', file=sys.stderr)
        return 1
    found = report(args, begun, samples, watch, error)
    (args.out / 'soak.json').write_text(json.dumps(found, indent=2) + '\n')
    if samples:
        plot(samples, args.out / 'soak.png')
    print(json.dumps({k: v for k, v in found.items() if k != 'settings'}, indent=2))
    print(f'see {args.out}/soak.json and soak.png')
    return 1 if found['problems'] else 0


if __name__ == '__main__':
    sys.exit(main())
