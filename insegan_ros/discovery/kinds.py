"""Several kinds of part in one bin: which crop shows which, found with their shapes at once.

Shapes grow from many first guesses, each fitted mostly to the crops that it explains well. Those
that together explain the crops best are the kinds' first shapes. They then share the crops among
themselves: each crop goes to the shape that explains it best, and each shape is fitted to its own
crops. The kind whose pieces are then explained best is discovered as the only part in a bin is.

Under its fine shape the residuals of all pieces have two heaps: its own pieces, also those that
are partly hidden or a little off, and what is foreign to it. The same begins anew with the foreign
ones alone: what lies in the first heap would otherwise give the same shape a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.discovery.discover import PIECES, discover, find_pieces
from insegan_ros.discovery.lengths import TooFewPiecesError, candidate_lengths, choose_pieces
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.reconstruct import Reconstruction
from insegan_ros.discovery.resume import stored_pieces
from insegan_ros.discovery.search import Search, UnexplainedError
from insegan_ros.discovery.state import DiscoveryState
from insegan_ros.model.template import CARD, Template

HEAPS = 256  # values of a residual among which its two heaps are sought


@dataclass(frozen=True)
class Kinds:
    """The shapes of all kinds of part in a bin, and how often the frames show each."""

    templates: tuple[Template, ...]
    shares: tuple[float, ...]  # 1 in all


def discover_kinds(search: Search, most: int) -> Kinds:
    """Find the shapes of up to `most` kinds of part in unlabelled frames.

    The kind whose pieces look most alike is discovered first. Its pieces are taken away, and the
    next kind is sought in what is left.

    Writes what `discover` writes into `out`/kind_1, `out`/kind_2, ... The same call goes on where
    one was stopped.

    Raises:
        UnexplainedError: no shape explains the pieces in the frames.
        ValueError: too few pieces in the frames, or the folder holds a run with other settings.
        FloorNotFoundError: no frame shows the bin's floor.
    """
    search.out.mkdir(parents=True, exist_ok=True)
    left = find_pieces(_mixed(search, most))
    templates: list[Template] = []
    counts: list[int] = []
    for kind in range(1, most + 1):
        try:
            template = _discover_one(search, left, kind=kind, missing=most + 1 - kind)
        except (UnexplainedError, TooFewPiecesError) as error:
            if not templates:
                raise
            print(f'{len(templates)} of up to {most} kinds of part are found: {error}')
            break
        foreign = foreign_to(template, left, search)
        templates.append(template)
        counts.append(int((~foreign).sum()))
        left = [piece for piece, other in zip(left, foreign) if other]
    shares = [round(count / max(sum(counts), 1), 4) for count in counts]
    return Kinds(tuple(templates), (*shares[:-1], round(1 - sum(shares[:-1]), 4)))


def kind_folder(out: Path, kind: int) -> Path:
    """Where what is found of kind 1, 2, ... is kept."""
    return out / f'kind_{kind}'


def _mixed(search: Search, kinds: int) -> Search:
    """Where a shape explains its own kind's pieces alone, of so many kinds."""
    return replace(search, config=replace(search.config, judged=0.5 / kinds))


def _discover_one(search: Search, left: list[Piece], *, kind: int, missing: int) -> Template:
    """The shape of one kind, of the `missing` ones that the pieces may still show."""
    folder = kind_folder(search.out, kind)
    folder.mkdir(exist_ok=True)
    if (folder / CARD).exists():
        return Template.load(folder)

    stored_pieces(folder / PIECES, lambda: sort_pieces(_mixed(search, missing), left, missing))
    seconds = search.max_seconds / (kind + missing - 1)
    alone = replace(search, out=folder, finder=None, part_length_m=None, max_seconds=seconds)
    return discover(alone)


def foreign_to(template: Template, pieces: list[Piece], search: Search) -> NDArray[np.bool_]:
    """(N,) which pieces are of other kinds than the shape, or no whole parts."""
    config, grid = search.config, template.logits.shape[0]
    width_m = template.voxel_m * grid
    work = Reconstruction(pieces, width_m, config, device=search.device)
    crops, generator = work.crops(grid), search.generator(30_000)
    state = DiscoveryState(torch.from_numpy(template.logits).to(search.device), width_m, None)
    state = work.expect(state, crops, config.rotations[0], generator=generator)
    state = work.search_nearby(state, crops, config.nearby[-1], generator=generator)
    longest = config.longest * config.side * width_m / config.margin
    lengths = np.array([piece.length_m for piece in pieces])
    residual = np.where(lengths < longest, residuals_of(state), 1.0)
    return residual > max(split_of(residual), config.unlike)


