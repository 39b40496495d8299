"""Learned baselines: what the parts of each network do."""

from __future__ import annotations

import pytest
import torch
from toys import discs

from insegan_ros.baselines.learned.attention import SlotAttention
from insegan_ros.baselines.learned.bo_qsa import QuerySlotAutoencoder
from insegan_ros.baselines.learned.decomposer import without_background
from insegan_ros.baselines.learned.iodine import divergence, mixture
from insegan_ros.baselines.learned.slot_attention import SlotConfig
from insegan_ros.baselines.learned.wu import Wu, WuConfig, chamfer_distance, rotation_of_six


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


# Slot Attention


def test_slots_are_a_set() -> None:
    attention = SlotAttention(8, 16)
    slots, features = torch.randn(2, 3, 8), torch.randn(2, 10, 8)
    keys, values = attention.read(features)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        attention(slots[:, order], keys, values), attention(slots, keys, values)[:, order]
    )


def test_slots_do_not_depend_on_the_order_of_features() -> None:
    attention = SlotAttention(8, 16)
    slots, features = torch.randn(2, 3, 8), torch.randn(2, 10, 8)
    mixed = features[:, torch.randperm(10)]
    torch.testing.assert_close(
        attention(slots, *attention.read(mixed)), attention(slots, *attention.read(features))
    )


def test_slots_compete_for_features() -> None:
    """What one slot takes the others lack: the shares of each feature sum to one."""
    attention = SlotAttention(4, 8)
    keys, values = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)
    keys[0, 0, 0] = values[0, 0, 0] = 40.0
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(4))
    seen = []
    attention.update.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    attention(torch.eye(4)[None, :3], keys, values)
    # the mean over features that is left of one feature is itself for the slot that has it
    assert seen[0][0, 0] == pytest.approx(40.0, rel=1e-3)


def test_learned_starts_get_the_gradient_of_the_last_update_alone() -> None:
    config = SlotConfig(2, 8, channels=8, width=16, hidden=16, stride=1)
    network = QuerySlotAutoencoder(config)
    calls = []
    network.attention.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    images, _ = discs(2, 8)
    network.losses(images, torch.randn(2))['total'].backward()
    assert calls == [False, False, True]
    assert network.queries.grad is not None
    assert network.queries.grad.abs().sum() > 0


def test_the_slot_that_is_left_out_is_the_one_with_the_fewest_part_pixels() -> None:
    images = torch.full((1, 1, 4, 4), -1.0)
    images[..., :2] = 0.5  # the left half shows parts
    masks = torch.zeros(1, 3, 4, 4)
    masks[0, 0, :2, :2], masks[0, 2, 2:, :2] = 0.9, 0.8
    masks[0, 1, :, 2:] = 0.7  # the floor's
    torch.testing.assert_close(without_background(masks, images), masks[:, [0, 2]])


# IODINE


def test_a_mixture_of_one_slot_is_its_gaussian() -> None:
    means, images = torch.rand(2, 1, 3, 3), torch.rand(2, 1, 3, 3)
    log_likelihood, shares = mixture(means, torch.randn(2, 1, 3, 3), images, scale=0.2)
    normal = torch.distributions.Normal(means[:, 0], 0.2)
    torch.testing.assert_close(log_likelihood, normal.log_prob(images[:, 0]))
    torch.testing.assert_close(shares, torch.ones_like(shares))


def test_a_mixture_integrates_to_one() -> None:
    x = torch.linspace(-3, 3, 4001)
    means = torch.tensor([-0.5, 0.7])[None, :, None, None].expand(1, 2, 1, 4001)
    logits = torch.tensor([0.3, -1.0])[None, :, None, None].expand(1, 2, 1, 4001)
    density = mixture(means, logits, x[None, None, None], scale=0.1)[0].exp()
    assert torch.trapezoid(density[0, 0], x) == pytest.approx(1.0, abs=1e-4)


def test_divergence_from_the_prior_is_that_of_gaussians() -> None:
    mean, log_deviation = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    ours = torch.distributions.Normal(mean, log_deviation.exp())
    known = torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, log_deviation), known.sum((1, 2)))


# Wu et al.


def test_points_beneath_another_are_hidden_and_points_beside_it_are_not() -> None:
    network = Wu(WuConfig(image_size=16))
    points = torch.tensor([[[0.02, 0.02, 1.0], [0.0, 0.0, 0.1], [0.5, 0.5, 0.1], [3.0, 0.0, 0.0]]])
    assert network.visible(points).tolist() == [[True, False, True, True]]


def test_an_observed_point_is_seen_at_its_own_pixel() -> None:
    network = Wu(WuConfig(image_size=16))
    images = torch.rand(1, 1, 16, 16) * 0.8 + 0.1
    points = network.observed(images)
    pixels = network.grid.flatten(1).T[None]
    torch.testing.assert_close(network.on_floor(points), pixels)
    assert points[..., 2].max() <= network.config.height


def test_samples_are_points_of_parts() -> None:
    network = Wu(WuConfig(image_size=16, samples=500))
    images, _ = discs(3, 16)
    points, weight = network.sample(images, torch.randn(3, 500))
    every = network.observed(images)
    for some, all_points, image in zip(points, every, images):
        parts = {tuple(p) for p in all_points[image.flatten() > 0].tolist()}
        drawn = {tuple(p) for p in some.tolist()}
        assert drawn <= parts
        assert len(drawn) > 0.8 * len(parts)
    assert weight.tolist() == [1, 1, 1]


def test_six_numbers_make_a_rotation() -> None:
    turn = rotation_of_six(torch.randn(5, 6))
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).expand(5, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(5))


def test_wu_learns_from_what_has_no_direction_and_from_images_without_parts() -> None:
    same = [1.0, 0.0, 0.0]
    six = torch.tensor([[0.0] * 6, same + same, same + [1.0, 1e-7, 0.0], [1e-9] * 6])
    six.requires_grad_()
    turn = rotation_of_six(six)
    turn.sum().backward()
    assert turn.isfinite().all()
    assert six.grad is not None
    assert six.grad.abs().max() < 1e3

    network = Wu(WuConfig(image_size=16, points=24, samples=32))
    with torch.no_grad():
        network.template.zero_()  # all points in one place
        network.poses.head.bias.zero_()
        network.poses.head.weight.zero_()
    images = torch.stack([torch.full((1, 16, 16), -1.0), discs(1, 16)[0][0]])
    network.losses(images, torch.randn(2, 32))['total'].backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.norm() < 1e3


def test_chamfer_distance_is_zero_of_equal_clouds_and_ignores_hidden_points() -> None:
    cloud = torch.rand(2, 10, 3)
    stray = torch.cat([cloud, cloud + 100], dim=1)
    seen = torch.arange(20).expand(2, 20) < 10
    distance = chamfer_distance(stray, seen, cloud, weight=torch.ones(2))
    assert distance == pytest.approx(0.0, abs=4e-3)  # of the root's small offset
    assert (
        chamfer_distance(stray, torch.ones(2, 20, dtype=torch.bool), cloud, weight=torch.ones(2))
        > 50
    )
