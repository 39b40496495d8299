"""Alignment of latents."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from insegan_ros.model.losses import alignment_loss
from insegan_ros.model.matching import METHODS, best_of_all, match, transport_plan


@pytest.mark.parametrize('method', METHODS)
def test_a_known_permutation_is_found(method: str) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(16, 6, 32, generator=generator)
    order = torch.stack([torch.randperm(6, generator=generator) for _ in range(16)])
    z_hat = torch.empty_like(z).scatter_(1, order[..., None].expand_as(z), z)
    z_hat += 0.3 * torch.randn(z.shape, generator=generator)
    assert torch.equal(match(z, z_hat, method), order)


@pytest.mark.parametrize('method', METHODS)
def test_every_result_is_a_permutation(method: str) -> None:
    for spread in (1e-6, 1.0, 1e3):
        found = match(torch.randn(9, 5, 4) * spread, torch.randn(9, 5, 4), method)
        assert torch.equal(found.sort(dim=1).values, torch.arange(5).expand(9, 5))


def test_hungarian_and_transport_are_never_worse_than_greedy() -> None:
    generator = torch.Generator().manual_seed(1)
    z, z_hat = (torch.randn(64, 5, 3, generator=generator) for _ in range(2))
    cost = {m: alignment_loss(z, z_hat, match(z, z_hat, m)).item() for m in METHODS}
    assert cost['hungarian'] < cost['greedy']
    assert cost['hungarian'] <= cost['ot'] <= cost['greedy']
    assert cost['ot'] == pytest.approx(cost['hungarian'], rel=0.01)


def test_a_transport_plan_spends_every_row_and_column() -> None:
    plan = transport_plan(torch.rand(4, 5, 5) * 100)
    assert torch.allclose(plan.sum(1), torch.full((4, 5), 0.2), atol=1e-4)
    assert torch.allclose(plan.sum(2), torch.full((4, 5), 0.2), atol=1e-2)


def test_a_nearest_pair_misleads_the_greedy() -> None:
    z = torch.tensor([[[0.0], [1.0]]])
    z_hat = torch.tensor([[[0.9], [10.0]]])
    assert match(z, z_hat, 'greedy').tolist() == [[1, 0]]
    z_hat = torch.tensor([[[1.1], [-8.0]]])  # 1 - 1.1 is nearest; then 0 - -8
    assert match(z, z_hat, 'hungarian').tolist() == [[1, 0]]


def test_unequal_sets_and_unknown_methods_are_refused() -> None:
    with pytest.raises(ValueError, match='aligned'):
        match(torch.zeros(1, 4, 2), torch.zeros(1, 5, 2))
    with pytest.raises(ValueError, match='ot, hungarian, greedy'):
        match(torch.zeros(1, 4, 2), torch.zeros(1, 4, 2), 'best')


def test_trying_all_permutations_finds_what_the_hungarian_method_finds() -> None:
    costs = torch.rand(20, 4, 4, generator=torch.Generator().manual_seed(0))
    known = torch.stack([torch.as_tensor(linear_sum_assignment(c)[1]) for c in costs])
    assert torch.equal(best_of_all(costs), known)
    costs[0, 1, :] = torch.nan  # which counts as nothing
    assert best_of_all(costs)[0].sort().values.tolist() == [0, 1, 2, 3]
