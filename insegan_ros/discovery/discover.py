"""Discovery from start to end: a dataset and a folder in, a template out; resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from insegan_ros.bin import Bin
from insegan_ros.data.store import Dataset
from insegan_ros.discovery.crops import Piece, dataset_pieces, pieces_of
from insegan_ros.discovery.lengths import (
    TooFewPiecesError,
    candidate_lengths,
    likeliest_length,
)
from insegan_ros.discovery.picture import draw
from insegan_ros.discovery.reconstruct import (
    HOPELESS,
    UNLIKE,
    Reconstruction,
    explained,
    reconstruction,
)
from insegan_ros.discovery.resolution import resolution_m, shell_correlation
from insegan_ros.discovery.resume import (
    Place,
    resume,
    run_of,
    same_run,
    save_checkpoint,
    stored_pieces,
)
from insegan_ros.discovery.state import Settings, State
from insegan_ros.files import write_atomically
from insegan_ros.model.template import Template
from insegan_ros.types import DepthFrame

CHECKPOINT = 'discovery.safetensors'
PIECES = 'pieces.npz'
WHOLE = 'whole.npz'  # those and the parts that a network holds for whole
ENOUGH = 1500  # parts that a network holds for whole
SIDE = 0.85  # a part's longest side, of the greatest distance of two of its points, about
RARE = 0.05  # share of the pieces below which those of a length are hardly the part
LONGEST = 1.55  # a piece's greatest distance, of the part's longest side: more is a clump
GUESSED = 5  # pieces by which the part's length is guessed, where nothing better is known
TELL = 'or tell how long the part is, in metres: --part-length'
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


def discover(
    dataset: Dataset,
    indices: Sequence[int],
    out: Path,
    settings: Settings,
    max_seconds: float = 480.0,
    finder: Finder | None = None,
    part_length_m: float | None = None,
    device: str = 'cpu',
) -> Template:
    """Find the part's shape in unlabelled frames; the same call goes on where one was stopped.

    Crops come from depth edges. With a `finder`, those tell how long the part is, and it then
    finds many more: also whole parts in the midst of a pile.

    Args:
        part_length_m: of the longest side, for the finder; None: what pieces between edges tell.

    Writes the template, its picture, the settings and a checkpoint after every round into `out`.
    A time limit ends each stage early enough for the next ones.

    Raises:
        UnexplainedError: no shape explains the pieces in the frames.
        ValueError: too few pieces in the frames, or `out` holds a run with other settings.
        FloorNotFoundError: no frame shows the bin's floor.
    """
    begun = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    run = run_of(dataset.path, len(indices), settings)
    same_run(out / RUN, run)
    rng = np.random.default_rng([settings.seed, 0])
    pieces = stored_pieces(out / PIECES, lambda: dataset_pieces(dataset, indices, rng))
    if finder is not None:
        edges, given = pieces, finder
        pieces = stored_pieces(
            out / WHOLE,
            lambda: (
                edges
                + whole_parts(
                    dataset,
                    indices,
                    given,
                    part_length_m or side_of(edges, settings, device),
                    rng,
                )
            ),
        )
    work, state, place = resume(out / CHECKPOINT, pieces, settings, device)
    if state is None or work is None:
        work, state = first_guess(pieces, settings, part_length_m, device)
        save_checkpoint(out / CHECKPOINT, work, state, place)
    total = sum(settings.rounds)
    bar = tqdm(total=total, desc='rounds', unit='round')
    bar.update(sum(settings.rounds[: place.stage]) + place.round)
    for stage in range(place.stage, len(settings.grids)):
        start = place.round if stage == place.stage else 0
        share = (stage + 1) / len(settings.grids)
        for done in range(start, settings.rounds[stage]):
            late = time.monotonic() - begun > max_seconds * (0.35 + 0.6 * share)
            if late and state.poses is not None:  # one round at least
                break
            step = sum(settings.rounds[:stage]) + done + 1
            state = work.round(state, stage, _generator(settings, step))
            save_checkpoint(out / CHECKPOINT, work, state, Place(stage, done + 1))
            assert state.poses is not None
            bar.set_postfix(residual=f'{float(state.poses.residual.median()):.3f}')
            bar.update()
    bar.close()
    halves = work.halves(state, _generator(settings, total + 2))
    curve = shell_correlation(*(half.cpu().numpy() for half in halves))
    state = work.conclude(state, _generator(settings, total + 1))
    account = _account(state, len(pieces), work.width_m / settings.margin)
    if len(work.pieces) < RARE * len(pieces):
        print(
            f'only {len(work.pieces)} of {len(pieces)} crops are about as long as this shape: it '
            f'may be an end of the part; see {out / PICTURE}'
        )
    account['resolution_mm'] = round(1e3 * resolution_m(curve, work.width_m), 1)
    lines = [f'{work.width_m * 1e3 / (k + 1):.2f},{value:.4f}' for k, value in enumerate(curve)]
    write_atomically(out / CURVE, '\n'.join(['detail_mm,correlation', *lines, '']).encode())
    draw(out / PICTURE, work, state)
    if account['residual'] > UNLIKE:
        raise UnexplainedError(
            f'no shape explains what the frames show (residual {account["residual"]}, see '
            f'{out / PICTURE}); take more frames, or fewer parts in the bin',
            part_length_m or SIDE * account['part_length_m'],
        )
    template = Template(state.logits.cpu().numpy(), state.voxel_m, account)
    template.save(out)
    return template


def first_guess(
    pieces: list[Piece],
    settings: Settings,
    part_length_m: float | None = None,
    device: str = 'cpu',
) -> tuple[Reconstruction, State]:
    """Of the lengths that many pieces share, the longest whose pieces show one and the same part.

    Ends of a part share a length too, but are shorter; clumps are longer, but no two look alike.

    Raises:
        UnexplainedError: no such length, or too few pieces to tell.
        TooFewPiecesError: so few that not even the part's length can be guessed.
    """
    probes = range(min(2, settings.seeds))
    others = range(len(probes), settings.seeds)
    try:
        lengths = candidate_lengths(pieces)
    except TooFewPiecesError as error:
        guessed = part_length_m or guessed_length(pieces)
        if guessed is None:
            raise
        raise UnexplainedError(str(error), guessed) from None
    tried = []
    with tqdm(total=len(lengths) * settings.seeds, desc='seeds', unit='seed') as bar:
        for k, length in enumerate(lengths):
            work = reconstruction(pieces, length, settings, device)
            generator = _generator(settings, 10_000 + k)
            state, residual = work.begin(generator, probes, bar.update)
            if others and residual < HOPELESS:
                again, lower = work.begin(generator, others, bar.update)
                if lower < residual:
                    state, residual = again, lower
            tried.append(f'{length * 1e3:.0f} mm (residual {residual:.2f})')
            if residual < UNLIKE:
                return work, state
    raise UnexplainedError(
        f'pieces of no length show one and the same part: {", ".join(tried)}, but below {UNLIKE} '
        'is needed; take more frames, or fewer parts in the bin',
        part_length_m or SIDE * likeliest_length(pieces),
    )


def guessed_length(pieces: list[Piece]) -> float | None:
    """Metres of the longest side, by few pieces: as long as most that are no clumps; or None."""
    lengths = np.array([piece.length_m for piece in pieces if piece.length_m > 0.008])
    return SIDE * float(np.median(lengths)) if len(lengths) >= GUESSED else None


def side_of(pieces: list[Piece], settings: Settings, device: str = 'cpu') -> float:
    """Metres, about: the part's longest side, by pieces between depth edges.

    Raises:
        UnexplainedError, TooFewPiecesError: as `first_guess`.
    """
    quick = replace(settings, seeds=min(2, settings.seeds), seed_crops=120, seed_rotations=400)
    try:
        work, _ = first_guess(pieces, quick, device=device)
    except TooFewPiecesError as error:
        raise TooFewPiecesError(f'{error}; {TELL}') from None
    except UnexplainedError as error:
        raise UnexplainedError(f'{error}; {TELL}', error.part_length_m) from None
    return SIDE * work.width_m / settings.margin


def whole_parts(
    dataset: Dataset,
    indices: Sequence[int],
    finder: Finder,
    part_length_m: float,
    rng: np.random.Generator,
) -> list[Piece]:
    """What a finder holds for whole parts, told how long their longest side is."""
    find, longest = finder(part_length_m), LONGEST * part_length_m

    def cut(frame: DepthFrame, bin: Bin) -> Iterator[Piece]:
        return pieces_of(frame, bin, find(frame, bin), longest)

    return dataset_pieces(dataset, indices, rng, cut=cut, enough=ENOUGH)


def _generator(settings: Settings, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(settings.seed * 1_000_003 + step)


def _account(state: State, pieces: int, length: float) -> dict[str, Any]:
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
