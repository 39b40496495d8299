"""A camera and the segmenter as two processes, started, watched and stopped by a third."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.node import Node

from insegan_ros.data.replay import Replay
from insegan_ros.inference import model_card
from insegan_ros.nodes.environment import node_environment

PROJECT = Path(__file__).parents[2]
PROFILE = PROJECT / 'config' / 'fastdds.xml'
START_S = 90.0  # importing torch from a cold disk takes a while
ANSWER_S = 8.0  # after which a question is asked again
REACHED = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
}


class DemoError(RuntimeError):
    """A node did not start or died; the message says which, and its last words."""


def demo_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Of a demo whose help is its module's docstring."""
    return argparse.ArgumentParser(
        prog=name,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def exit_code(name: str, work: Callable[[], int], interrupted: str = '') -> int:
    """That of `work`; 1 with its words where it failed, 130 after Ctrl-C.

    Args:
        interrupted: what is said after Ctrl-C.
    """
    prepare_environment()
    try:
        return work()
    except (DemoError, ValueError, OSError) as error:  # OSError: no folder, a full disk
        print(f'{name}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if interrupted:
            print(f'{name}: {interrupted}', file=sys.stderr)
        return 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is shown, and what segments it."""
    parser.add_argument('--frames', type=Path, help='recorded frames instead of a simulated bin')
    parser.add_argument('--method', help='a classical method instead of a model')
    parser.add_argument(
        '--model',
        help="a trained model, by name or folder, or any:<the part's length in metres>; "
        "default: the simulated part's, else any",
    )
    parser.add_argument('--device', help='auto, cpu or cuda')
    parser.add_argument('--part', default='nut', help='what the simulated bin holds')
    parser.add_argument(
        '--instances',
        type=int,
        help='parts in the bin; default: 5 simulated, or what the dataset says, or estimated',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--rate', type=float, default=30.0, help='frames a second')
    parser.add_argument('--scene-period', type=float, default=5.0, help='seconds a scene')
    parser.add_argument(
        '--bin-width', type=float, default=0.0, help='of the simulated bin, metres; 0: tight'
    )
    parser.add_argument('--out', type=Path, default=Path('demo'), help='folder of all output')


def prepare_environment() -> None:
    """A domain of one's own on this machine alone; before the first participant is made.

    Where ROS comes as wheels, the nodes also need the stand-ins of embedded/, last on their path.
    """
    paths = [os.environ.get('PYTHONPATH', str(PROJECT)), str(PROJECT / 'embedded')]
    os.environ['PYTHONPATH'] = ':'.join(paths)
    os.environ.setdefault('ROS_DOMAIN_ID', str(10 + os.getpid() % 90))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.update(node_environment(PROFILE))
    # the nodes are in sessions of their own: only this process can end them with itself
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class NodeProcess:
    """A node in a process of its own, its output in a log file."""

    def __init__(self, name: str, out: Path, parameters: dict[str, object]) -> None:
        self.name, self.log = name, out / f'{name}.log'
        self._interrupted = False
        command = [sys.executable, '-m', f'insegan_ros.nodes.{name}', '--ros-args']
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{key}:={text}']
        with open(self.log, 'w') as file:
            # a session of its own: Ctrl-C is for the parent, which stops them in order
            self.process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )

    def last_words(self) -> str:
        """The last lines of the process's log."""
        return '\n'.join(self.log.read_text().splitlines()[-8:])

    def require_alive(self) -> None:
        """Raises: DemoError, where the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise DemoError(f'{self.name} ended with code {code}:\n{self.last_words()}')

    def interrupt(self) -> None:
        """Ask it to end, once."""
        if not self._interrupted and self.process.poll() is None:
            self._interrupted = True
            self.process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Interrupt the process and wait for its end; kill it where it does not come."""
        self.interrupt()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def known_instances(path: Path) -> int:
    """Parts in every recorded frame; 0, to be estimated, where that is not known.

    Raises:
        DatasetError: `path` cannot be replayed.
    """
    with contextlib.closing(Replay(path)) as replay:
        return replay.instances or 0


class DemoProcesses:
    """The two processes; a context manager that stops them.

    The camera is held back until `start`, when everybody listens: a frame that is missed then was
    lost on its way.
    """

    def __init__(self, args: argparse.Namespace, listener: Node) -> None:
        args.out.mkdir(parents=True, exist_ok=True)
        self._listener = listener
        instances = args.instances
        if args.frames:
            path = args.frames.expanduser().resolve()
            self.camera_name = 'camera'
            shown = {'path': path, 'rate': args.rate}
            instances = known_instances(path) if instances is None else instances
        else:
            self.camera_name = 'bin_simulator'
            names = ('part', 'rate', 'seed', 'scene_period', 'bin_width')
            instances = 5 if instances is None else instances
            shown = {name: getattr(args, name) for name in names} | {'instances': instances}
        chosen = {key: getattr(args, key) for key in ('method', 'model', 'device')}
        if not args.method and not args.model:
            known = model_card.available()
            wanted = ([] if args.frames else [args.part]) + [model_card.ANY]
            chosen['model'] = next((name for name in wanted if name in known), None)
        chosen = {key: value for key, value in chosen.items() if value}
        chosen['instances'] = instances
        camera = NodeProcess(self.camera_name, args.out, shown | {'autostart': False})
        self._nodes = [camera, NodeProcess('segmenter', args.out, chosen)]

    def __enter__(self) -> DemoProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes:
            node.interrupt()
        for node in self._nodes:
            node.stop()

    def start(self, connected: Callable[[], bool]) -> None:
        """Begin sending once `connected` says that everybody listens."""
        self._change_camera(Transition.TRANSITION_CONFIGURE)
        self._wait_until(connected, 'the segmenter listens to the camera')
        self._change_camera(Transition.TRANSITION_ACTIVATE)

    def hold(self) -> None:
        """Stop sending."""
        self._change_camera(Transition.TRANSITION_DEACTIVATE)

    def spin(self, seconds: float) -> None:
        """Serve the listener for a while.

        Raises:
            DemoError: a node died.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            rclpy.spin_once(self._listener, timeout_sec=left)
        for node in self._nodes:
            node.require_alive()

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > deadline:
                logs = ', '.join(str(node.log) for node in self._nodes)
                raise DemoError(f'waited {START_S:g} s in vain until {what}; see {logs}')
            self.spin(0.1)

    def _change_camera(self, transition: int) -> None:
        """Ask until the camera is in the state that the transition leads to.

        The first answers of a node that has just come up can be lost: DDS reports a service as
        ready before the way back from it is.
        """
        name, goal = self.camera_name, REACHED[transition]
        change: Any = self._listener.create_client(ChangeState, f'{name}/change_state')
        state: Any = self._listener.create_client(GetState, f'{name}/get_state')
        request = ChangeState.Request(transition=Transition(id=transition))
        deadline = time.monotonic() + START_S
        try:
            for client in (change, state):
                self._wait_until(client.service_is_ready, f'{name} is up')
            while True:
                answer = self._ask(change, request)
                if answer is not None and answer.success:
                    return
                now = self._ask(state, GetState.Request())
                if now is not None and now.current_state.id == goal:
                    return
                if answer is not None:
                    raise DemoError(f'{name} refused:\n{self._nodes[0].last_words()}')
                if time.monotonic() > deadline:
                    raise DemoError(
                        f'{name} did not answer for {START_S:g} s; see {self._nodes[0].log}'
                    )
        finally:
            self._listener.destroy_client(change)
            self._listener.destroy_client(state)

    def _ask(self, client: Client, request: object) -> Any:
        """The answer, or None where none came in time."""
        future = client.call_async(request)
        deadline = time.monotonic() + ANSWER_S
        while not future.done() and time.monotonic() < deadline:
            self.spin(0.1)
        return future.result() if future.done() else None
