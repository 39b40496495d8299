"""One network, one loss: updates by Adam, replayed as one graph on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from insegan_ros.training.loop import require_finite, require_finite_network

WARM = 3  # steps before a graph is recorded: libraries choose their algorithms in them
CHECKED = 100  # steps on a GPU between two looks at the loss: a look waits for the GPU


@dataclass(frozen=True)
class DescentConfig:
    """How a network is updated."""

    batch: int = 64
    learning_rate: float = 4e-4
    betas: tuple[float, float] = (0.9, 0.999)
    warm_up: int = 1000  # steps over which the rate rises
    half_life: int = 100_000  # steps over which it then falls by half
    gradient_norm: float = 1.0  # longer gradients are shortened to this

    def __post_init__(self) -> None:
        if self.batch < 1 or not self.learning_rate > 0 or self.half_life < 1:
            raise ValueError(
                f'batch {self.batch}, learning_rate {self.learning_rate}, half_life '
                f'{self.half_life}: positive numbers are expected'
            )

    def rate(self, step: int) -> float:
        """Of the step that comes after so many."""
        warm = min((step + 1) / max(self.warm_up, 1), 1.0)
        return self.learning_rate * warm * 0.5 ** (step / self.half_life)


N = TypeVar('N', bound=nn.Module)


class Descent(Generic[N]):
    """A network and its optimiser: all that a step changes.

    Args:
        losses: (images, noise) -> scalars by name, of which `total` is minimised.
        precision: of convolutions and products; weights stay float32.
    """

    def __init__(
        self,
        network: N,
        losses: Callable[[Tensor, Tensor], dict[str, Tensor]],
        config: DescentConfig,
        *,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.network: N = network
        self.config, self.steps = config, 0
        self._losses, self._precision = losses, precision
        device = next(network.parameters()).device
        self._on_gpu = device.type == 'cuda'
        rate: Any = torch.tensor(config.learning_rate, device=device) if self._on_gpu else 0.0
        self._optimizer = torch.optim.Adam(
            network.parameters(), lr=rate, betas=config.betas, capturable=self._on_gpu
        )
        self._recorded: Recorded | None = None

    def step(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """One update.

        Returns:
            Each loss by name.

        Raises:
            FloatingPointError: a loss or a gradient is not finite. On a processor no weight has
                been changed then; on a GPU it is noticed within CHECKED steps.
        """
        self._set_rate(self.config.rate(self.steps))
        update = self._replay if self._on_gpu else self._update
        told = update(images, noise)
        self.steps += 1
        if self._on_gpu and self.steps % CHECKED == 0:
            require_finite(told, self.steps)
            require_finite_network(self.network, 'network', self.steps)
        return told

    def _update(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        self._optimizer.zero_grad(set_to_none=True)
        enabled = self._precision != torch.float32
        with torch.autocast(
            images.device.type, self._precision, enabled=enabled, cache_enabled=False
        ):
            found = self._losses(images, noise)
        found['total'].backward()
        told = {name: loss.detach() for name, loss in found.items()}
        if not self._on_gpu:
            require_finite(told, self.steps)
            require_finite_network(self.network, 'network', self.steps)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_norm)
        self._optimizer.step()
        return told

    def _replay(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The same by a recorded graph: hundreds of small kernels, launched at once."""
        if self._recorded is None and self.steps >= WARM:
            self._recorded = Recorded(self._update, images, noise, optimizer=self._optimizer)
        if self._recorded is not None and self._recorded.fits(images):
            return self._recorded(images, noise)
        side = torch.cuda.Stream()  # as recording wants it
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            told = self._update(images, noise)
        torch.cuda.current_stream().wait_stream(side)
        return told

    def _set_rate(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            if self._on_gpu:
                group['lr'].fill_(rate)
            else:
                group['lr'] = rate

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, tensors and plain values."""
        return {
            'steps': self.steps,
            'network': self.network.state_dict(),
            'optimizer': self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises: RuntimeError or KeyError, for a state of another network."""
        device = next(self.network.parameters()).device
        self.network.load_state_dict(state['network'])
        self._optimizer.load_state_dict(state['optimizer'])
        for group in self._optimizer.param_groups:  # the run may have been on another device
            group['capturable'] = self._on_gpu
            group['lr'] = torch.as_tensor(group['lr'], device=device) if self._on_gpu else 0.0
        self.steps = int(state['steps'])


class Recorded:
    """A GPU's update, recorded once and replayed with other images and noise."""

    def __init__(
        self,
        update: Callable[[Tensor, Tensor], dict[str, Tensor]],
        images: Tensor,
        noise: Tensor,
        *,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._images, self._noise = images.clone(), noise.clone()
        optimizer.zero_grad(set_to_none=True)  # gradients belong to the graph's memory
        self._graph = torch.cuda.CUDAGraph()
        # on a stream of its own: libraries' scratch memory belongs to the stream, and graphs that
        # are recorded on one stream and replayed on several would share it
        with torch.cuda.graph(self._graph, stream=torch.cuda.Stream()):
            self._told = update(self._images, self._noise)

    def fits(self, images: Tensor) -> bool:
        """Whether the recorded batch is of this size."""
        return images.shape == self._images.shape

    def __call__(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """One update: each loss by name."""
        self._images.copy_(images)
        self._noise.copy_(noise)
        self._graph.replay()
        return {name: loss.clone() for name, loss in self._told.items()}
