"""A node that is asked to end is gone soon, also while it starts and waits for a library."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

SLOW = """
import time
from rclpy.lifecycle import LifecycleNode
from insegan_ros.nodes import lifecycle

lifecycle.END_S = 0.1

class Slow(LifecycleNode):
    def __init__(self):
        super().__init__('slow')

    def {callback}(self, state):
        print('waits', flush=True)
        time.sleep(600)

lifecycle.main_of(Slow)()
"""


@pytest.mark.parametrize('callback', ['on_configure', 'on_activate'])
def test_an_interrupt_ends_a_node_that_waits(ros_environment: None, callback: str) -> None:
    program = SLOW.format(callback=callback)
    process = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == 'waits\n'
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
