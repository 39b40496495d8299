"""Several kinds of part in one bin: which crop shows which, found with their shapes at once.

Shapes grow from many first guesses, each fitted mostly to the crops that it explains well. Those
that together explain the crops best are the kinds' first shapes. They then share the crops among
themselves: each crop goes to the shape that explains it best, and each shape is fitted to its own
crops. At last every piece is given to a kind, and each kind's shape is discovered from its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.discovery.crops import Piece
from insegan_ros.discovery.discover import (
    PIECES,
    Search,
    UnexplainedError,
    discover,
    find_pieces,
)
from insegan_ros.discovery.lengths import candidate_lengths, choose_pieces
from insegan_ros.discovery.reconstruct import Reconstruction
from insegan_ros.discovery.resume import stored_pieces
from insegan_ros.discovery.state import State
from insegan_ros.model.template import Template

SHORTEST = 0.6  # length of a piece that may be a whole part, of the longest kind's
PROBES = 3  # first guesses after which a length may be given up
FOREIGN = 0.5  # residual above which a piece is of no kind
LEAST_SHARE = 0.05  # of the pieces: rarer ones are no kind
ALIKE = 1.25  # two shapes of which one explains the other's crops that nearly as well are one


@dataclass(frozen=True)
class Kinds:
    """The shapes of all kinds of part in a bin, and how often the frames show each."""

    templates: tuple[Template, ...]
    shares: tuple[float, ...]  # 1 in all


def discover_kinds(search: Search, most: int) -> Kinds:
    """Find the shapes of up to `most` kinds of part in unlabelled frames.

    Writes what `discover` writes into `out`/kind_1, `out`/kind_2, ... The same call goes on where
    one was stopped.

    Raises:
        UnexplainedError: no shapes explain the pieces in the frames.
        ValueError: too few pieces in the frames, or the folder holds a run with other settings.
        FloorNotFoundError: no frame shows the bin's floor.
    """
    search.out.mkdir(parents=True, exist_ok=True)
    mixed = replace(search, config=replace(search.config, judged=0.5 / most))
    folders = [search.out / f'kind_{k}' for k in range(1, most + 1)]
    if not all((folder / PIECES).exists() for folder in folders[:1]):
        sorted_pieces = sort_pieces(mixed, find_pieces(mixed), most)
        for folder, own in reversed(list(zip(folders, sorted_pieces))):  # the first comes last
            folder.mkdir(exist_ok=True)
            stored_pieces(folder / PIECES, lambda own=own: own)
    found = [folder for folder in folders if (folder / PIECES).exists()]
    templates = []
    for folder in found:
        seconds = search.max_seconds / len(found)
        own = replace(search, out=folder, finder=None, part_length_m=None, max_seconds=seconds)
        templates.append(discover(own))
    counts = np.array([len(stored_pieces(folder / PIECES, list)) for folder in found], float)
    shares = counts / counts.sum()
    return Kinds(tuple(templates), tuple(round(float(share), 4) for share in shares))


def sort_pieces(search: Search, pieces: list[Piece], most: int) -> list[list[Piece]]:
    """The pieces of each kind, the commonest first; those that no shape explains are left out.

    Raises:
        UnexplainedError: no shapes explain the pieces.
        TooFewPiecesError: too few pieces to tell.
    """
    config, tried = search.config, []
    for k, length in enumerate(candidate_lengths(pieces)):
        pool = [p for p in pieces if SHORTEST * length < p.length_m < 1.08 * length]
        work = mixture(search, pool, length)
        generator = search.generator(20_000 + k)
        with tqdm(total=config.kind_seeds, desc='kinds', unit='seed') as bar:
            grown = work.grow(generator, range(PROBES), bar.update)
            best = min(float(work.judge(s.poses)) for s in grown if s.poses is not None)
            tried.append(f'{length * 1e3:.0f} mm (residual {best:.2f})')
            if best >= config.hopeless:
                continue
            grown += work.grow(generator, range(PROBES, config.kind_seeds), bar.update)
        states = [grown[k] for k in complementary([residuals_of(s) for s in grown], most)]
        states = share_out(work, states, generator)
        residual = judged_by(work, pool, states, generator)
        owner, least = residual.argmin(axis=0), residual.min(axis=0)
        if np.median(least) < config.unlike:
            owner[least > FOREIGN] = -1
            kinds = [[p for p, k in zip(pool, owner) if k == kind] for kind in range(len(states))]
            kinds.sort(key=len, reverse=True)
            return [own for own in kinds if len(own) >= LEAST_SHARE * len(pool)]
    raise UnexplainedError(
        f'no {most} shapes explain the pieces of any length: {", ".join(tried)}, but below '
        f'{config.unlike} is needed; take more frames, or fewer parts in the bin',
        search.part_length_m or config.side * candidate_lengths(pieces)[-1],
    )


def mixture(search: Search, pool: list[Piece], length_m: float) -> Reconstruction:
    """Of some of the pieces, rare views preferred, on a grid for the longest kind."""
    rng = np.random.default_rng([search.seed, 3])
    chosen = choose_pieces(pool, length_m, search.config.crops, rng=rng, shortest=SHORTEST)
    width_m = length_m * search.config.margin
    return Reconstruction(chosen, width_m, search.config, device=search.device)


def residuals_of(state: State) -> NDArray[np.float32]:
    """(N,) of the crops in their poses."""
    assert state.poses is not None
    return state.poses.residual.cpu().numpy()


def complementary(residuals: Sequence[NDArray[np.floating]], most: int) -> tuple[int, ...]:
    """Which of the shapes, `most` of them, together explain the crops best.

    Args:
        residuals: (N,) of the same crops, one array a shape.
    """
    table = np.minimum(np.stack(residuals), FOREIGN)

    def unexplained(chosen: tuple[int, ...]) -> float:
        return float(table[list(chosen)].min(axis=0).mean())

    return min(combinations(range(len(table)), min(most, len(table))), key=unexplained)


def share_out(
    work: Reconstruction, states: list[State], generator: torch.Generator
) -> list[State]:
    """Rounds in which each crop is given to the shape that explains it best."""
    config = replace(work.config, judged=0.5)  # each shape's crops are of its own kind now
    for _ in range(config.kind_rounds):
        residual = judged_by(work, work.pieces, states, generator)
        owner = residual.argmin(axis=0)
        fitted = []
        for kind, state in enumerate(states):
            own = [p for p, k in zip(work.pieces, owner) if k == kind]
            if not own:
                fitted.append(state)
                continue
            alone = Reconstruction(own, work.width_m, config, device=work.device)
            crops = alone.crops(config.grids[0])
            state = replace(state, poses=None)
            state = alone.expect(state, crops, config.seed_rotations, generator=generator)
            fitted.append(alone.maximise(state, crops, 0, generator=generator))
        states = fitted
    return states


def judged_by(
    work: Reconstruction, pieces: list[Piece], states: list[State], generator: torch.Generator
) -> NDArray[np.float32]:
    """(K, N) residual of every piece under every shape, each in its best pose."""
    config = work.config
    whole = Reconstruction(pieces, work.width_m, config, device=work.device)
    crops = whole.crops(config.grids[0])
    rows = []
    for state in states:
        fresh = replace(state, poses=None)
        judged = whole.expect(fresh, crops, config.rotations[0], generator=generator)
        rows.append(residuals_of(judged))
    return np.stack(rows)
