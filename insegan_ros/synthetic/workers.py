"""What a process of a pool that makes scenes does first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

import cv2
import trimesh

from insegan_ros.synthetic.raycast import Raycaster


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
