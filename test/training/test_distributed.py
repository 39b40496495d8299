"""Processes that train together: how they part."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PARTING = """
import pathlib, torch
from insegan_ros.training import distributed
group, device = distributed.join('cpu')
import torch._dynamo  # as torch.optim does, once there is a group
assert group.any(group.leads)
distributed.leave(group)
tasks = pathlib.Path('/proc/self/task').glob('*/comm')
left = [name for task in tasks if 'gloo' in (name := task.read_text().strip())]
assert not left, left
"""


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='threads are read from /proc')
def test_nothing_of_a_group_outlives_it(tmp_path: Path) -> None:
    # a thread of it that is alive when the interpreter ends can abort the process
    script = tmp_path / 'parting.py'
    script.write_text(PARTING)
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2']
    done = subprocess.run(
        [*launch, '--standalone', str(script)],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
