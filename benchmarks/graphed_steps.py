"""Training steps as CUDA graphs: small networks wait for the processor otherwise.

A step's kernels are recorded once and replayed; batches are drawn on the device. What a graph
holds constant (whose turn it is, learning rates) is recorded anew when it changes. Runs with a
stream each keep one GPU busy side by side. Without CUDA the same steps run one by one.
"""

from __future__ import annotations

from collections.abc import Callable

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
        self._stream = torch.cuda.Stream(device) if self._cuda else None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._recorded: tuple[object, ...] | None = None
        self.why_not: str | None = None  # recording failed, and steps run one by one
        self.losses: dict[str, Tensor] = {}  # of the last step, on the device

    def step(self) -> None:
        """One update; returns before a GPU has done it."""
        self._trainer.begin_phase()
        if not self._cuda:
            self._one()
        else:
            if self._constants() != self._recorded:
                self._record()
            with torch.cuda.stream(self._stream):
                if self._graph is None:
                    self._one()
                else:
                    self._graph.replay()
        self._trainer.steps += 1

    def check(self) -> None:
        """Wait for the GPU, and look at the last losses.

        Raises:
            FloatingPointError: one is not finite or exploded.
        """
        if self._cuda:
            torch.cuda.synchronize()
        named = {f'L_{name}': value.float() for name, value in self.losses.items()}
        require_finite(named, self._trainer.steps, EXPLODED)

    def _constants(self) -> tuple[object, ...]:
        config, steps = self._trainer.config, self._trainer.steps
        with_real = steps >= config.generator_steps + config.real_after
        rates = config.learning_rate, config.encoder_learning_rate
        return self._trainer.phase, steps < config.held_steps, with_real, rates

    def _record(self) -> None:
        self._graph = None
        torch.cuda.synchronize()
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
