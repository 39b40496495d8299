"""Processes that make scenes: each works on one thread, and none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import TypeVar

import cv2
import trimesh

from insegan_ros.synthetic.raycast import Raycaster

T = TypeVar('T')
R = TypeVar('R')


def in_processes(
    work: Callable[[T], R], tasks: Iterable[T], workers: int, *, ahead: int = 2
) -> Iterator[R]:
    """work(task) for every task, in their order, by so many processes; by this one for 1.

    Args:
        tasks: taken up one by one, so that they may end when the time is over.
        ahead: for each worker, what is begun before its turn: it bounds memory and delay.
    """
    if workers <= 1:
        yield from map(work, tasks)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), start_worker)
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) >= ahead * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def start_worker() -> None:
    """One thread's work each; Ctrl-C is the parent's to handle, and no worker outlives it."""
    cv2.setNumThreads(1)
    _cast_with_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _cast_with_one_thread() -> None:
    """Embree begins as many threads as there are processors, seen when it is first used.

    With a worker for every processor that many threads of each wait for one another.
    """
    if not hasattr(os, 'sched_setaffinity'):  # Linux alone
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        Raycaster(trimesh.creation.box())
    finally:
        os.sched_setaffinity(0, allowed)


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
