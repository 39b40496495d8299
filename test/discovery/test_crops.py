"""Crops are cut where geometry says that one whole part is seen."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.camera import Plane
from insegan_ros.discovery.crops import rasterise
from insegan_ros.discovery.pieces import MASK_EDGE, SEGMENT_EDGE, frame_pieces, levelled, pieces_of
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(160, 120, 420.0, 420.0, 79.5, 59.5)
FLOOR = Plane((0.0, 0.0, -1.0), 0.55)


def scene(*boxes: tuple[int, int, int, int, float]) -> DepthFrame:
    """Boxes as (row, column, rows, columns, height in metres), later ones on top."""
    depth = np.full((120, 160), 0.55, np.float32)
    for row, column, rows, columns, height in boxes:
        depth[row : row + rows, column : column + columns] = 0.55 - height
    return DepthFrame(depth, CAMERA)


def test_part_alone_is_cut_whole_in_metres_above_the_floor() -> None:
    (piece,) = frame_pieces(scene((40, 50, 20, 30, 0.02)), Bin(FLOOR))
    assert piece.alone
    size = np.ptp(piece.points[:, :2], axis=0)
    assert np.allclose(size, np.array([29, 19]) / 420 * 0.53, rtol=0.03)
    assert np.allclose(piece.points[:, 2], 0.02, atol=0.002)


def test_upper_part_of_a_pile_is_cut_and_the_hidden_one_is_not() -> None:
    frame = scene((30, 40, 30, 60, 0.02), (40, 60, 30, 20, 0.04))
    pile, piece = frame_pieces(frame, Bin(FLOOR))
    assert pile.alone  # geometry cannot tell; its length can
    assert not piece.alone
    assert np.allclose(piece.points[:, 2], 0.04, atol=0.002)
    assert len(list(frame_pieces(frame, Bin(FLOOR), stacked=False))) == 1


def test_crops_are_not_mirrored() -> None:
    """Three steps that climb counterclockwise, seen from above, do so in the crop."""
    frame = scene((40, 40, 12, 12, 0.012), (40, 52, 12, 12, 0.016), (52, 52, 12, 12, 0.020))
    (piece,) = frame_pieces(frame, Bin(FLOOR))  # image: left, right, right below: clockwise
    z = piece.points[:, 2]
    low, middle, high = (
        piece.points[abs(z - level) < 0.0015, :2].mean(axis=0) for level in (0.012, 0.016, 0.020)
    )
    first, second = middle - low, high - middle
    assert first[0] * second[1] - first[1] * second[0] < 0  # clockwise with y up as well


def test_floor_is_levelled_by_what_the_frame_shows() -> None:
    frame = scene((40, 40, 12, 12, 0.03))
    frame = DepthFrame(frame.depth_m + np.float32(0.004), CAMERA)
    assert abs(levelled(frame, FLOOR).offset - 0.554) < 1e-4


def test_rasterised_crop_is_centred_and_without_holes() -> None:
    pieces = list(frame_pieces(scene((40, 50, 20, 30, 0.02)), Bin(FLOOR)))
    crops = rasterise(pieces, 0.06, 30)
    rows, columns = np.nonzero(crops.mask[0])
    assert abs(rows.mean() - 14.5) <= 1
    assert abs(columns.mean() - 14.5) <= 1
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_what_lies_beside_the_outermost_points_is_neither_part_nor_background() -> None:
    (piece,) = frame_pieces(scene((40, 50, 20, 30, 0.02)), Bin(FLOOR))
    crops = rasterise([piece], 0.06, 120)
    pixels_to_crop = piece.pixel_m * 120 / 0.06
    unsure = (crops.sure[0] == 0)[60]  # along a row through the middle
    assert unsure[:60].sum() == pytest.approx(1.4 * pixels_to_crop, abs=1.5)
    assert crops.sure[0][60, 60] == 1
    assert crops.sure[0][5, 5] == 1


def test_a_labelled_part_in_a_pile_is_cut_as_it_was_labelled() -> None:
    frame = scene((30, 40, 30, 60, 0.02), (40, 60, 30, 20, 0.04))
    labels = np.zeros((120, 160), np.int32)
    labels[30:60, 40:60] = 1  # the lower box's left end, the upper box touches it
    labels[40:70, 60:80] = 2
    labels[30:50, 100:101] = 3  # too small
    lower, upper = pieces_of(frame, Bin(FLOOR), labels, longest_m=0.06)
    assert not lower.alone
    assert lower.edge_px == MASK_EDGE < SEGMENT_EDGE
    assert np.allclose(lower.points[:, 2], 0.02, atol=0.002)
    assert np.allclose(upper.points[:, 2], 0.04, atol=0.002)
    assert list(pieces_of(frame, Bin(FLOOR), labels, longest_m=0.02)) == []
    (alone,) = pieces_of(
        scene((40, 50, 20, 30, 0.02)), Bin(FLOOR), labels_of_box(), longest_m=0.06
    )
    assert alone.alone


def labels_of_box() -> np.ndarray:
    labels = np.zeros((120, 160), np.int32)
    labels[40:60, 50:80] = 1
    return labels
