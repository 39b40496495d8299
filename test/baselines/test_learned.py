"""Learned baselines: what each one's parts do, and that training improves each."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import discs, sticks

from insegan_ros.baselines.learned.attention import SlotAttention
from insegan_ros.baselines.learned.bo_qsa import QuerySlotAutoencoder
from insegan_ros.baselines.learned.decomposer import Decomposer, without_background
from insegan_ros.baselines.learned.iodine import divergence, mixture
from insegan_ros.baselines.learned.learned_segmenter import (
    LearnedCard,
    LearnedSegmenter,
    load,
    to_card,
)
from insegan_ros.baselines.learned.registry import METHODS, build
from insegan_ros.baselines.learned.slot_attention import SlotConfig
from insegan_ros.baselines.learned.wu import Wu, WuConfig, chamfer_distance, rotation_of_six
from insegan_ros.camera import Plane
from insegan_ros.config import ConfigError
from insegan_ros.crop import CropConfig
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.parts_bin import Bin
from insegan_ros.training.descent import Descent, DescentConfig
from insegan_ros.types import DepthFrame, Intrinsics

SMALL = {
    'slot_attention': {'image_size': 8, 'channels': 8, 'width': 16, 'hidden': 16, 'stride': 1},
    'bo_qsa': {'image_size': 8, 'channels': 8, 'width': 16, 'hidden': 16, 'stride': 1},
    'iodine': {'image_size': 8, 'channels': 8, 'latent': 4, 'hidden': 16, 'refinements': 2},
    'wu': {'image_size': 16, 'points': 24, 'samples': 32},
}
every_method = pytest.mark.parametrize('name', METHODS)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def small(name: str, instances: int = 2) -> Decomposer:
    return build(name, {'instances': instances, **SMALL[name]})


def toy(name: str, count: int = 4) -> tuple[Tensor, Tensor]:
    images, _ = discs(count, SMALL[name]['image_size'])
    return images, torch.randn(count, *small(name).noise_shape)


@every_method
def test_every_pixel_of_a_part_has_a_label_and_no_other_pixel_has_one(name: str) -> None:
    images, noise = toy(name)
    labels = small(name).labels(images, noise)
    assert torch.equal(labels > 0, images[:, 0] > 0)
    assert labels.max() <= 2


@every_method
def test_labels_depend_on_image_and_noise_alone(name: str) -> None:
    images, noise = toy(name)
    network = small(name).eval()
    together = network.labels(images, noise)
    alone = torch.cat([network.labels(i[None], n[None]) for i, n in zip(images, noise)])
    assert (together == alone).float().mean() > 0.99  # sums in another order may tip a pixel


@every_method
def test_all_weights_learn(name: str) -> None:
    network = small(name)
    images, noise = toy(name)
    network.losses(images, noise)['total'].backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@every_method
def test_segments_of_an_empty_bin_are_none(name: str) -> None:
    network = small(name)
    images = torch.full((1, 1, network.config.image_size, network.config.image_size), -1.0)
    assert not network.labels(images, torch.randn(1, *network.noise_shape)).any()
    losses = network.losses(images, torch.randn(1, *network.noise_shape))
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_sizes_that_a_network_does_not_have_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match='channels'):
        build('slot_attention', {'chanels': 8})
    with pytest.raises(ValueError, match='valid: slot_attention'):
        build('slots', {})


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


# learning


def learn(network: Decomposer, images: Tensor, steps: int, rate: float) -> list[dict[str, float]]:
    config = DescentConfig(batch=16, learning_rate=rate, warm_up=10, half_life=300)
    descent, generator = Descent(network, network.losses, config), torch.Generator()
    told = []
    for _ in range(steps):
        some = images[torch.randint(len(images), (16,), generator=generator)]
        noise = torch.randn(16, *network.noise_shape, generator=generator)
        told.append({k: float(v) for k, v in descent.step(some, noise).items()})
    return told


def mean(told: list[dict[str, float]], name: str) -> float:
    return float(np.mean([losses[name] for losses in told]))


@pytest.mark.parametrize('name', ['slot_attention', 'bo_qsa'])
def test_slots_learn_to_reconstruct_images_that_they_know(name: str) -> None:
    """benchmarks/discs.py shows that they go on to separate what they reconstruct."""
    network = build(name, {'instances': 2, **SMALL[name], 'channels': 16, 'width': 32})
    images, _ = discs(4, 8)
    told = learn(network, images, 150, 5e-3)
    blurred = float(images.var(dim=0, correction=0).mean())  # about the mean image
    assert mean(told[-10:], 'total') < 0.7 * blurred


def test_the_bound_of_iodine_falls_with_training_and_with_refinement() -> None:
    network = small('iodine')
    images, _ = discs(64, 8)
    told = learn(network, images, 70, 5e-3)
    assert mean(told[-10:], 'bound') < 0.5 * mean(told[:10], 'bound')
    noise = torch.randn(64, *network.noise_shape)
    bounds, _ = network.infer(images, noise, learn=False)
    assert bounds[-1] < bounds[0]


def test_wu_finds_two_rigid_copies() -> None:
    """The same stick lies twice in each image, turned and moved: its points are learned."""
    images, labels = sticks(64, 32)
    network = build('wu', {'instances': 2, 'image_size': 32, 'points': 40, 'samples': 64})
    told = learn(network, images, 160, 3e-3)
    assert mean(told[-20:], 'chamfer') < 0.5 * mean(told[:20], 'chamfer')
    found = network.labels(images, torch.randn(64, 64))
    known = labels.numpy()
    assert np.mean([strict_miou(a, b) for a, b in zip(found.numpy(), known)]) > 0.5


# as a Segmenter


def bin_of(size: int = 64) -> tuple[DepthFrame, Bin]:
    depth = np.full((size, size), 0.5, np.float32)
    depth[10:30, 10:30], depth[40:50, 35:60] = 0.47, 0.46
    intrinsics = Intrinsics(size, size, 200.0, 200.0, size / 2 - 0.5, size / 2 - 0.5)
    return DepthFrame(depth, intrinsics), Bin(Plane((0.0, 0.0, -1.0), 0.5), (0, 0, size, size))


@every_method
def test_a_frame_is_segmented_where_parts_stand_and_the_same_way_each_time(name: str) -> None:
    network = small(name)
    frame, parts_bin = bin_of()
    crop = CropConfig(0.16, 0.05, network.config.image_size, 'gap')
    segmenter = LearnedSegmenter(network, crop, parts_bin)
    found = segmenter.segment(frame)
    np.testing.assert_array_equal(found.labels > 0, frame.depth_m < 0.49)
    np.testing.assert_array_equal(segmenter.segment(frame).labels, found.labels)
    assert 1 <= found.count <= 2


@every_method
def test_a_card_gives_the_same_segmenter_back(name: str) -> None:
    network = small(name)
    frame, parts_bin = bin_of()
    crop = CropConfig(0.16, 0.05, network.config.image_size, 'gap')
    settings = to_card(LearnedCard(name, {'instances': 2, **SMALL[name]}, crop))
    again = load(settings, network.state_dict(), parts_bin=parts_bin)
    expected = LearnedSegmenter(network, crop, parts_bin).segment(frame)
    np.testing.assert_array_equal(again.segment(frame).labels, expected.labels)


def test_a_crop_without_a_gap_between_floor_and_parts_is_refused() -> None:
    with pytest.raises(ValueError, match='expect gap'):
        LearnedCard('wu', {}, CropConfig(0.1, 0.05, 64, 'linear'))


# the update


def test_the_rate_rises_over_the_warm_up_and_then_falls_by_half_lives() -> None:
    config = DescentConfig(learning_rate=1.0, warm_up=10, half_life=100)
    assert config.rate(0) == pytest.approx(0.1 * 0.5**0)
    assert config.rate(100) == pytest.approx(0.5)
    assert config.rate(200) == pytest.approx(0.25)


def test_a_loss_that_is_not_finite_changes_no_weight() -> None:
    network = small('slot_attention')
    before = [p.clone() for p in network.parameters()]
    descent = Descent(
        network, lambda *_: {'total': network.mean.sum() * math.nan}, DescentConfig()
    )
    with pytest.raises(FloatingPointError, match='total'):
        descent.step(torch.zeros(1), torch.zeros(1))
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters()))


def test_a_restored_descent_goes_on_as_the_first_one() -> None:
    images, noise = toy('bo_qsa')
    network = small('bo_qsa')
    first = Descent(network, network.losses, DescentConfig(warm_up=2))
    first.step(images, noise)
    torch.manual_seed(5)
    other = small('bo_qsa')
    second = Descent(other, other.losses, DescentConfig(warm_up=2))
    second.restore(copy.deepcopy(first.state()))
    assert first.step(images, noise)['total'] == second.step(images, noise)['total']
    for a, b in zip(network.parameters(), other.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
