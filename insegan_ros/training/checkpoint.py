"""Checkpoints: whole or not there, and never pickled code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from insegan_ros.files import write_atomically


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says what to do."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Tensors and plain values, written under another name, flushed and renamed.

    Raises:
        OSError: the disk is full or gone; the file that was there before is unharmed.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, buffer.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """Raises: CheckpointError, for a file that is damaged or holds more than tensors."""
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a torn file may raise anything in the unpickler
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f'{path} cannot be read ({reason}); delete it to begin this run anew'
        ) from None
    if not isinstance(state, dict):
        raise CheckpointError(f'{path} holds {type(state).__name__}; a mapping is expected')
    return state
