"""What all steps of one discovery share, and the length of part with which it begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.data.store import Dataset
from insegan_ros.discovery.lengths import TooFewPiecesError, candidate_lengths, likeliest_length
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.reconstruct import Reconstruction, reconstruction
from insegan_ros.discovery.state import DiscoveryConfig, DiscoveryState
from insegan_ros.parts_bin import DEFAULT, Bin, FindingConfig
from insegan_ros.types import DepthFrame

TELL = 'or give the length of the part in metres: --part-length'
# how long the part's longest side is, in metres -> a function that labels the parts of a frame
# that it sees whole: (H, W), 0 elsewhere
Finder = Callable[[float], Callable[[DepthFrame, Bin], NDArray[np.integer]]]


class UnexplainedError(ValueError):
    """The frames show how long the part is, but no shape that is found looks like it."""

    def __init__(self, message: str, part_length_m: float) -> None:
        super().__init__(message)
        self.part_length_m = part_length_m  # of its longest side, about


@dataclass(frozen=True, kw_only=True)
class Search:
    """What all steps of one discovery share."""

    dataset: Dataset
    indices: Sequence[int]
    out: Path
    config: DiscoveryConfig
    finding: FindingConfig = DEFAULT  # how the bin is found in a frame
    seed: int = 0
    device: str = 'cpu'
    max_seconds: float = 480.0
    finder: Finder | None = None  # finds whole parts in the midst of a pile
    part_length_m: float | None = None  # of the longest side; None: what the frames show
    voted: Callable[[], float | None] | None = None  # what a network takes it for, when asked

    def generator(self, step: int) -> torch.Generator:
        """Random numbers of one step; a resumed run draws the same."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + step)

    def reconstruction(self, pieces: list[Piece], length_m: float) -> Reconstruction:
        """The reconstruction of a shape from these pieces."""
        return reconstruction(pieces, length_m, self.config, seed=self.seed, device=self.device)


def first_guess(search: Search, pieces: list[Piece]) -> tuple[Reconstruction, DiscoveryState]:
    """Of the lengths that many pieces share, the longest whose pieces show one and the same part.

    Ends of a part share a length too, but are shorter; clumps are longer, but no two look alike,
    unless the bin only just holds them: lengths that a network takes for clumps are tried last.

    Raises:
        UnexplainedError: no such length, or too few pieces to decide.
        TooFewPiecesError: so few that not even the part's length can be guessed.
    """
    config = search.config
    probes = range(min(2, config.seeds))
    others = range(len(probes), config.seeds)
    try:
        lengths = clumps_last(search, candidate_lengths(pieces, config.lengths))
    except TooFewPiecesError as error:
        guessed = search.part_length_m or guessed_length(search, pieces)
        if guessed is None:
            raise
        raise UnexplainedError(str(error), guessed) from None
    tried = []
    with tqdm(total=len(lengths) * config.seeds, desc='seeds', unit='seed') as bar:
        for k, length in enumerate(lengths):
            work = search.reconstruction(pieces, length)
            generator = search.generator(10_000 + k)
            state, residual = work.begin(generator, probes, bar.update)
            if others and residual < config.hopeless:
                again, lower = work.begin(generator, others, bar.update)
                if lower < residual:
                    state, residual = again, lower
            tried.append(f'{length * 1e3:.0f} mm (residual {residual:.2f})')
            if residual < config.unlike:
                return work, state
    raise UnexplainedError(
        f'pieces of no length show one and the same part: {", ".join(tried)}, but below '
        f'{config.unlike} is needed; take more frames, or fewer parts in the bin',
        search.part_length_m or config.side * likeliest_length(pieces, config.lengths),
    )


def clumps_last(search: Search, lengths: list[float]) -> list[float]:
    """The longest first, but much longer ones than the part is said, or voted, to be come last."""
    if len(lengths) < 2:
        return lengths
    side_m = search.part_length_m or (search.voted() if search.voted else None)
    if side_m is None:
        return lengths
    longest = search.config.clump * side_m / search.config.side
    return sorted(lengths, key=lambda length: (length > longest, -length))


def guessed_length(search: Search, pieces: list[Piece]) -> float | None:
    """Metres of the longest side, by few pieces: as long as most that are no clumps; or None."""
    config = search.config
    shortest_m = config.lengths.shortest_m
    lengths = np.array([piece.length_m for piece in pieces if piece.length_m > shortest_m])
    return config.side * float(np.median(lengths)) if len(lengths) >= config.guessed else None


def side_of(search: Search, pieces: list[Piece]) -> float:
    """Metres, about: the part's longest side, by pieces between depth edges.

    Raises:
        UnexplainedError, TooFewPiecesError: as `first_guess`.
    """
    config = search.config
    quick = replace(config, seeds=min(2, config.seeds), seed_crops=120, seed_rotations=400)
    try:
        work, _ = first_guess(replace(search, config=quick, part_length_m=None), pieces)
    except TooFewPiecesError as error:
        raise TooFewPiecesError(f'{error}; {TELL}') from None
    except UnexplainedError as error:
        raise UnexplainedError(f'{error}; {TELL}', error.part_length_m) from None
    return config.side * work.width_m / config.margin
