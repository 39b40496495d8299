"""What is measured in unlabelled frames fits the network, however many frames there are."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from bricks import brick_piles

from insegan_ros.camera import Plane
from insegan_ros.data.store import Dataset
from insegan_ros.distillation import surroundings
from insegan_ros.distillation.network import STRIDE
from insegan_ros.distillation.piles import store_piles
from insegan_ros.parts_bin import Bin


@pytest.mark.parametrize('frames', [2, 3])
def test_the_window_is_a_whole_number_of_the_networks_strides(
    frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(store_piles(brick_piles(frames), tmp_path, 0, workers=1))
    floor = Plane((0.0, 0.0, -1.0), 0.5)
    seen = cycle([Bin(floor, (0, 0, 32, 32)), Bin(floor, (0, 0, 60, 60))])
    monkeypatch.setattr(surroundings, 'find_bin', lambda frame, rng, config: next(seen))
    around = surroundings.measure_surroundings(Dataset(tmp_path), np.random.default_rng(0))
    assert around.intrinsics.width % STRIDE == 0
    assert around.intrinsics.width >= 32 + 2 * surroundings.WINDOW_MARGIN
