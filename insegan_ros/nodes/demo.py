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
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from tqdm import tqdm

from insegan_ros.nodes.demo_picture import draw_rows
from insegan_ros.nodes.demo_recorder import Recorder

PROFILE = Path(__file__).parents[2] / 'config' / 'fastdds.xml'
START_S = 90.0  # importing torch on a cold disk takes a while
DRAIN_S = 2.5  # after the last frame: the segmenter finishes and reports once more


class DemoError(RuntimeError):
    """The demo could not run; the message says which node and why."""


class NodeProcess:
    """A node in a process of its own, its output in a log file."""

    def __init__(self, name: str, out: Path, parameters: dict[str, object]) -> None:
        self.name, self.log = name, out / f'{name}.log'
        command = [sys.executable, '-m', f'insegan_ros.nodes.{name}', '--ros-args']
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{key}:={text}']
        with open(self.log, 'w') as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

    def require_alive(self) -> None:
        if self.process.poll() is not None:
            tail = '\n'.join(self.log.read_text().splitlines()[-8:])
            raise DemoError(f'{self.name} ended with code {self.process.returncode}:\n{tail}')

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(args: argparse.Namespace) -> dict[str, object]:
    """Run both nodes for a while and return what was seen.

    Raises:
        DemoError: a node did not start or died.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    if args.frames:
        camera_name = 'camera'
        camera_parameters = {'path': args.frames.resolve(), 'rate': args.rate}
    else:
        camera_name = 'bin_simulator'
        camera_parameters = {
            'part': args.part,
            'instances': args.instances,
            'rate': args.rate,
            'seed': args.seed,
            'scene_period': args.seconds / args.rows,
        }
    segmenter_parameters = {
        key: value for key in ('method', 'model', 'device') if (value := getattr(args, key))
    }
    if not args.frames:
        segmenter_parameters['instances'] = args.instances
    rclpy.init()
    recorder = Recorder(camera_name)
    nodes: list[NodeProcess] = []
    try:
        camera = NodeProcess(camera_name, args.out, camera_parameters | {'autostart': False})
        segmenter = NodeProcess('segmenter', args.out, segmenter_parameters)
        nodes += [camera, segmenter]
        change_camera(recorder, nodes, Transition.TRANSITION_CONFIGURE)
        wait_until(recorder, nodes, recorder.connected, 'the segmenter listens to the camera')
        change_camera(recorder, nodes, Transition.TRANSITION_ACTIVATE)
        watch(recorder, nodes, args.seconds, args.rows)
        change_camera(recorder, nodes, Transition.TRANSITION_DEACTIVATE)
        recorder.spin(DRAIN_S)
        for node in nodes:
            node.require_alive()
    finally:
        for node in nodes:
            node.stop()
        recorder.destroy_node()
        rclpy.try_shutdown()
    recorder.snapshots = recorder.snapshots[: args.rows]
    if recorder.snapshots:
        draw_rows(recorder.snapshots, args.out / 'overlay.png')
    return recorder.result()


def wait_until(recorder: Recorder, nodes: list[NodeProcess], condition, what: str) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        for node in nodes:
            node.require_alive()
        if time.monotonic() > deadline:
            logs = ', '.join(str(node.log) for node in nodes)
            raise DemoError(f'waited {START_S:g} s in vain until {what}; see {logs}')
        recorder.spin(0.1)


def change_camera(recorder: Recorder, nodes: list[NodeProcess], transition: int) -> None:
    """One step of the camera's life cycle: it sends nothing before everybody listens."""
    client = recorder.create_client(ChangeState, f'{recorder.camera_name}/change_state')
    wait_until(recorder, nodes, client.service_is_ready, f'{recorder.camera_name} is up')
    request = ChangeState.Request(transition=Transition(id=transition))
    future = client.call_async(request)
    wait_until(recorder, nodes, future.done, f'{recorder.camera_name} changes its state')
    if not future.result().success:
        tail = '\n'.join(nodes[0].log.read_text().splitlines()[-8:])
        raise DemoError(f'{recorder.camera_name} refused to start:\n{tail}')
    recorder.destroy_client(client)


def watch(recorder: Recorder, nodes: list[NodeProcess], seconds: float, rows: int) -> None:
    """Let it run; a picture is taken late in each of `rows` equal stretches of time."""
    start = time.monotonic()
    bar_format = '{desc} {percentage:3.0f}% |{bar:30}| {postfix}'
    pace = 0.1 if sys.stderr.isatty() else seconds / 4  # a log file needs few lines
    total = round(seconds, 1)
    with tqdm(total=total, desc='demo', bar_format=bar_format, mininterval=pace) as bar:
        while (elapsed := time.monotonic() - start) < seconds:
            recorder.want_snapshots(int(elapsed / seconds * rows + 0.5))
            recorder.spin(0.1)
            for node in nodes:
                node.require_alive()
            progress = min(time.monotonic() - start, seconds) - bar.n
            counts = f'{recorder.received} frames, {recorder.segmented} segmented'
            bar.set_postfix_str(counts, refresh=False)
            bar.update(progress)


def table(result: dict[str, object]) -> str:
    """What a person reads at the end."""
    shown = {key: '-' if value is None else value for key, value in result.items()}
    width = max(map(len, shown))
    return '\n'.join(f'  {key:<{width}}  {value}' for key, value in shown.items())


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='demo', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--seconds', type=float, default=20.0)
    parser.add_argument('--out', type=Path, default=Path('demo'))
    parser.add_argument('--frames', type=Path, help='recorded frames instead of a simulated bin')
    parser.add_argument('--method', help="a classical method; default: the segmenter's own")
    parser.add_argument('--model', help='a trained model, by name or folder')
    parser.add_argument('--device', help='auto, cpu or cuda')
    parser.add_argument('--part', default='nut', help='what the simulated bin holds')
    parser.add_argument('--instances', type=int, default=5, help='in the simulated bin')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--rate', type=float, default=30.0, help='frames a second')
    parser.add_argument('--rows', type=int, default=4, help='scenes in the picture')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """0: frames were segmented; 1: none were, or a node failed; 130: Ctrl-C."""
    args = parse_args(argv)
    os.environ.setdefault('ROS_DOMAIN_ID', str(10 + os.getpid() % 90))  # nobody else's
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(PROFILE))
    try:
        result = run(args)
    except DemoError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    (args.out / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
    print(table(result))
    if not result['segmented']:
        print(f'demo: nothing was segmented; see {args.out}/segmenter.log', file=sys.stderr)
        return 1
    print(f'  see {args.out}/overlay.png')
    return 0


if __name__ == '__main__':
    sys.exit(main())
