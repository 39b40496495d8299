"""Running a lifecycle node as a process: started without a manager, stopped without noise."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.timer import Timer

from insegan_ros.files import require_current_folder
from insegan_ros.nodes.parameters import ParameterError

SPIN_S = 0.1
END_S = 3.5  # ros2 launch sends SIGTERM 5 s after Ctrl-C
SAY_AGAIN_S = 5.0
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def transition(callback: Transition) -> Transition:
    """Of a lifecycle node's on_... callback: what it raises is logged, with what to do.

    rclpy says nothing of such exceptions. The transition then fails and the state stays.
    """

    @wraps(callback)
    def guarded(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        name = callback.__name__.removeprefix('on_')
        try:
            return callback(node, state)
        except Exception as error:
            retry = f'`ros2 lifecycle set {node.get_fully_qualified_name()} {name}` tries again'
            node.get_logger().error(f'{name} failed: {in_words(error)}. Once mended, {retry}.')
            node.get_logger().debug(traceback.format_exc())
            return TransitionCallbackReturn.FAILURE

    return guarded


def in_words(error: Exception) -> str:
    """An exception's own words where it is made for users, its type before them elsewhere."""
    words = str(error).rstrip('.')
    if words and isinstance(error, (ValueError, OSError)):
        return words
    return f'{type(error).__name__}: {words}' if words else repr(error)


def steady_timer(node: Node, seconds: float, callback: Callable[[], None]) -> Timer:
    """A timer that goes on when the simulated time stands still or jumps."""
    return node.create_timer(seconds, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


def run(make_node: Callable[[], LifecycleNode], args: Sequence[str] | None = None) -> int:
    """Spin a node until SIGINT or SIGTERM; the exit code.

    With the node's parameter `autostart` true it is configured and activated at once. An
    exception in one of its callbacks is logged and costs that callback alone. When the process is
    asked to end, `node.hurry()`, where there is one, is called at once, and then `node.finish()`
    between spins until it returns True: the time to bring an arm to rest.
    """
    try:
        require_current_folder()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    stop, up = threading.Event(), threading.Event()
    hurry: list[Callable[[], None]] = []

    def end(*_: object) -> None:
        if not up.is_set():  # nothing moves yet, but an import may take half a minute
            end_in_time()
        stop.set()
        for call in hurry:
            call()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    rclpy.init(
        args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO
    )
    try:
        node = make_node()
    except ParameterError as error:
        get_logger('start').error(str(error))
        rclpy.try_shutdown()
        return 1
    if hasattr(node, 'hurry'):
        hurry.append(node.hurry)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if autostart(node):
            up.set()
            while not stop.is_set():
                _serve(node, executor)
            _finish(node, executor)
            end_in_time()
            return 0
        return 1
    except ExternalShutdownException:
        return 0
    finally:
        shut_down(node)
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()


def _serve(node: LifecycleNode, executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin_once(timeout_sec=SPIN_S)
    except ExternalShutdownException:
        raise
    except Exception as error:  # of one callback
        node.get_logger().error(in_words(error), throttle_duration_sec=SAY_AGAIN_S)
        node.get_logger().debug(traceback.format_exc())


def shut_down(node: LifecycleNode) -> None:
    """The lifecycle's last transition, where it was not made already."""
    with suppress(RuntimeError):  # it was, by `ros2 lifecycle set ... shutdown`
        node.trigger_shutdown()


def autostart(node: LifecycleNode) -> bool:
    """Configure and activate a node whose parameter `autostart` asks for it; False: it failed."""
    if not node.has_parameter('autostart'):
        node.declare_parameter('autostart', True)
    if not node.get_parameter('autostart').value:
        return True
    done = TransitionCallbackReturn.SUCCESS
    up = node.trigger_configure() == done and node.trigger_activate() == done
    if up:
        heard = {s.topic_name for s in node.subscriptions} - {'/parameter_events'}
        hears = f'hears {", ".join(sorted(heard))}' if heard else 'hears nothing'
        node.get_logger().info(f'{node.get_fully_qualified_name()} is up; it {hears}')
    return up


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
        _serve(node, executor)


def end_in_time() -> None:
    """End this process in END_S at the latest, whatever library it waits for then."""

    def end() -> None:
        time.sleep(END_S)
        _flush()
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def main_of(make_node: Callable[[], LifecycleNode]) -> Callable[[], None]:
    """An entry point for setup.py."""

    def main() -> None:
        code = run(make_node)
        # the node is shut down; libraries' own ends take seconds on a busy machine
        _flush()
        os._exit(code)

    return main
