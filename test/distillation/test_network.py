"""The network's input and output."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from insegan_ros.distillation.network import (
    OUTPUTS,
    STRIDE,
    NetworkConfig,
    VoteNetwork,
    network_input,
)

CONFIG = NetworkConfig(part_length_m=0.04, part_thickness_m=0.02, pixel_m=0.002)


@pytest.mark.parametrize('size', [(STRIDE, STRIDE), (48, 80)])
def test_the_network_answers_at_the_size_of_its_input(size: tuple[int, int]) -> None:
    network = VoteNetwork(CONFIG).eval()
    heights = np.zeros(size, np.float32)
    output = network(torch.from_numpy(network_input(heights, CONFIG))[None])
    assert output.shape == (1, OUTPUTS, *size)


def test_unmeasured_pixels_are_marked_and_finite() -> None:
    heights = np.array([[0.02, np.nan]], np.float32)
    image = network_input(heights, CONFIG)
    assert image[:, 0, 0].tolist() == pytest.approx([0.5, 1.0])
    assert image[:, 0, 1].tolist() == [0.0, 0.0]
