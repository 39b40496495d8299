"""Training steps as CUDA graphs: small networks wait for the processor otherwise.

A step's kernels are recorded once and replayed; batches are drawn on the device. What a graph
holds constant (whose turn it is, learning rates) is recorded anew when it changes. All runs of a
process share one stream, so that no two replays overlap: graphs that were recorded through the
same library handles may share scratch memory. What shall overlap runs in another process. Without
CUDA the same steps run one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from insegan_ros.training.loop import require_finite
from insegan_ros.training.step import EXPLODED, Trainer

WARM = 3  # steps before a recording, in which libraries choose their kernels


class GraphedSteps:
    """Steps of a trainer; what they draw is the device's own randomness, not a resumable one."""

    def __init__(
        self, trainer: Trainer, draw: Callable[[], tuple[Tensor, Tensor]], device: torch.device
    ) -> None:
        """Nothing is recorded yet.

        Args:
            trainer: on `device`; its optimisers capturable where that is CUDA.
            draw: a batch of real frames (B, 1, S, S) and latents (B, n, d), made on the device
                without any word of the host.
        """
        self._trainer, self._draw = trainer, draw
        self._cuda = device.type == 'cuda'
        self._stream = one_stream(device) if self._cuda else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._recorded: tuple[object, ...] | None = None
        self.why_not: str | None = None  # recording failed, and steps run one by one
        self.losses: dict[str, Tensor] = {}  # of the last step, on the device

    def begin_anew(self) -> None:
        """After the trainer has gone back to another state: steps run one by one from then on."""
        self._graph, self._recorded, self.losses = None, None, {}
        self.why_not = 'a recorded step was not finite'

    def step(self) -> None:
        """One update; returns before a GPU has done it."""
        if not self._cuda:
            self._trainer.begin_phase()
            self._one()
        else:
            with torch.cuda.stream(self._stream):
                self._trainer.begin_phase()
            if self._constants() != self._recorded:
                self._record()
            with torch.cuda.stream(self._stream):
                if self._graph is None:
                    self._one()
                else:
                    self._graph.replay()
        self._trainer.steps += 1

    def check(self) -> None:
        """Wait for the GPU, and look at the last losses, and at what learns.

        Raises:
            FloatingPointError: a loss is not finite or exploded, a weight or gradient not finite.
        """
        if self._cuda:
            torch.cuda.synchronize()
        named = {f'L_{name}': value.float() for name, value in self.losses.items()}
        if named:
            require_finite(named, self._trainer.steps, EXPLODED)
        self._trainer.require_finite_networks()

    def _constants(self) -> tuple[object, ...]:
        config, steps = self._trainer.config, self._trainer.steps
        with_real = steps >= config.generator_steps + config.real_after
        rates = config.learning_rate, config.encoder_learning_rate
        return self._trainer.phase, steps < config.held_steps, with_real, rates

    def _record(self) -> None:
        torch.cuda.synchronize()
        self._graph = None
        assert self._stream is not None
        with torch.cuda.stream(self._stream):
            for _ in range(WARM):
                self._one()
        torch.cuda.synchronize()
        self._trainer.zero_gradients()
        self._recorded = self._constants()
        if self.why_not is not None:
            return
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._one(zero=False)
            self._graph = graph
        except RuntimeError as error:
            self.why_not = str(error).splitlines()[0]
            torch.cuda.synchronize()
            self._trainer.zero_gradients()

    def _one(self, zero: bool = True) -> None:
        trainer = self._trainer
        if zero:
            trainer.zero_gradients()
        total, found = trainer.losses(*self._draw())
        total.backward()
        trainer.descend()
        for name in set(trainer.learning) & set(trainer.ema):
            average = trainer.ema[name]
            average.follow(getattr(trainer.model, name))
        self.losses = {name: value.detach() for name, value in found.items()}


@cache
def one_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of all recorded steps on a device."""
    return torch.cuda.Stream(device)
