"""How votes are read: chosen on piles, and less generously where frames show what piles lack."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from insegan_ros.distillation.clusters import VoteSettings
from insegan_ros.distillation.network import OUTPUTS, NetworkConfig, VoteNetwork
from insegan_ros.inference.existence import Existence
from insegan_ros.learn import reading

CONFIG = NetworkConfig(part_length_m=0.04, part_thickness_m=0.02, pixel_m=0.002)
SIDE = 64


class Bricks:
    """Piles of two bricks, of which some hide a third one but for a few pixels."""

    def __init__(self, count: int) -> None:
        self.labels = []
        for k in range(count):
            labels = np.zeros((SIDE, SIDE), np.uint8)
            labels[8:24, 8:24], labels[36:52, 30:46] = 1, 2
            if k % 4 < 2:
                labels[24:28, 14:20] = 3
            self.labels.append(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def heights(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Shows which pile it is, for the network below."""
        return np.full((SIDE, SIDE), index * 1e-3, np.float32)


@pytest.fixture
def piles(monkeypatch: pytest.MonkeyPatch) -> Bricks:
    piles = Bricks(24)
    shown = list(piles.labels)

    def votes(network: nn.Module, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Right, but unsure of the third brick."""
        index = round(float(image[0, 0, 0]) * CONFIG.part_length_m / 1e-3)
        labels, rng = shown[index], np.random.default_rng(index)
        centres = np.array([[0, 0], [16, 16], [38, 44], [17, 34]])[labels]
        v, u = np.mgrid[:SIDE, :SIDE]
        output = np.zeros((OUTPUTS, SIDE, SIDE), np.float32)
        output[0] = np.where(labels > 0, 5, -5)
        output[1] = (centres[..., 0] - u) / CONFIG.unit_px
        output[2] = (centres[..., 1] - v) / CONFIG.unit_px
        output[1:3] += rng.normal(0, np.where(labels == 3, 0.2, 0.05), (2, SIDE, SIDE))
        output[4] = np.where(labels == 3, 0.8, -2)
        output[5] = np.where(labels == 3, -2, 3)
        return output

    monkeypatch.setattr(reading, 'predict', votes)
    return piles


def frame_labels(small: int) -> list[NDArray[np.integer]]:
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[8:24, 8:24], labels[36:52, 30:46] = 1, 2
    for k in range(small):
        labels[56:60, 8 * k : 8 * k + 4] = 3 + k
    return [labels] * 5


def test_what_is_hardly_seen_is_found_where_candidates_are_taken_generously(piles: Bricks) -> None:
    read = reading.learn_to_read(nn.Identity(), [(piles, CONFIG)], 0)
    assert read.count_accuracy > 0.9
    assert read.votes.min_support < 4
    assert read.existence is not None


def test_how_well_piles_are_read_is_judged_on_others_than_it_was_chosen_on(piles: Bricks) -> None:
    fair = reading.learn_to_read(nn.Identity(), [(piles, CONFIG)], 0)
    for k in range(1, len(piles), 2):  # their truth is another than what is seen in them
        piles.labels[k] = np.zeros((SIDE, SIDE), np.uint8)
        piles.labels[k][56:62, 2:8] = 1
    read = reading.learn_to_read(nn.Identity(), [(piles, CONFIG)], 0)
    assert (read.votes, read.existence) == (fair.votes, fair.existence)
    assert read.strict_miou < 0.1 < fair.strict_miou
    assert read.count_accuracy < 0.1


def test_frames_full_of_small_instances_make_it_less_generous(piles: Bricks) -> None:
    def frames(votes: VoteSettings, rule: Existence | None) -> list[NDArray[np.integer]]:
        return frame_labels(3 if votes.min_support < 4 else 0)

    read = reading.learn_to_read(nn.Identity(), [(piles, CONFIG)], 0, frames=frames)
    assert read.votes.min_support == 4
    as_in_piles = reading.learn_to_read(
        nn.Identity(), [(piles, CONFIG)], 0, frames=lambda votes, rule: frame_labels(0)
    )
    assert as_in_piles == reading.learn_to_read(nn.Identity(), [(piles, CONFIG)], 0)


def test_small_is_judged_by_the_larger_instances_of_the_same_frame() -> None:
    assert [reading.small_instances(frame_labels(k)[0]) for k in (0, 2)] == [0, 2]
    assert reading.small_instances(np.zeros((4, 4), int)) == 0


def test_only_what_piles_and_chance_do_not_explain_is_surplus() -> None:
    one, three = frame_labels(1) * 2, frame_labels(3)
    assert reading.surplus_of_small(one, one) == 0
    assert reading.surplus_of_small(three, one) == pytest.approx(1.5)
    assert reading.surplus_of_small(one, three) == 0
    some = frame_labels(0) * 3 + frame_labels(2)  # 0.5 a frame, give or take 0.2
    assert reading.surplus_of_small(some, frame_labels(0)) == pytest.approx(0.306, abs=0.01)


def test_frames_are_compared_with_piles_as_crowded() -> None:
    piles = frame_labels(0) * 6 + frame_labels(5) * 2
    assert reading.as_crowded(piles, frame_labels(0)) == list(range(30))
    assert reading.as_crowded(piles, frame_labels(5)) == list(range(40))  # ten are too few


def test_a_remembering_network_answers_as_its_own_does_and_sees_each_image_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = VoteNetwork(CONFIG).eval()
    seen = []
    forward = VoteNetwork.forward
    monkeypatch.setattr(
        VoteNetwork, 'forward', lambda self, x: (seen.append(self), forward(self, x))[1]
    )
    remembering = reading.Remembering(network).eval()
    images = [torch.rand(1, 2, 32, 48), torch.rand(1, 2, 32, 48)]
    for image in [*images, *images]:
        assert torch.equal(remembering(image), forward(network, image))
    assert seen == [remembering] * 2
