"""The training loop: when to stop, save, judge and report; what a step is, it is given."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from insegan_ros.training.distributed import ALONE, Group

Ending = Literal['finished', 'out of time', 'interrupted']


@dataclass(frozen=True)
class LoopConfig:
    """Lengths; those in minutes change nothing in what is learned."""

    iterations: int = 15000
    validate_every: int = 200  # iterations
    checkpoint_minutes: float = 2.0
    picture_minutes: float = 3.0

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.validate_every < 1:
            raise ValueError(
                f'iterations {self.iterations}, validate_every {self.validate_every}: '
                'both must be at least 1'
            )


@dataclass(frozen=True)
class Hooks:
    """What the loop calls besides the step; only the leading process calls `tell` and `draw`."""

    save: Callable[[], None]  # a checkpoint
    validate: Callable[[int], None]  # after so many iterations
    draw: Callable[[int], None]
    tell: Callable[[int, Mapping[str, Tensor]], None]  # losses of one iteration


def run_loop(
    step: Callable[[int], Mapping[str, Tensor]],
    done: int,
    config: LoopConfig,
    *,
    hooks: Hooks,
    seconds: float = float('inf'),
    group: Group = ALONE,
) -> Ending:
    """Call step(k) for k = done, done + 1, ... and leave a checkpoint whatever ends it.

    A step depends on its number alone and the state before it, so a run that was cut anywhere and
    goes on from a checkpoint does what an unbroken one would have done.

    Args:
        seconds: from now; the step under way is finished.

    Raises:
        FloatingPointError: of the step; the last checkpoint is from before it.
    """
    begun = saved = drawn = time.monotonic()
    with stop_requests() as asked:
        ending: Ending = 'finished'
        for k in range(done, config.iterations):
            losses = step(k)
            now = time.monotonic()
            if group.leads:
                hooks.tell(k + 1, losses)
            if (k + 1) % config.validate_every == 0 or k + 1 == config.iterations:
                hooks.validate(k + 1)
            if group.leads and (now - drawn > 60 * config.picture_minutes or k == done):
                hooks.draw(k + 1)
                drawn = time.monotonic()
            if group.leads and now - saved > 60 * config.checkpoint_minutes:
                hooks.save()
                saved = time.monotonic()
            if group.any(bool(asked)):
                ending = 'interrupted'
                break
            if group.any(now - begun > seconds) and k + 1 < config.iterations:
                ending = 'out of time'
                break
    if group.leads:
        hooks.save()
        hooks.draw(k + 1 if done < config.iterations else done)
    return ending


def require_finite(losses: Mapping[str, Tensor], steps: int, most: float = float('inf')) -> None:
    """Raises: FloatingPointError, where a loss after so many steps is NaN or not below `most`."""
    values = torch.stack(list(losses.values()))
    if not (values.abs() < most).all():
        told = ', '.join(f'{name} {value:.3g}' for name, value in zip(losses, values.tolist()))
        what = 'not finite' if not torch.isfinite(values).all() else f'{most:g} or more'
        raise FloatingPointError(f'a loss is {what} after {steps} steps: {told}')


def require_finite_network(network: nn.Module, name: str, steps: int) -> None:
    """Look at weights and gradients themselves: a loss may hide that they are no numbers.

    Poses that are not numbers move a volume out of its grid, and what is rendered then is finite.

    Raises:
        FloatingPointError: some of either is NaN or infinite.
    """
    weights = [p.detach() for p in network.parameters()]
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    for what, some in (('gradient', gradients), ('weight', weights)):
        if some and not torch.isfinite(torch.stack(torch._foreach_norm(some))).all():
            raise FloatingPointError(f'a {what} of the {name} is not finite after {steps} steps')


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Signals of interrupt and termination fill the list; a second one acts as ever."""
    asked: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, _: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            before[number] = signal.signal(number, ask)
        except ValueError:  # not the main thread: whoever is shall handle signals
            break
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