def split_of(residual: NDArray[np.floating]) -> float:
    """Between the two heaps of the residuals, all in [0, 1] (Otsu 1979)."""
    values = np.clip(residual * (HEAPS - 1), 0, HEAPS - 1).astype(np.uint8)
    split, _ = cv2.threshold(values, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return (split + 0.5) / (HEAPS - 1)


def sort_pieces(search: Search, pieces: list[Piece], most: int) -> list[Piece]:
    """Of `most` kinds, the pieces of the one that its first shape explains best.

    Raises:
        UnexplainedError: no shapes explain the pieces.
        TooFewPiecesError: too few pieces to decide.
    """
    config, tried = search.config, []
    lengths, shortest = candidate_lengths(pieces, config.lengths), config.kind_shortest
    for k, length in enumerate(lengths):
        longest = config.lengths.longest * length
        pool = [p for p in pieces if shortest * length < p.length_m < longest]
        work = mixed_search(search, pool, length)
        generator = search.generator(20_000 + k)
        with tqdm(total=config.kind_seeds, desc='kinds', unit='seed') as bar:
            grown = work.grow(generator, range(config.kind_probes), bar.update)
            best = min(float(work.judge(s.poses)) for s in grown if s.poses is not None)
            tried.append(f'{length * 1e3:.0f} mm (residual {best:.2f})')
            if best >= config.hopeless:
                continue
            others = range(config.kind_probes, config.kind_seeds)
            grown += work.grow(generator, others, bar.update)
        residuals = [residuals_of(s) for s in grown]
        states = [grown[k] for k in complementary(residuals, most, foreign=config.kind_foreign)]
        states = share_out(work, states, generator)
        residual = judged_by(work, pool, states, generator=generator)
        owner, least = residual.argmin(axis=0), residual.min(axis=0)
        if np.median(least) < config.unlike:
            own = [(owner == kind) & (least < config.kind_foreign) for kind in range(len(states))]
            usual = [
                float(np.median(least[mine])) if mine.mean() >= config.kind_least else np.inf
                for mine in own
            ]
            return [piece for piece, mine in zip(pool, own[int(np.argmin(usual))]) if mine]
    raise UnexplainedError(
        f'no {most} shapes explain the pieces of any length: {", ".join(tried)}, but below '
        f'{config.unlike} is needed; take more frames, or fewer parts in the bin',
        search.part_length_m or config.side * lengths[-1],
    )


def mixed_search(search: Search, pool: list[Piece], length_m: float) -> Reconstruction:
    """Of some of the pieces, rare views preferred, on a grid for the longest kind."""
    rng = np.random.default_rng([search.seed, 3])
    config = search.config
    shorter = replace(config.lengths, whole=config.kind_shortest)
    chosen = choose_pieces(pool, length_m, config.crops, rng=rng, config=shorter)
    width_m = length_m * search.config.margin
    return Reconstruction(chosen, width_m, search.config, device=search.device)


def residuals_of(state: DiscoveryState) -> NDArray[np.float32]:
    """(N,) of the crops in their poses."""
    assert state.poses is not None
    return state.poses.residual.cpu().numpy()


def complementary(
    residuals: Sequence[NDArray[np.floating]], most: int, *, foreign: float
) -> tuple[int, ...]:
    """Which of the shapes, `most` of them, together explain the crops best.

    Args:
        residuals: (N,) of the same crops, one array a shape.
        foreign: what is explained worse is of no kind, and does not count for more.
    """
    table = np.minimum(np.stack(residuals), foreign)

    def unexplained(chosen: tuple[int, ...]) -> float:
        return float(table[list(chosen)].min(axis=0).mean())

    return min(combinations(range(len(table)), min(most, len(table))), key=unexplained)


def share_out(
    work: Reconstruction, states: list[DiscoveryState], generator: torch.Generator
) -> list[DiscoveryState]:
    """Rounds in which each crop is given to the shape that explains it best."""
    config = replace(work.config, judged=0.5)  # each shape's crops are of its own kind now
    for _ in range(config.kind_rounds):
        residual = judged_by(work, work.pieces, states, generator=generator)
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
    work: Reconstruction,
    pieces: list[Piece],
    states: list[DiscoveryState],
    *,
    generator: torch.Generator,
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
