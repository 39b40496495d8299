"""Learned baselines: what each one's parts do, and that training improves each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import discs, sticks

from insegan_ros import config
from insegan_ros.baselines.learned.decomposer import Decomposer
from insegan_ros.baselines.learned.learned_segmenter import LearnedCard, LearnedSegmenter, load
from insegan_ros.baselines.learned.registry import METHODS, build
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
    settings = config.plain(LearnedCard(name, {'instances': 2, **SMALL[name]}, crop))
    again = load(settings, network.state_dict(), parts_bin=parts_bin)
    expected = LearnedSegmenter(network, crop, parts_bin).segment(frame)
    np.testing.assert_array_equal(again.segment(frame).labels, expected.labels)


def test_a_crop_without_a_gap_between_floor_and_parts_is_refused() -> None:
    with pytest.raises(ValueError, match='expect gap'):
        LearnedCard('wu', {}, CropConfig(0.1, 0.05, 64, 'linear'))


# the update
