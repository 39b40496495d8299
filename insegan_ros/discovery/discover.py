"""Discovery from start to end: a dataset and a folder in, a template out; resumable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from insegan_ros.config import dump
from insegan_ros.discovery.picture import draw
from insegan_ros.discovery.pieces import Piece, dataset_pieces, frame_pieces, pieces_of
from insegan_ros.discovery.reconstruct import Reconstruction, explained
from insegan_ros.discovery.resolution import resolution_m, shell_correlation
from insegan_ros.discovery.resume import (
    RoundsDone,
    resume,
    run_of,
    same_run,
    save_state,
    stored_pieces,
)
from insegan_ros.discovery.search import Search, UnexplainedError, first_guess, side_of
from insegan_ros.discovery.state import DiscoveryState
from insegan_ros.files import write_atomically
from insegan_ros.model.template import Template
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame

CHECKPOINT = 'discovery.safetensors'
PIECES = 'pieces.npz'
WHOLE = 'whole.npz'  # those and the parts that a network holds for whole
RUN = 'discovery.yaml'
PICTURE = 'template.png'
CURVE = 'resolution.csv'  # how well two halves of the crops agree, detail by detail


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
