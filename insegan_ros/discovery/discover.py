"""Discovery from start to end: a dataset and a folder in, a template out; resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.config import dump
from insegan_ros.data.store import Dataset
from insegan_ros.discovery.crops import Piece, dataset_pieces, frame_pieces, pieces_of
from insegan_ros.discovery.lengths import (
    TooFewPiecesError,
    candidate_lengths,
    likeliest_length,
)
from insegan_ros.discovery.picture import draw
from insegan_ros.discovery.reconstruct import (
    Reconstruction,
    explained,
    reconstruction,
)
from insegan_ros.discovery.resolution import resolution_m, shell_correlation
from insegan_ros.discovery.resume import (
    RoundsDone,
    resume,
    run_of,
    same_run,
    save_state,
    stored_pieces,
)
from insegan_ros.discovery.state import DiscoveryConfig, DiscoveryState
from insegan_ros.files import write_atomically
from insegan_ros.model.template import Template
from insegan_ros.parts_bin import DEFAULT, Bin, FindingConfig
from insegan_ros.types import DepthFrame

CHECKPOINT = 'discovery.safetensors'
PIECES = 'pieces.npz'
WHOLE = 'whole.npz'  # those and the parts that a network holds for whole
TELL = 'or give the length of the part in metres: --part-length'
RUN = 'discovery.yaml'
PICTURE = 'template.png'
CURVE = 'resolution.csv'  # how well two halves of the crops agree, detail by detail

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


def discover(search: Search) -> Template:
    """Find the part's shape in unlabelled frames; the same call goes on where one was stopped.

    Sought are the logits V of a grid of voxels and, for each crop c, a rotation R_c and a shift
    s_c that minimise

        sum_c w_c E(view(sigma(V), R_c, s_c), c) - g sum_v near_v sigma(V_v),

        E(view, c) = (sum min(|h_view - h_c| / scale, most_gap) mask_c + sum u_c |S_view - mask_c|)
                     / sum mask_c,    w_c = exp(-r_c / max(median r, pardoned)),

    where h are heights (m), scale is `height_scale` of the grid's width (m), S a silhouette, u_c
    how sure the crop's pixels are (`unsure` at its edge, 1 within), r_c the crop's residual in the
    last round, g the gain of a voxel (`solid`), and near_v whether a voxel touches the solid.
    A round chooses the poses among random ones (expectation), then takes some steps of Adam on V
    and the poses (maximisation).

    Crops come from depth edges. With a `finder`, those show how long the part is, and it then
    finds many more: also whole parts in the midst of a pile.

    Writes the template, its picture, the settings and a checkpoint after every round into `out`.
    A time limit ends each stage early enough for the next ones.

    Raises:
        UnexplainedError: no shape explains the pieces in the frames.
        ValueError: too few pieces in the frames, or `out` holds a run with other settings.
        FloorNotFoundError: no frame shows the bin's floor.
    """
    begun = time.monotonic()
    search.out.mkdir(parents=True, exist_ok=True)
    run = run_of(search.dataset.path, len(search.indices), search.config, seed=search.seed)
    run['finding'] = yaml.safe_load(dump(search.finding))
    same_run(search.out / RUN, run)
    pieces = find_pieces(search)
    work, state, place = resume(
        search.out / CHECKPOINT, pieces, search.config, seed=search.seed, device=search.device
    )
    if state is None or work is None:
        work, state = first_guess(search, pieces)
        save_state(search.out / CHECKPOINT, work, state, place=place)
    state = run_rounds(search, work, state, place=place, begun=begun)
    return conclude(search, work, state, pieces=len(pieces))


def find_pieces(search: Search) -> list[Piece]:
    """What may show one whole part; stored in the folder."""
    rng = np.random.default_rng([search.seed, 0])
    cut = partial(frame_pieces, config=search.config.pieces)
    edges = stored_pieces(
        search.out / PIECES,
        lambda: dataset_pieces(
            search.dataset, search.indices, rng, cut=cut, finding=search.finding
        ),
    )
    if search.finder is None:
        return edges

    def found() -> list[Piece]:
        length_m = search.part_length_m or side_of(search, edges)
        return edges + whole_parts(search, length_m, rng)

    return stored_pieces(search.out / WHOLE, found)


def run_rounds(
    search: Search, work: Reconstruction, state: DiscoveryState, *, place: RoundsDone, begun: float
) -> DiscoveryState:
    """Rounds on each grid, from `place` on; a checkpoint after each.

    Args:
        begun: when the time began, by the monotonic clock.
    """
    config = search.config
    with tqdm(total=sum(config.rounds), desc='rounds', unit='round') as bar:
        bar.update(sum(config.rounds[: place.stage]) + place.rounds)
        for stage in range(place.stage, len(config.grids)):
            start = place.rounds if stage == place.stage else 0
            share = (stage + 1) / len(config.grids)
            for done in range(start, config.rounds[stage]):
                until = config.begin_share + config.rounds_share * share
                late = time.monotonic() - begun > search.max_seconds * until
                if late and state.poses is not None:  # one round at least
                    break
                step = sum(config.rounds[:stage]) + done + 1
                state = work.round(state, stage, search.generator(step))
                save_state(search.out / CHECKPOINT, work, state, place=RoundsDone(stage, done + 1))
                assert state.poses is not None
                bar.set_postfix(residual=f'{float(state.poses.residual.median()):.3f}')
                bar.update()
    return state


def conclude(
    search: Search, work: Reconstruction, state: DiscoveryState, *, pieces: int
) -> Template:
    """Judge the shape by the crops, draw it, and store it.

    Args:
        pieces: how many were found, of which the crops are some.

    Raises:
        UnexplainedError: the crops are not explained.
    """
    out, config, total = search.out, search.config, sum(search.config.rounds)
    halves = work.halves(state, search.generator(total + 2))
    curve = shell_correlation(*(half.cpu().numpy() for half in halves))
    state = work.conclude(state, search.generator(total + 1))
    account = _account(state, pieces, work.width_m / config.margin)
    if len(work.pieces) < config.rare * pieces:
        print(
            f'only {len(work.pieces)} of {pieces} crops are about as long as this shape: it '
            f'may be an end of the part; see {out / PICTURE}'
        )
    account['resolution_mm'] = round(1e3 * resolution_m(curve, work.width_m), 1)
    lines = [f'{work.width_m * 1e3 / (k + 1):.2f},{value:.4f}' for k, value in enumerate(curve)]
    write_atomically(out / CURVE, '\n'.join(['detail_mm,correlation', *lines, '']).encode())
    draw(out / PICTURE, work, state)
    if account['residual'] > config.unlike:
        raise UnexplainedError(
            f'no shape explains what the frames show (residual {account["residual"]}, see '
            f'{out / PICTURE}); take more frames, or fewer parts in the bin',
            search.part_length_m or config.side * account['part_length_m'],
        )
    template = Template(state.logits.cpu().numpy(), state.voxel_m, account)
    template.save(out)
    return template


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


def whole_parts(search: Search, part_length_m: float, rng: np.random.Generator) -> list[Piece]:
    """What the finder takes for whole parts, given the length of their longest side."""
    assert search.finder is not None
    find, longest = search.finder(part_length_m), search.config.longest * part_length_m

    def cut(frame: DepthFrame, parts_bin: Bin) -> Iterator[Piece]:
        labels, config = find(frame, parts_bin), search.config.pieces
        return pieces_of(frame, parts_bin, labels, longest_m=longest, config=config)

    return dataset_pieces(
        search.dataset,
        search.indices,
        rng,
        cut=cut,
        enough=search.config.whole_parts,
        finding=search.finding,
    )


def _account(state: DiscoveryState, pieces: int, length: float) -> dict[str, Any]:
    assert state.poses is not None
    residual = state.poses.residual.cpu().numpy()
    return {
        'pieces': pieces,
        'crops': len(residual),
        'part_length_m': round(length, 5),
        'residual': round(float(np.median(residual)), 4),
        'residual_best_quarter': round(float(np.percentile(residual, 25)), 4),
        'explained': round(explained(residual), 3),
    }
