"""Memory that frames have left free goes back to the system, so that a node does not grow.

glibc's allocator keeps what was freed between what is still in use: after some thousand frames,
with windows of all sizes, that is as much as is used.
"""

from __future__ import annotations

import ctypes

EVERY_S = 10.0  # what is given back must be got again: not after each frame


def give_back() -> None:
    """Does nothing where the C library offers no such thing."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
