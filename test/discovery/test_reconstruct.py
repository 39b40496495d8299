"""A known shape, seen from random sides, is found again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from searching import searching

from insegan_ros.discovery import discover, search
from insegan_ros.discovery.accuracy import compare
from insegan_ros.discovery.crops import rasterise
from insegan_ros.discovery.first_shapes import first_shape
from insegan_ros.discovery.lengths import candidate_lengths
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.reconstruct import Reconstruction, reconstruction
from insegan_ros.discovery.resume import stored_pieces
from insegan_ros.discovery.search import UnexplainedError, first_guess
from insegan_ros.discovery.state import DiscoveryConfig, DiscoveryState, Poses
from insegan_ros.discovery.views import residuals
from insegan_ros.model.template import (
    Template,
    random_rotations,
    render,
    resting_heights,
    rotation_from_vector,
)

GRID, VOXEL_M = 20, 0.003
QUICK = DiscoveryConfig(
    crops=70, seeds=2, seed_rounds=3, seed_crops=60, seed_rotations=300, grids=(14,), rounds=(7,),
    rotations=(500,), step_crops=40,
)  # fmt: skip


def ell() -> Template:
    """An L of 48 x 36 x 15 mm with arms 15 mm wide: no symmetry hides a wrong rotation."""
    logits = np.full((GRID, GRID, GRID), -12, np.float32)
    logits[2:18, 4:9, 7:12] = 12
    logits[2:7, 4:16, 7:12] = 12
    return Template(logits, VOXEL_M)


def pieces_of(template: Template, count: int, seed: int, lift_m: float = 0.0) -> list[Piece]:
    """Views from random sides as points; half of the parts lie `lift_m` above the floor."""
    turns = random_rotations(count, torch.Generator().manual_seed(seed))
    occupancy = torch.from_numpy(template.occupancy)
    views = render(occupancy, VOXEL_M, turns, shifts=None, pixels=2 * GRID)
    rest = resting_heights(occupancy, VOXEL_M, turns)
    line = (np.arange(2 * GRID) + 0.5) * VOXEL_M / 2 - GRID * VOXEL_M / 2
    y, x = np.meshgrid(line, line, indexing='ij')
    pieces = []
    for k in range(count):
        mask = views.silhouette[k].numpy() > 0.5
        alone = k % 2 == 0
        z = views.height[k].numpy() + float(rest[k]) + (0 if alone else lift_m)
        points = np.stack([x[mask], y[mask], z[mask]], axis=1).astype(np.float32)
        length = float(np.hypot(*np.ptp(points[:, :2], axis=0)))
        pieces.append(Piece(points, length, alone, VOXEL_M / 2))
    return pieces


def bar(length_m: float, width_m: float) -> Piece:
    """A flat bar that lies alone, seen from above at one point a millimetre."""
    x, y = np.meshgrid(np.arange(0, length_m, 0.001), np.arange(0, width_m, 0.001))
    points = np.stack([x, y, np.full_like(x, 0.01)], axis=-1).reshape(-1, 3)
    return Piece(points.astype(np.float32), length_m, True, 0.001)


def test_a_thin_part_has_voxels_enough_across_and_a_stout_one_those_configured() -> None:
    config = DiscoveryConfig()

    def grids(width_m: float) -> tuple[int, ...]:
        pieces = [bar(0.07, width_m)] * 30
        return reconstruction(pieces, 0.07, config, seed=0, device='cpu').config.grids

    assert grids(0.02) == config.grids
    usual, fine = config.grids, grids(0.008)
    across = fine[0] * 0.008 / (0.07 * config.margin)
    assert across == pytest.approx(config.across, rel=0.05)
    assert fine[1] / usual[1] == pytest.approx(fine[0] / usual[0], rel=0.05)
    assert grids(0.001)[0] == round(config.finest * usual[0])  # a wire: rendering has its price


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_finds_the_poses_that_a_processor_finds() -> None:
    truth, pieces = ell(), pieces_of(ell(), 70, 1, lift_m=0.02)
    found = []
    for device in ('cpu', 'cuda'):
        work = Reconstruction(pieces, GRID * VOXEL_M, QUICK, device=device)
        logits = torch.from_numpy(truth.logits).to(device)
        state = DiscoveryState(logits, GRID * VOXEL_M, None)
        generator = torch.Generator().manual_seed(0)
        state = work.expect(state, work.crops(GRID), 300, generator=generator)
        assert state.poses is not None
        found.append(state.poses.residual.cpu())
    assert torch.allclose(*found, atol=1e-3)


def test_shape_is_found_from_views_in_unknown_poses_and_lifts() -> None:
    truth = ell()
    pieces = pieces_of(truth, 70, 1, lift_m=0.02)
    work = Reconstruction(pieces, GRID * VOXEL_M, QUICK)
    state, _ = work.begin(torch.Generator().manual_seed(0))
    for k in range(7):
        state = work.round(state, 0, torch.Generator().manual_seed(k))
    found = Template(state.logits.numpy(), state.voxel_m).mesh()
    accuracy = compare(found, truth.mesh(), np.random.default_rng(0), starts=40, points=1500)
    assert accuracy.relative < 0.05


def test_without_time_discovery_makes_one_round_and_ends_in_a_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = pieces_of(ell(), 60, 2)
    stored_pieces(tmp_path / discover.PIECES, lambda: pieces)
    work = Reconstruction(pieces, GRID * VOXEL_M, QUICK)
    start = torch.from_numpy(ell().logits).clamp(-3, 3)
    begun = DiscoveryState(start, work.width_m, None)
    monkeypatch.setattr(discover, 'first_guess', lambda *_: (work, begun))
    template = discover.discover(replace(searching(QUICK), out=tmp_path, max_seconds=0))
    assert template.account['residual'] < QUICK.unlike
    assert (tmp_path / discover.PICTURE).stat().st_size > 500


def test_searching_nearby_mends_poses_that_are_a_little_off_and_worsens_none() -> None:
    truth = ell()
    pieces = pieces_of(truth, 30, 3)
    turns = random_rotations(30, torch.Generator().manual_seed(3))
    work = Reconstruction(pieces, GRID * VOXEL_M, QUICK)
    crops = work.crops(GRID)
    generator = torch.Generator().manual_seed(0)
    off = rotation_from_vector(0.1 * torch.randn(30, 3, generator=generator))
    poses = Poses(off @ turns, torch.zeros(30, 2), torch.zeros(30))
    state = DiscoveryState(torch.from_numpy(truth.logits), GRID * VOXEL_M, poses)
    before = work.score(state, crops)
    state = replace(state, poses=replace(poses, residual=before))
    after = work.search_nearby(state, crops, 12, generator=generator)
    assert after.poses is not None
    assert (after.poses.residual <= before).all()
    assert after.poses.residual.median() < 0.75 * before.median()
    assert torch.allclose(work.score(after, crops), after.poses.residual, atol=1e-5)


def test_seeds_are_broad_views_and_none_of_the_broadest() -> None:
    pieces = [Piece(square(side), side, True, VOXEL_M / 2) for side in np.linspace(0.01, 0.03, 20)]
    work = Reconstruction(pieces, GRID * VOXEL_M, QUICK)
    crops = work.crops(GRID)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        solid = first_shape(crops, 0, generator, broad=QUICK.broad) > 0
        side = VOXEL_M * float(solid.any(dim=2).any(dim=1).sum())
        assert 0.02 < side < 0.031


def square(side: float) -> np.ndarray:
    """(K, 3) points of a square plate 10 mm above the floor."""
    line = np.arange(-side / 2, side / 2, VOXEL_M / 2)
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.01)], axis=1).astype(np.float32)


def test_two_parts_in_a_crop_are_explained_worse_than_one() -> None:
    truth = ell()
    single = pieces_of(truth, 12, 2)
    double = []
    for a, b in zip(single[::2], single[1::2], strict=True):
        beside = b.points + np.array([0.02, 0.01, 0], np.float32)
        double.append(Piece(np.concatenate([a.points, beside]), 0.05, True, b.pixel_m))
    crops = rasterise(single + double, GRID * VOXEL_M, GRID)
    work = Reconstruction(single + double, GRID * VOXEL_M, QUICK)
    state = DiscoveryState(torch.from_numpy(truth.logits), GRID * VOXEL_M, None)
    state = work.expect(state, crops, 1500, generator=torch.Generator().manual_seed(0))
    assert state.poses is not None
    one, two = state.poses.residual[:12], state.poses.residual[12:]
    assert one.median() < 0.7 * two.median()


def test_residual_is_zero_for_the_same_view_at_another_height() -> None:
    mask = torch.zeros(1, 36)
    mask[0, 10:20] = 1
    height = torch.linspace(0.01, 0.03, 36)[None] * mask
    alone = torch.tensor([False])
    sure = torch.ones(1, 36)
    views = partial(
        residuals, view_mask=mask, view=height, rest=torch.zeros(1), scale_m=0.01, unsure=0.2
    )
    same = views(mask, sure, height + 0.05 * mask, alone=alone)
    assert float(same) == pytest.approx(0, abs=1e-4)
    fixed = views(mask, sure, height + 0.05 * mask, alone=~alone)
    assert float(fixed) > 0.9  # alone on the floor it cannot be that high


def test_the_longest_length_whose_pieces_are_alike_is_the_parts() -> None:
    """Pairs of parts, side by side anyhow, share a length too; halves of parts as well."""
    truth = ell()
    single = [replace(p, length_m=0.05) for p in pieces_of(truth, 60, 3)]
    rng = np.random.default_rng(0)
    pairs = []
    for a, b in zip(pieces_of(truth, 80, 4), pieces_of(truth, 80, 5), strict=True):
        side = rng.uniform(-1, 1, 3) * [0.04, 0.04, 0.02]
        pairs.append(
            Piece(np.concatenate([a.points, b.points + side.astype('f4')]), 0.08, True, a.pixel_m)
        )
    halves = [Piece(p.points[p.points[:, 0] > 0], 0.025, True, p.pixel_m) for p in single[:30]]
    stray = [replace(halves[0], length_m=length) for length in (0.015, 0.12)]
    pieces = single + pairs + halves + stray
    assert np.allclose(candidate_lengths(pieces), [0.08, 0.05, 0.025], rtol=0.02)
    quick = replace(QUICK, seed_crops=40, seed_rotations=200, steps=10)
    work, _ = first_guess(searching(replace(quick, seeds=3)), pieces)
    assert work.width_m == pytest.approx(0.05 * QUICK.margin, rel=0.02)
    with pytest.raises(ValueError, match='one and the same part'):
        first_guess(searching(replace(quick, seeds=2)), pairs)


def test_a_length_is_given_up_only_when_no_seed_shows_one_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces = pieces_of(ell(), 40, 3)
    monkeypatch.setattr(search, 'candidate_lengths', lambda *_: [0.09, 0.06, 0.03])
    found = {0.09: [0.45, 0.4], 0.06: [0.33, 0.36, 0.31, 0.25], 0.03: [0.05]}
    tried = []

    def begin(
        self: Reconstruction, _: object, seeds: range, done: object
    ) -> tuple[DiscoveryState, float]:
        length = round(self.width_m / QUICK.margin, 3)
        tried.append((length, *seeds))
        residual = min(found[length][k] for k in seeds)
        return DiscoveryState(torch.full((2, 2, 2), residual), self.width_m, None), residual

    monkeypatch.setattr(Reconstruction, 'begin', begin)
    work, state = first_guess(searching(replace(QUICK, seeds=4)), pieces)
    assert tried == [(0.09, 0, 1), (0.06, 0, 1), (0.06, 2, 3)]
    assert work.width_m == pytest.approx(0.06 * QUICK.margin)
    assert float(state.logits.mean()) == pytest.approx(0.25)
    found[0.06] = found[0.03] = [0.5] * 4
    told = replace(searching(replace(QUICK, seeds=4)), part_length_m=0.048)
    with pytest.raises(UnexplainedError, match='one and the same part') as caught:
        first_guess(told, pieces)
    assert caught.value.part_length_m == 0.048


@pytest.mark.parametrize(('voted_m', 'taken_m'), [(None, 0.1), (0.05, 0.06), (0.08, 0.1)])
def test_two_parts_that_always_lie_alike_are_no_part_where_a_network_says_so(
    monkeypatch: pytest.MonkeyPatch, voted_m: float | None, taken_m: float
) -> None:
    """In a bin that only just holds two parts side by side, one shape explains the pairs, too."""
    pieces = pieces_of(ell(), 40, 3)
    monkeypatch.setattr(search, 'candidate_lengths', lambda *_: [0.1, 0.06, 0.03])

    def begin(self: Reconstruction, *_: object) -> tuple[DiscoveryState, float]:
        return DiscoveryState(torch.zeros(2, 2, 2), self.width_m, None), QUICK.unlike - 0.01

    monkeypatch.setattr(Reconstruction, 'begin', begin)
    work, _ = first_guess(replace(searching(QUICK), voted=lambda: voted_m), pieces)
    assert work.width_m == pytest.approx(taken_m * QUICK.margin)


def test_accuracy_excludes_reflections_and_finds_the_rotation() -> None:
    mesh = ell().mesh()
    turned = mesh.copy()
    turned.apply_transform(
        trimesh.transformations.random_rotation_matrix(np.array([0.3, 0.6, 0.1]))
    )
    rng = np.random.default_rng(0)
    assert compare(turned, mesh, rng, starts=40, points=1500).relative < 0.02
