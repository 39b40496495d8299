"""When the loop stops, saves, judges and tells."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from insegan_ros.training import checkpoint
from insegan_ros.training.distributed import Group
from insegan_ros.training.loop import Hooks, LoopConfig, run_loop


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.steps: list[int] = []

    def hooks(self) -> Hooks:
        note = self.calls.append
        return Hooks(
            save=lambda: note(('save', len(self.steps))),
            validate=lambda k: note(('validate', k)),
            draw=lambda k: note(('draw', k)),
            tell=lambda k, losses: note(('tell', k)),
        )

    def step(self, k: int) -> dict[str, torch.Tensor]:
        self.steps.append(k)
        return {'D': torch.tensor(float(k))}


def test_a_loop_takes_up_where_it_was_and_ends_with_a_checkpoint() -> None:
    seen = Recorder()
    ending = run_loop(seen.step, 3, LoopConfig(10, validate_every=4), hooks=seen.hooks())
    assert ending == 'finished'
    assert seen.steps == list(range(3, 10))
    assert [k for name, k in seen.calls if name == 'validate'] == [4, 8, 10]
    assert [k for name, k in seen.calls if name == 'tell'] == list(range(4, 11))
    assert seen.calls[-2] == ('save', 7)


def test_a_finished_run_does_nothing_more() -> None:
    seen = Recorder()
    assert run_loop(seen.step, 10, LoopConfig(10), hooks=seen.hooks()) == 'finished'
    assert not seen.steps


def test_time_runs_out_after_a_whole_step() -> None:
    seen = Recorder()

    def slow(k: int) -> dict[str, torch.Tensor]:
        time.sleep(0.02)
        return seen.step(k)

    assert run_loop(slow, 0, LoopConfig(1000), hooks=seen.hooks(), seconds=0.1) == 'out of time'
    assert 2 <= len(seen.steps) < 100
    assert ('save', len(seen.steps)) in seen.calls


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_step_with_everything_saved(number: signal.Signals) -> None:
    seen = Recorder()

    def step(k: int) -> dict[str, torch.Tensor]:
        if k == 2:
            os.kill(os.getpid(), number)
        return seen.step(k)

    before = signal.getsignal(number)
    assert run_loop(step, 0, LoopConfig(100), hooks=seen.hooks()) == 'interrupted'
    assert seen.steps == [0, 1, 2]
    assert ('save', 3) in seen.calls
    assert signal.getsignal(number) is before


def test_a_step_that_fails_leaves_the_last_checkpoint_alone() -> None:
    seen = Recorder()

    def step(k: int) -> dict[str, torch.Tensor]:
        if k == 2:
            raise FloatingPointError
        return seen.step(k)

    with pytest.raises(FloatingPointError):
        run_loop(step, 0, LoopConfig(10), hooks=seen.hooks())
    assert not [name for name, _ in seen.calls if name == 'save']


def test_a_batch_is_shared_without_overlap() -> None:
    rows = list(range(12))
    shares = [rows[Group(rank, 3).share(12)] for rank in range(3)]
    assert [row for share in shares for row in share] == rows
    with pytest.raises(ValueError, match='multiple of 3'):
        Group(0, 3).share(10)


def test_a_full_disk_leaves_the_checkpoint_that_was_there(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / 'checkpoint.pt'
    checkpoint.save(path, {'steps': 1, 'weights': torch.ones(3)})

    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space'):
        checkpoint.save(path, {'steps': 2})
    assert checkpoint.load(path)['steps'] == 1
    assert [p.name for p in tmp_path.iterdir()] == ['checkpoint.pt']


def test_damaged_and_hostile_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'checkpoint.pt'
    checkpoint.save(path, {'weights': torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(checkpoint.CheckpointError, match='cannot be read'):
        checkpoint.load(path)

    class Hostile:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / 'owned'),))

    torch.save({'weights': Hostile()}, path)
    with pytest.raises(checkpoint.CheckpointError, match='cannot be read'):
        checkpoint.load(path)
    assert not (tmp_path / 'owned').exists()
