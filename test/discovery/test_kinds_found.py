"""Pieces of two kinds of part are told apart, and what a shape explains is taken away."""

from __future__ import annotations

import numpy as np
from searching import searching

from insegan_ros.discovery.kinds import complementary, foreign_to, split_of
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.state import DiscoveryConfig
from insegan_ros.model.template import Template

QUICK = DiscoveryConfig(
    rotations=(600, 100),
)


def flat(shape: str, turn: float) -> Piece:
    """A plate seen from above, 40 mm long: a disc, or a bar of 8 mm."""
    line = np.arange(-0.02, 0.0201, 0.001)
    x, y = (axis.ravel() for axis in np.meshgrid(line, line))
    inside = np.hypot(x, y) < 0.02 if shape == 'disc' else np.abs(y) < 0.004
    x, y = x[inside], y[inside]
    c, s = np.cos(turn), np.sin(turn)
    points = np.stack([c * x - s * y, s * x + c * y, np.full_like(x, 0.0094)], 1)
    return Piece(points.astype(np.float32), 0.04, True, 0.001)


def plates(count: int) -> tuple[list[Piece], list[str]]:
    rng = np.random.default_rng(0)
    shapes = ['disc' if k % 2 else 'bar' for k in range(count)]
    return [flat(shape, rng.uniform(0, np.pi)) for shape in shapes], shapes


def test_the_kinds_first_shapes_are_those_that_together_explain_most() -> None:
    residuals = [np.array(row) for row in ([0.1, 0.1, 0.9], [0.1, 0.2, 0.8], [0.9, 0.9, 0.1])]
    assert complementary(residuals, 2, foreign=0.5) == (0, 2)


def test_pieces_of_another_kind_are_foreign_to_a_shape() -> None:
    pieces, shapes = plates(12)
    line = (np.arange(16) + 0.5) / 16 * 0.05 - 0.025
    x, y, z = np.meshgrid(line, line, line, indexing='ij')
    disc = (np.hypot(x, y) < 0.02) & (np.abs(z) < 0.004)
    logits = np.where(disc, 6, -6).astype(np.float32)
    template = Template(logits, 0.05 / 16, {'residual': 0.15})
    foreign = foreign_to(template, pieces, searching(QUICK))
    assert [shape == 'bar' for shape in shapes] == foreign.tolist()


def test_residuals_are_split_between_their_heaps_whatever_their_sizes() -> None:
    rng = np.random.default_rng(0)
    for own, other in ((400, 100), (100, 400)):
        heaps = rng.normal(0.3, 0.07, own), rng.normal(0.8, 0.07, other)
        assert 0.42 < split_of(np.concatenate(heaps)) < 0.6
