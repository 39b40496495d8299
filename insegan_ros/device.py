"""Where networks run: a processor or a GPU, chosen once at the entry point."""

from __future__ import annotations

import platform


class DeviceError(ValueError):
    """A device that this machine does not have; the message says which are valid."""


def pick_device(name: str) -> str:
    """'auto' is the first GPU where there is one, else the processor.

    Args:
        name: 'auto', 'cpu' or 'cuda[:index]'.

    Raises:
        DeviceError: another name, or a GPU that is not there.
    """
    import torch  # here: nothing else of the ground floor needs it

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == 'auto':
        return 'cuda' if count else 'cpu'
    kind, _, index = name.partition(':')
    if name == 'cpu' or (kind == 'cuda' and (index.isdecimal() or name == 'cuda')):
        if kind == 'cuda' and int(index or 0) >= count:
            there = f'{count} of them' if count else 'no GPU'
            raise DeviceError(f'device {name!r}: {there} here; use cpu or auto')
        return name
    raise DeviceError(f'device {name!r} is unknown; auto, cpu or cuda[:index] is expected')


def processor(device: str) -> str:
    """What a card says of where training ran."""
    import torch

    if device == 'cpu':
        return f'{platform.machine()}, {torch.get_num_threads()} threads'
    return str(torch.cuda.get_device_name(device))
