"""NumPy's files, read so that a damaged one costs an error and no memory."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 1 << 29  # of an array that is a depth image or a few poses


def decode_npy(content: bytes, where: str) -> NDArray[Any]:
    """The array of an .npy file.

    Raises:
        ValueError: it is damaged, cut short, or holds Python objects.
    """
    try:
        stream = io.BytesIO(content)
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, kind = read_header(stream)
        # NumPy would reserve what the header says before it looks
        if kind.hasobject or np.prod([float(n) for n in shape]) * kind.itemsize > len(content):
            raise ValueError('it is cut short, or holds Python objects')
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except Exception as error:  # its header is parsed as Python, which has many
        raise ValueError(f'{where} is no NPY file of numbers: {error}') from None


def decode_npz(content: bytes, where: str) -> NDArray[Any]:
    """The array named depth in an .npz file, or the only one.

    Raises:
        ValueError: it is damaged, or holds no such array.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [n for n in archive.namelist() if n.endswith('.npy')]
            chosen = 'depth.npy' if 'depth.npy' in names else names[0] if len(names) == 1 else ''
            if not chosen:
                raise ValueError(f'its arrays are {", ".join(names) or "none"}; one named depth')
            if archive.getinfo(chosen).file_size > MAX_BYTES:
                raise ValueError(f'{chosen} is too large for a depth image')
            with archive.open(chosen) as opened:
                return decode_npy(opened.read(MAX_BYTES), f'{where}: {chosen}')
    except Exception as error:  # zipfile has many for what is no archive
        raise ValueError(f'{where} is no NPZ file with a depth image: {error}') from None
