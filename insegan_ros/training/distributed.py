"""Several processes, one model: gradients are averaged before every update (torchrun)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist

# Its functions' default argument is the group that exists when it is imported. Imported later (by
# torch.optim, say) they would keep the group, whose threads then abort the process at its end.
import torch.distributed.nn
from torch import Tensor, nn


@dataclass(frozen=True)
class Group:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Which of a batch's rows are this process's.

        Raises:
            ValueError: the batch cannot be shared out evenly.
        """
        if batch % self.size:
            raise ValueError(
                f'a batch of {batch} cannot be shared by {self.size} processes; '
                f'use a multiple of {self.size}'
            )
        each = batch // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def average(self, values: Iterable[Tensor]) -> None:
        """In place, over all processes."""
        if self.size == 1:
            return
        tensors = list(values)
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors])):
            tensor.copy_(mean.view_as(tensor))

    def average_gradients(self, network: nn.Module) -> None:
        """Replace the gradients by their mean over all processes."""
        self.average([p.grad for p in network.parameters() if p.grad is not None])

    def any(self, value: bool) -> bool:
        """Whether it is true in any process: all get the same answer."""
        if self.size == 1:
            return value
        flag = torch.tensor([float(value)])
        if dist.get_backend() == 'nccl':
            flag = flag.cuda()
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())


ALONE = Group()


def join(device: str) -> tuple[Group, str]:
    """The group that torchrun started this process in, and this process's device."""
    size = int(os.environ.get('WORLD_SIZE', 1))
    if size == 1:
        return Group(), device
    if device.startswith('cuda'):
        device = f'cuda:{os.environ.get("LOCAL_RANK", 0)}'
        torch.cuda.set_device(device)
    dist.init_process_group('nccl' if device.startswith('cuda') else 'gloo')
    return Group(dist.get_rank(), size), device


def leave(group: Group) -> None:
    """End the process group."""
    if group.size > 1:
        dist.destroy_process_group()
