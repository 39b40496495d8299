"""How long the part is: a length that many pieces share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insegan_ros.discovery.pieces import Piece


@dataclass(frozen=True, kw_only=True)
class LengthConfig:
    """What decides which lengths of pieces may be the part's."""

    shortest_m: float = 0.008  # of a piece: shorter ones are noise
    fine: float = 0.025  # share of a length over which the views of one part spread
    broad: float = 0.1  # and over which clumps of parts spread
    prominent: float = 1.5  # standard deviations above what the neighbouring lengths let expect
    fewest: int = 8  # pieces of a length
    least: int = 20  # pieces in all; fewer do not show which lengths are common
    specks: float = 0.01  # share of the area of all pieces; lengths that make up less are specks
    whole: float = 0.8  # length of a piece that may be a whole part, of the part's: no fragment
    longest: float = 1.08  # and of the longest such piece: depth has noise, and lengths with it
    area_width: float = 0.1  # of the logarithm of areas that count as alike


DEFAULT = LengthConfig()


def candidate_lengths(pieces: list[Piece], config: LengthConfig = DEFAULT) -> list[float]:
    """Metres, the longest first: lengths that more pieces have than those a little off.

    Fragments and ends of parts make some too, and so do clumps in a bin that only just holds them:
    which it is, only a reconstruction shows.

    Raises:
        TooFewPiecesError: there are too few.
    """
    return sorted((length for length, _ in _peaks(pieces, config)), reverse=True)


class TooFewPiecesError(ValueError):
    """Hardly any pieces stand out in the frames; the message says what to do."""


def likeliest_length(pieces: list[Piece], config: LengthConfig = DEFAULT) -> float:
    """Metres: of the candidates, the one that stands out most. Raises as they do."""
    return max(_peaks(pieces, config), key=lambda peak: peak[1])[0]


def _peaks(pieces: list[Piece], config: LengthConfig) -> list[tuple[float, float]]:
    """Lengths and by how many standard deviations they are commoner than their neighbours.

    Of N pieces with lengths l_i (m), those about as long as l number

        n(l) = sum_i exp(-1/2 (log(l_i / l) / f)^2),

    with f the share `fine`. With b, `broad`, in its place and times f / b it is what the
    neighbourhood lets expect, m(l). Sought are the maxima of (n - m) / sqrt(m + 1), which is about
    how many standard deviations of a Poisson count n lies above m.
    """
    pieces = [piece for piece in pieces if piece.length_m > config.shortest_m]
    lengths = np.array([piece.length_m for piece in pieces])
    if len(lengths) < config.least:
        raise TooFewPiecesError(
            f'only {len(lengths)} pieces stand out in these frames; a part needs at least '
            f'{config.least}, better 300: take more frames, or fewer parts in the bin'
        )
    line = np.linspace(np.log(lengths.min()), np.log(lengths.max()), 400)
    off = np.log(lengths)[None] - line[:, None]
    here = np.exp(-0.5 * (off / config.fine) ** 2).sum(axis=1)
    expected = np.exp(-0.5 * (off / config.broad) ** 2).sum(axis=1) * config.fine / config.broad
    excess = (here - expected) / np.sqrt(expected + 1)
    peak = (excess > np.roll(excess, 1)) & (excess >= np.roll(excess, -1))
    peak &= (excess > config.prominent) & (here >= config.fewest)
    area = np.array([len(piece.points) * piece.pixel_m**2 for piece in pieces])
    share = ((np.abs(off) < config.broad) * area).sum(axis=1) / area.sum()
    solid = share > config.specks
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
    config: LengthConfig = DEFAULT,
) -> list[Piece]:
    """Those about as long as the part, at most `count`: shorter ones may be fragments.

    Parts come to rest on some of their sides far more often than on others. Views as large as few
    others are preferred, or the shape would be fitted to one side alone.
    """
    low, high = config.whole * length_m, config.longest * length_m
    fit = [piece for piece in pieces if low < piece.length_m < high]
    if len(fit) <= 1:
        return fit
    area = np.log([len(p.points) * p.pixel_m**2 for p in fit])
    near = np.exp(-0.5 * ((area[:, None] - area[None]) / config.area_width) ** 2).sum(axis=1)
    chosen = rng.choice(
        len(fit), min(count, len(fit)), replace=False, p=1 / near / (1 / near).sum()
    )
    return [fit[i] for i in chosen]
