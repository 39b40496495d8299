"""Running a lifecycle node as a process: started without a manager, stopped without noise."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from insegan_ros.nodes.parameters import ParameterError

SPIN_S = 0.1


def run(make_node: Callable[[], LifecycleNode], args: Sequence[str] | None = None) -> int:
    """Spin a node until SIGINT or SIGTERM; the exit code.

    With the node's parameter `autostart` true it is configured and activated at once. Before the
    process ends, `node.finish()`, where there is one, is called between spins until it returns
    True: the time to bring an arm to rest.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(
        args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO
    )
    try:
        node = make_node()
    except ParameterError as error:
        get_logger('start').error(str(error))
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if autostart(node):
            while not stop.is_set():
                executor.spin_once(timeout_sec=SPIN_S)
            _finish(node, executor)
            return 0
        return 1
    except ExternalShutdownException:
        return 0
    finally:
        node.trigger_shutdown()
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()


def autostart(node: LifecycleNode) -> bool:
    """Configure and activate a node whose parameter `autostart` asks for it; False: it failed."""
    if not node.has_parameter('autostart'):
        node.declare_parameter('autostart', True)
    if not node.get_parameter('autostart').value:
        return True
    done = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == done and node.trigger_activate() == done


@contextmanager
def serving(node: LifecycleNode) -> Iterator[Callable[[float], None]]:
    """Receive while a callback of `node` waits: yields a call that serves it for some seconds.

    What is served are callback groups other than the one that waits. An executor cannot be spun
    from within its own callback, so the node is lent to another one.
    """
    owner = node.executor
    lent = SingleThreadedExecutor(context=node.context)
    lent.add_node(node)
    try:
        yield lambda seconds: lent.spin_once(timeout_sec=seconds)
    finally:
        lent.remove_node(node)
        node.executor = owner
        lent.shutdown()


def _finish(node: LifecycleNode, executor: SingleThreadedExecutor, limit_s: float = 15.0) -> None:
    finish = getattr(node, 'finish', None)
    deadline = time.monotonic() + limit_s
    while finish is not None and not finish() and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=SPIN_S)


def main_of(make_node: Callable[[], LifecycleNode]) -> Callable[[], None]:
    """An entry point for setup.py."""

    def main() -> None:
        sys.exit(run(make_node))

    return main
