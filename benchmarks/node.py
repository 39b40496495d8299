"""The segmenter node for each method: from the camera's stamp to its answer, and the CPU it takes.

Sends frames of one simulated bin, 848 x 480 16UC1 with a D435's noise, from this process to the
node in another and listens to its labels, through the DDS profile. Dropped is what the node was
sent and, busy, did not answer; CPU is the node's process, 100 % being one core.

    make bench
    python benchmarks/node.py --methods kmeans felzenszwalb --seconds 20 --rate 30
    python benchmarks/node.py --models nut --device cuda
    python benchmarks/node.py --load                  worst moments and memory: node_load.py
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import node_load
import numpy as np
import psutil
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from insegan_ros import baselines
from insegan_ros.demos.processes import NodeProcess, prepare_environment
from insegan_ros.depth_camera import D435
from insegan_ros.nodes.depth_publisher import QOS
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.nodes.segmenter_parameters import DEFAULT_MODEL
from insegan_ros.synthetic.scene_stream import BinConfig, SimulatedBin

START_S = 90.0  # for the node to answer its first frame
SETTLE_S = 1.0  # before counting starts


@dataclass(frozen=True)
class Measured:
    """What one run gave."""

    sent: int
    latencies_ms: list[float]  # of the answered frames, stamp to arrival of the labels
    cpu_share: float  # of one core
    memory_mb: float


class Camera:
    """Sends the exposures of a scene in turn and hears the labels that answer them."""

    def __init__(self, node: Node, exposures: np.ndarray) -> None:
        self._node = node
        self._images = [to_image(depth) for depth in exposures]
        self._info = to_camera_info(D435)
        self._image_out = node.create_publisher(Image, 'depth/image', QOS)
        self._info_out = node.create_publisher(CameraInfo, 'depth/camera_info', QOS)
        node.create_subscription(Image, 'segmenter/label_image', self._on_labels, 5)
        self.sent = 0
        self.answers: list[tuple[int, int]] = []  # stamp of the frame, time of the answer, ns

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _on_labels(self, message: Image) -> None:
        stamp = message.header.stamp
        self.answers.append((stamp.sec * 10**9 + stamp.nanosec, self._now()))

    def send(self) -> None:
        image = self._images[self.sent % len(self._images)]
        image.header.stamp = self._node.get_clock().now().to_msg()
        image.header.frame_id = 'camera_depth_optical_frame'
        self._info.header = image.header
        self._info_out.publish(self._info)
        self._image_out.publish(image)
        self.sent += 1

    def run(self, rate: float, seconds: float) -> tuple[int, int]:
        """Send at `rate`; the times of the first and the last moment, ns."""
        start, first = time.monotonic(), self._now()
        for k in range(round(seconds * rate)):
            self.send()
            while (left := start + (k + 1) / rate - time.monotonic()) > 0:
                rclpy.spin_once(self._node, timeout_sec=left)
        return first, self._now()


def measure(camera: Camera, chosen: dict, rate: float, seconds: float, out: Path) -> Measured:
    """Run the node with these parameters.

    Raises:
        RuntimeError: it does not answer; its last words.
    """
    node = NodeProcess('segmenter', out, chosen)
    try:
        camera.answers.clear()
        deadline = time.monotonic() + START_S
        while not camera.answers:
            node.require_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f'no answer within {START_S:g} s:\n{node.last_words()}')
            camera.run(rate, 0.5)
        camera.run(rate, SETTLE_S)
        process = psutil.Process(node.process.pid)
        before, sent_before = process.cpu_times(), camera.sent
        first, last = camera.run(rate, seconds)
        after, sent = process.cpu_times(), camera.sent - sent_before
        camera.run(rate, 0.5)  # the answers that are under way
        busy_s = after.user + after.system - before.user - before.system
        latencies = [(came - at) / 1e6 for at, came in camera.answers if first <= at <= last]
        return Measured(sent, latencies, busy_s / seconds, process.memory_info().rss / 1e6)
    finally:
        node.stop()


def row(name: str, m: Measured, seconds: float) -> str:
    p50, p95 = np.percentile(m.latencies_ms, [50, 95]) if m.latencies_ms else (np.nan, np.nan)
    answered = len(m.latencies_ms)
    return (
        f'| {name} | {m.sent} | {answered} | {m.sent - answered} | {answered / seconds:.1f} | '
        f'{p50:.0f} | {p95:.0f} | {m.cpu_share:.0%} | {m.memory_mb:.0f} |'
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--methods', nargs='*', help='default: all; with --load, none')
    add('--models', nargs='*', help='by name or folder (default: none; with --load, any)')
    add('--device', default='auto', help='where models run (default: auto)')
    add('--part', default='nut', help='in the simulated bin (default: nut)')
    add('--instances', type=int, default=5, help='in the bin (default: 5)')
    add('--auto', action='store_true', help='let the method estimate the number of instances')
    add('--rate', type=float, default=30.0, help='frames a second (default: 30)')
    add('--seconds', type=float, default=10.0, help='a measurement (default: 10)')
    add('--seed', type=int, default=0, help='of the scene (default: 0)')
    add('--out', type=Path, default=Path('demo'), help="folder of the node's log")
    add('--load', action='store_true', help='5 to 40 parts, boxes, a room: node_load.py')
    add('--scenes', nargs='*', default=[], help='with --load, some of them (default: all)')
    add('--calls', type=int, default=20, help='with --load, frames a scene (default: 20)')
    add('--minutes', type=float, default=0.0, help='with --load, watch the memory for so long')
    args = parser.parse_args()
    if args.load:
        if args.methods is None and args.models is None:
            args.models = [DEFAULT_MODEL]
        args.methods, args.models = args.methods or [], args.models or []
        return node_load.main(args)
    if args.methods is None:
        args.methods = list(baselines.METHODS)
    args.models = args.models or []
    args.out.mkdir(parents=True, exist_ok=True)
    prepare_environment()
    config = BinConfig(part=args.part, instances=args.instances, seed=args.seed)
    simulated = SimulatedBin(config)
    simulated.drop(0)
    exposures = simulated.photograph(np.random.default_rng(args.seed)).depth
    rclpy.init()
    camera = Camera(rclpy.create_node('benchmark_camera'), exposures)
    known = {'instances': 0 if args.auto else args.instances, 'device': args.device}
    print(f'{D435.width} x {D435.height} at {args.rate:g} Hz, {args.instances} x {args.part}')
    print('| method | sent | answered | dropped | Hz | p50 ms | p95 ms | CPU | MB |')
    print('|---|---|---|---|---|---|---|---|---|', flush=True)
    failed = False
    for key, names in (('method', args.methods), ('model', args.models)):
        for name in names:
            try:
                m = measure(camera, known | {key: name}, args.rate, args.seconds, args.out)
                print(row(name, m, args.seconds), flush=True)
            except RuntimeError as error:
                failed = True
                print(f'{name}: {error}', file=sys.stderr, flush=True)
    rclpy.try_shutdown()
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
