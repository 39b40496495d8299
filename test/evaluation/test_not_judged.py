"""What nobody can tell is not judged: regions set aside by hand, and pixels without depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros.camera import segmentation_from_labels
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.evaluation.figures import label_figures, where_judged
from insegan_ros.evaluation.selection import to_judge
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(8, 6, 10.0, 10.0, 4.0, 3.0)


def labelled(*parts: tuple[slice, slice]) -> np.ndarray:
    labels = np.zeros((6, 8), np.int32)
    for k, part in enumerate(parts, 1):
        labels[part] = k
    return labels


def test_an_instance_most_of_which_is_not_judged_is_not_false() -> None:
    true = labelled(np.s_[:3, :3])
    true[:, 4:] = -1
    found = labelled(np.s_[:3, :3], np.s_[1:5, 3:7])  # a quarter of the second is judged
    frame = DepthFrame(np.ones((6, 8), np.float32), CAMERA)
    judged = label_figures(segmentation_from_labels(frame, found), true)
    assert judged['strict_miou'] == 1
    assert judged['false_positives'] == 0
    assert judged['count_right'] == 1


def test_an_instance_most_of_which_is_judged_counts_there() -> None:
    true = labelled(np.s_[:3, :3])
    true[:, 6:] = -1
    found = labelled(np.s_[:3, :3], np.s_[3:, 3:7])
    labels, _ = where_judged(found, true)
    assert (labels == 2).sum() == 9
    assert not labels[true < 0].any()


def test_truth_without_such_pixels_is_judged_as_it_is() -> None:
    found, true = labelled(np.s_[:3, :3]), labelled(np.s_[:3, :4])
    labels, same = where_judged(found, true)
    assert labels is found
    assert same is true


def hand_labelled(path: Path) -> tuple[Dataset, dict[int, np.ndarray]]:
    """A frame in which a part's edge has no depth, and what was drawn."""
    with DatasetWriter(path, DatasetInfo('box', CAMERA, 'drawn')) as writer:
        depth = np.full((6, 8), 500, np.uint16)
        depth[:, 3] = 0
        writer.append(depth, None)
    return Dataset(path), {0: labelled(np.s_[:, :4])}


def test_pixels_without_depth_are_not_judged_if_so_wanted(tmp_path: Path) -> None:
    dataset, drawn = hand_labelled(tmp_path / 'd')
    damaged = LeftOut('frames')
    judged = to_judge(dataset, None, drawn, limit=None, damaged=damaged, measured_only=True)
    assert judged.truth is not None
    assert (judged.truth[0][:, 3] == -1).all()
    assert (judged.truth[0][:, :3] == 1).all()
    assert judged.account(None)['judged'] == 'pixels with a depth'
    as_drawn = to_judge(dataset, None, drawn, limit=None, damaged=damaged)
    assert as_drawn.truth is not None
    assert (as_drawn.truth[0][:, :4] == 1).all()


def test_labels_of_a_dataset_know_pixels_without_depth(tmp_path: Path) -> None:
    dataset, _ = hand_labelled(tmp_path / 'd')
    with pytest.raises(ValueError, match='--masks'):
        to_judge(dataset, None, None, limit=None, damaged=LeftOut('frames'), measured_only=True)
