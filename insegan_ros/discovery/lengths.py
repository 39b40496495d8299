"""How long the part is: a length that many pieces share."""

from __future__ import annotations

import numpy as np

from insegan_ros.discovery.crops import Piece

FINE, BROAD = 0.025, 0.1  # of a length: what one part's views share, what clumps spread over
PROMINENT = 1.5  # standard deviations above what is expected of the neighbouring lengths
FEWEST = 8  # pieces of a length
LEAST = 20  # pieces that tell lengths
SPECKS = 0.01  # of the area of all pieces: shorter ones that make up less are specks of noise
AREA_WIDTH = 0.1  # of the logarithm of areas that count as alike


def candidate_lengths(pieces: list[Piece]) -> list[float]:
    """Metres, the longest first: lengths that more pieces have than those a little off.

    Fragments and ends of parts make some too, and so do clumps in a bin that only just holds them:
    which it is, only a reconstruction tells.

    Raises:
        TooFewPiecesError: too few to tell.
    """
    return sorted((length for length, _ in _peaks(pieces)), reverse=True)


class TooFewPiecesError(ValueError):
    """Hardly anything can be told apart in the frames; the message says what to do."""


def likeliest_length(pieces: list[Piece]) -> float:
    """Metres: of the candidates, the one that stands out most. Raises as they do."""
    return max(_peaks(pieces), key=lambda peak: peak[1])[0]


def _peaks(pieces: list[Piece]) -> list[tuple[float, float]]:
    """Lengths and by how many standard deviations they are commoner than their neighbours."""
    lengths = np.array([p.length_m for p in pieces if p.length_m > 0.008])
    if len(lengths) < LEAST:
        raise TooFewPiecesError(
            f'only {len(lengths)} pieces can be told apart in these frames; a part needs at least '
            f'{LEAST}, better 300: take more frames, or fewer parts in the bin'
        )
    line = np.linspace(np.log(lengths.min()), np.log(lengths.max()), 400)
    off = np.log(lengths)[None] - line[:, None]
    here = np.exp(-0.5 * (off / FINE) ** 2).sum(axis=1)
    expected = np.exp(-0.5 * (off / BROAD) ** 2).sum(axis=1) * FINE / BROAD
    excess = (here - expected) / np.sqrt(expected + 1)
    peak = (excess > np.roll(excess, 1)) & (excess >= np.roll(excess, -1))
    peak &= (excess > PROMINENT) & (here >= FEWEST)
    area = np.array([len(p.points) * p.pixel_m**2 for p in pieces if p.length_m > 0.008])
    share = ((np.abs(off) < BROAD) * area).sum(axis=1) / area.sum()
    solid = share > SPECKS
    if (peak & solid).any():
        peak &= solid
    if not peak.any():
        peak[np.where(solid, excess, -np.inf).argmax()] = True
    return list(zip(np.exp(line[peak]).tolist(), excess[peak].tolist(), strict=True))


def choose_pieces(
    pieces: list[Piece],
    length_m: float,
    count: int,
    *,
    rng: np.random.Generator,
    shortest: float = 0.8,
) -> list[Piece]:
    """Those about as long as the part, at most `count`: shorter ones may be fragments.

    Parts come to rest on some of their sides far more often than on others. Views as large as few
    others are preferred, or the shape would be fitted to one side alone.

    Args:
        shortest: of a piece that is about as long, in lengths.
    """
    fit = [p for p in pieces if shortest * length_m < p.length_m < 1.08 * length_m]
    if len(fit) <= 1:
        return fit
    area = np.log([len(p.points) * p.pixel_m**2 for p in fit])
    near = np.exp(-0.5 * ((area[:, None] - area[None]) / AREA_WIDTH) ** 2).sum(axis=1)
    chosen = rng.choice(
        len(fit), min(count, len(fit)), replace=False, p=1 / near / (1 / near).sum()
    )
    return [fit[i] for i in chosen]
