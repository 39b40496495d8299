"""The segmenter node's worst moments: bins from 5 to 40 parts, and frames that show no bin.

A frame is sent and ~/segment called until it answers, with an answer or with why there is none:
the time from the call to the answer, all topics heard. Each scene has a node of its own, whose
first frame, in which it finds the bin and how long the part is, counts. Every row is also given as
a ratio to K-means on five parts in the same run; CPU is the processor time of the node's process
for the first frame, which other work on the machine hardly changes. With --minutes, the same
scenes go round at --rate instead, and the node's memory is watched.

    python benchmarks/node.py --load                          the default model; four minutes
    python benchmarks/node.py --load --models nut any:0.05
    python benchmarks/node.py --load --minutes 10
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger

from insegan_ros.demos.processes import NodeProcess, prepare_environment
from insegan_ros.depth_camera import D435
from insegan_ros.nodes.depth_publisher import QOS
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.synthetic.scene_stream import BinConfig, SimulatedBin

Frame = NDArray[np.uint16]  # (H, W) millimetres
START_S = 120.0
WARM_UP_S = 120.0  # by then each scene has been seen, on a busy machine, too
PART_S = 30.0
FLAT_MB = 20.0  # more in ten minutes is a leak
LIMITS = {'worst s': 1.0, 'MB': 1500.0}
TIMES = ('first s', 'CPU s', 'p50 s', 'p99 s', 'worst s')
NO_FRAME = 'no frame yet'  # what ~/segment says before the first
OUTPUTS = (
    (Image, 'label_image'),
    (Image, 'instance_masks'),
    (Image, 'instance_depths'),
    (PointCloud2, 'points'),
    (Image, 'overlay'),
)


def bin_of(part: str, count: int, seed: int) -> Frame:
    """Parts in a bin that is wide enough for them."""
    width = 0.0 if count <= 5 else 0.085 * float(np.sqrt(count / 5))
    simulated = SimulatedBin(BinConfig(part=part, instances=count, seed=seed, bin_width=width))
    simulated.drop(0)
    return np.asarray(simulated.photograph(np.random.default_rng(seed)).depth[0], np.uint16)


def boxes(side: int, gap: int, seed: int) -> Frame:
    """A floor 1.5 m away, full of boxes."""
    rng = np.random.default_rng(seed)
    depth = np.full((D435.height, D435.width), 1500.0)
    for y in range(5, D435.height - side, side + gap):
        for x in range(5, D435.width - side, side + gap):
            depth[y : y + side, x : x + side] -= rng.uniform(25, 75)
    return np.asarray(depth + rng.normal(0, 1, depth.shape), np.uint16)


def room(seed: int) -> Frame:
    """A wall 4 m away, a floor before it, and things in between."""
    rng = np.random.default_rng(seed)
    rows = np.arange(D435.height)[:, None] - D435.cy
    floor = 1200 * D435.fy / np.maximum(rows, 1)
    depth = np.broadcast_to(np.minimum(4000, floor), (D435.height, D435.width)).copy()
    for _ in range(25):
        x, y = rng.integers(0, D435.width - 120), rng.integers(100, D435.height - 120)
        depth[y : y + rng.integers(20, 120), x : x + rng.integers(20, 120)] = rng.uniform(1e3, 3e3)
    return np.asarray(depth * rng.normal(1, 0.002, depth.shape), np.uint16)


def scenes(part: str, seed: int) -> dict[str, Callable[[], Frame]]:
    """Name of a scene -> its frame."""
    made: dict[str, Callable[[], Frame]] = {
        f'{n} parts': lambda n=n: bin_of(part, n, seed) for n in (5, 10, 20, 40)
    }
    made['boxes, large'] = lambda: boxes(40, 10, seed)
    made['boxes, small'] = lambda: boxes(15, 6, seed)
    made['a room'] = lambda: room(seed)
    made['depth ten times too large'] = lambda: np.minimum(
        10 * bin_of(part, 5, seed).astype(np.uint32), 65535
    ).astype(np.uint16)
    return made


class Caller:
    """Sends frames, calls ~/segment and hears every topic."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._info = to_camera_info(D435)
        self._images = node.create_publisher(Image, 'depth/image', QOS)
        self._infos = node.create_publisher(CameraInfo, 'depth/camera_info', QOS)
        self._client = node.create_client(Trigger, 'segmenter/segment')
        self.answered = 0  # frames
        for kind, name in OUTPUTS:
            hear = self._on_labels if name == 'label_image' else lambda _: None
            node.create_subscription(kind, f'segmenter/{name}', hear, 1)

    def _on_labels(self, _: Image) -> None:
        self.answered += 1

    def send(self, frame: Frame) -> None:
        """A frame and its camera, stamped now."""
        image = to_image(frame)
        image.header.stamp = self._node.get_clock().now().to_msg()
        image.header.frame_id = 'camera_depth_optical_frame'
        self._info.header = image.header
        self._infos.publish(self._info)
        self._images.publish(image)

    def spin(self, seconds: float) -> None:
        """Receive for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self._node, timeout_sec=left)

    def call(self, frame: Frame) -> tuple[float, str]:
        """Seconds until ~/segment has answered for this frame, and what it said."""
        end = time.monotonic() + START_S
        while True:
            self.send(frame)
            self.spin(0.2)  # the frame is there
            begun = time.monotonic()
            future = self._client.call_async(Trigger.Request())
            rclpy.spin_until_future_complete(self._node, future, timeout_sec=START_S)
            if not future.done():
                raise RuntimeError(f'~/segment has not answered within {START_S:g} s')
            said = str(future.result().message)
            if not said.startswith(NO_FRAME):
                return time.monotonic() - begun, said
            if begun > end:
                raise RuntimeError(f'the node has received no frame within {START_S:g} s: {said}')

    def wait(self, process: NodeProcess) -> None:
        """Until the node hears, and its answers are heard."""
        end = time.monotonic() + START_S
        while not self._connected():
            process.require_alive()
            if time.monotonic() > end:
                raise RuntimeError(f'no node within {START_S:g} s:\n{process.last_words()}')
            self.spin(0.2)

    def _connected(self) -> bool:
        answering = (self._node.count_publishers(f'segmenter/{name}') for _, name in OUTPUTS)
        heard = (one.get_subscription_count() for one in (self._images, self._infos))
        return self._client.service_is_ready() and all(answering) and all(heard)


def peak_mb(pid: int) -> float:
    """The most resident memory that a process has had."""
    status = Path(f'/proc/{pid}/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) * 1024 / 1e6


def measure(
    caller: Caller, chosen: dict[str, object], frames: dict[str, Frame], calls: int, out: Path
) -> dict[str, dict[str, object]]:
    """Name of a scene -> figures; MB is the most resident memory up to then."""
    node = NodeProcess('segmenter', out, chosen | {'continuous': False})
    found: dict[str, dict[str, object]] = {}
    try:
        caller.wait(node)
        process = psutil.Process(node.process.pid)
        for name, frame in frames.items():
            before = sum(process.cpu_times()[:2])
            answers = [caller.call(frame)]
            busy = sum(process.cpu_times()[:2]) - before
            answers += [caller.call(frame) for _ in range(calls - 1)]
            seconds = [answer[0] for answer in answers]
            found[name] = {
                'first s': seconds[0],
                'CPU s': busy,
                'p50 s': float(np.percentile(seconds, 50)),
                'p99 s': float(np.percentile(seconds, 99)),
                'worst s': max(seconds),
                'MB': peak_mb(process.pid),
                'said': answers[-1][1],
            }
        return found
    finally:
        node.stop()


def kept_mb(samples: list[tuple[float, float]]) -> tuple[list[float], float]:
    """What is kept between frames: the least of each half minute, and its slope in ten minutes.

    samples: seconds since the start, and megabytes then.
    """
    parts: dict[int, list[float]] = {}
    for seconds, megabytes in samples:
        if seconds >= WARM_UP_S:
            parts.setdefault(int(seconds // PART_S), []).append(megabytes)
    kept = [min(part) for part in parts.values()]
    slope = float(np.polyfit(np.arange(len(kept)), kept, 1)[0]) if len(kept) > 1 else 0.0
    return kept, slope * 600 / PART_S


def soak(
    caller: Caller, chosen: dict[str, object], frames: list[Frame], args: argparse.Namespace
) -> bool:
    """Whether the node's memory stays flat while the scenes go round."""
    node = NodeProcess('segmenter', args.out, chosen)
    try:
        caller.wait(node)
        process, samples, before = psutil.Process(node.process.pid), [], caller.answered
        begun = time.monotonic()
        end = begun + 60 * args.minutes
        while (now := time.monotonic()) < end:
            node.require_alive()
            caller.send(frames[int(args.rate * (now - begun)) // 20 % len(frames)])
            caller.spin(1 / args.rate)
            samples.append((now - begun, process.memory_info().rss / 1e6))
        kept, slope = kept_mb(samples)
        most = peak_mb(process.pid)
        print(
            f'memory over {args.minutes:g} min, {caller.answered - before} frames answered: '
            f'at most {most:.0f} MB; the least of each half minute after the first '
            f'{WARM_UP_S:g} s, MB: {" ".join(f"{one:.0f}" for one in kept)}; '
            f'{slope:+.1f} MB in ten minutes by a straight line'
        )
        return slope < FLAT_MB and most < LIMITS['MB']
    finally:
        node.stop()


def main(args: argparse.Namespace) -> int:
    """0: nothing took longer or more than the limits; 1: something did."""
    args.out.mkdir(parents=True, exist_ok=True)
    prepare_environment()
    made = scenes(args.part, args.seed)
    print('making the scenes ...', file=sys.stderr, flush=True)
    frames = {name: made[name]() for name in made if not args.scenes or name in args.scenes}
    rclpy.init()
    caller = Caller(rclpy.create_node('benchmark_caller'))
    if args.minutes:
        models = [{'model': name} for name in args.models]
        models += [{'method': name} for name in args.methods]
        flat = [soak(caller, chosen, list(frames.values()), args) for chosen in models]
        rclpy.try_shutdown()
        return int(not all(flat))
    first = next(iter(frames))
    peer = measure(
        caller, {'method': 'kmeans', 'instances': 5}, {first: frames[first]}, args.calls, args.out
    )
    unit = float(peer[first]['p50 s'])  # type: ignore[arg-type]
    print(
        f'load of the machine (1 min): {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores'
    )
    print(f'peer, kmeans on {first}: {1000 * unit:.0f} ms')
    print(
        '| | scene | first ms | CPU ms | p50 ms | p99 ms | worst ms | worst / peer | MB | answer |'
    )
    print('|---|---|---|---|---|---|---|---|---|---|')
    exceeded = False
    for key, names in (('model', args.models), ('method', args.methods)):
        for name in names:
            for scene, frame in frames.items():  # a node each: it keeps the bin that it has found
                one = {scene: frame}
                print(f'{name}, {scene} ...', end='\r', file=sys.stderr, flush=True)
                m = measure(caller, {key: name}, one, args.calls, args.out)[scene]
                worst, mb = (float(m[k]) for k in ('worst s', 'MB'))  # type: ignore[arg-type]
                exceeded |= worst > LIMITS['worst s'] or mb > LIMITS['MB']
                times = ' | '.join(f'{1e3 * float(m[k]):.0f}' for k in TIMES)  # type: ignore[arg-type]
                print(
                    f'| {name} | {scene} | {times} | {worst / unit:.1f} | {mb:.0f} | '
                    f'{str(m["said"])[:60]} |',
                    flush=True,
                )
    rclpy.try_shutdown()
    print(f'load of the machine (1 min): {psutil.getloadavg()[0]:.1f}', file=sys.stderr)
    return int(exceeded)
