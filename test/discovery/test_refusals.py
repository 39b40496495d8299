"""Where no shape is found, how long the part is still is told, for the model that stands in."""

from __future__ import annotations

import numpy as np
import pytest
from searching import searching

from insegan_ros.discovery.lengths import TooFewPiecesError
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.search import UnexplainedError, first_guess, guessed_length, side_of

SIDE = searching().config.side


def pieces(count: int, length_m: float = 0.06) -> list[Piece]:
    return [Piece(np.zeros((300, 3), np.float32), length_m, True, 0.0013) for _ in range(count)]


def test_few_pieces_tell_the_length_though_no_shape() -> None:
    with pytest.raises(UnexplainedError, match='more frames') as refused:
        first_guess(searching(), pieces(9))
    assert refused.value.part_length_m == pytest.approx(SIDE * 0.06)
    with pytest.raises(UnexplainedError, match='--part-length') as refused:
        side_of(searching(), pieces(9))
    assert refused.value.part_length_m == pytest.approx(SIDE * 0.06)


def test_a_length_that_is_told_is_kept() -> None:
    with pytest.raises(UnexplainedError) as refused:
        first_guess(searching(part_length_m=0.08), pieces(0))
    assert refused.value.part_length_m == 0.08


def test_without_pieces_nothing_is_guessed() -> None:
    assert guessed_length(searching(), pieces(2)) is None
    with pytest.raises(TooFewPiecesError, match='fewer parts in the bin'):
        first_guess(searching(), pieces(2))
