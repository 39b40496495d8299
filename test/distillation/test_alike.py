"""Which random shapes look like a part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bricks import AROUND

from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.distillation.alike import AlikeConfig, Order, carry_out, unlike, view_cues


def plate(width: float, height: float, z: float, pixel: float = 0.001) -> np.ndarray:
    x, y = np.meshgrid(np.arange(0, width, pixel), np.arange(0, height, pixel))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], axis=1).astype(np.float32)


def test_cues_are_sizes_in_part_lengths() -> None:
    cues = view_cues(plate(0.04, 0.02, 0.01), 0.001, 0.04)
    assert cues == pytest.approx([1, 0.5, 0.5, 1, 1, 0.25, 0.25, 0], abs=0.03)


def test_a_view_with_gaps_fills_less_of_its_hull() -> None:
    points = plate(0.04, 0.02, 0.01)
    comb = points[(points[:, 1] < 0.008) | (np.rint(points[:, 0] * 1000) % 8 < 4)]
    assert view_cues(comb, 0.001, 0.04)[4] == pytest.approx(0.7, abs=0.05)


def test_a_view_turned_about_the_axis_of_sight_has_the_same_cues() -> None:
    points = plate(0.04, 0.02, 0.01)
    turned = points.copy()
    turned[:, :2] = points[:, :2] @ np.array([[0.8, -0.6], [0.6, 0.8]], np.float32)
    assert view_cues(turned, 0.001, 0.04) == pytest.approx(
        view_cues(points, 0.001, 0.04), abs=1e-3
    )


def test_the_shape_that_is_seen_is_nearer_than_another() -> None:
    rng = np.random.default_rng(0)

    def views(breadth: float) -> np.ndarray:
        shown = [plate(0.04, breadth * rng.uniform(0.9, 1.1), 0.01) for _ in range(20)]
        return np.array([view_cues(points, 0.001, 0.04) for points in shown])

    seen = views(0.02)
    assert unlike(seen, views(0.02), rng) < 0.2 * unlike(seen, views(0.03), rng)
    assert unlike(seen, seen[:3], rng) == float('inf')


def test_piles_of_a_shape_go_on_where_they_were_left(tmp_path: Path) -> None:
    config = AlikeConfig(piles=3)
    for count in (1, 3):
        orders = [
            Order(AROUND, 0.03, config, 0, shape, tmp_path / str(shape), count) for shape in (0, 1)
        ]
        assert len(list(carry_out(orders, workers=1))) == 2
        assert [len(Dataset(order.path)) for order in orders] == [count, count]
    with pytest.raises(DatasetError):  # they are of another shape
        Order(AROUND, 0.03, config, 1, 0, tmp_path / '0', 3)()


def test_no_order_is_begun_when_the_time_is_over_but_the_least(tmp_path: Path) -> None:
    config = AlikeConfig(piles=1)
    orders = [Order(AROUND, 0.03, config, 0, k, tmp_path / str(k), 1) for k in range(3)]
    assert len(list(carry_out(orders, workers=1, seconds=0, least=2))) == 2
    assert len(list(carry_out(orders, workers=2))) == 3
