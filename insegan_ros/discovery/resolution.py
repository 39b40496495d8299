"""How fine a template's details are known: do two halves of the crops agree on them?

Fourier shell correlation, the account of resolution in single-particle electron microscopy. It
sees noise, not what both halves get wrong alike, such as a side that no crop shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AGREED = 0.5  # correlation at which a detail counts as known


def shell_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Two (G, G, G) grids -> (G // 2,) correlation of their details 1, 2, ... G / 2 to a width."""
    grid = len(a)
    spectra = [np.fft.fftn(part) for part in (a, b)]
    line = np.fft.fftfreq(grid, 1 / grid)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(line, line, line, indexing='ij')))
    shells = np.rint(radius).astype(int).ravel()

    def total(values: NDArray) -> NDArray:
        return np.bincount(shells, values.ravel())[1 : grid // 2 + 1]

    cross = total((spectra[0] * spectra[1].conj()).real)
    power = total(np.abs(spectra[0]) ** 2) * total(np.abs(spectra[1]) ** 2)
    return cross / np.sqrt(np.maximum(power, 1e-30))


def resolution_m(curve: NDArray[np.float64], width_m: float) -> float:
    """Metres: the size of the finest details up to which all are agreed on; two voxels at best."""
    lost = np.nonzero(curve < AGREED)[0]
    finest = max(1, int(lost[0])) if len(lost) else len(curve)
    return width_m / finest
