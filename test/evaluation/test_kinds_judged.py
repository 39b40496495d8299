"""Which kind of part an instance is: counted as right whatever the learned kinds are called."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.evaluation.metrics import MatchedKinds, class_accuracy, kind_miou, matched_kinds

TRUE = np.kron([[1, 2], [3, 0]], np.ones((8, 8), int))
KINDS = np.array([1, 2, 2])


def test_kinds_called_otherwise_are_right_all_the_same() -> None:
    swapped = 3 - KINDS
    assert (
        class_accuracy([matched_kinds(TRUE, TRUE, predicted_kinds=swapped, true_kinds=KINDS)]) == 1
    )


def test_names_cannot_change_from_frame_to_frame() -> None:
    frames = [
        matched_kinds(TRUE, TRUE, predicted_kinds=kinds, true_kinds=KINDS)
        for kinds in (KINDS, 3 - KINDS)
    ]
    assert class_accuracy(frames) == pytest.approx(0.5)


def test_one_kind_for_all_is_right_only_where_the_commonest_is() -> None:
    assert class_accuracy(
        [matched_kinds(TRUE, TRUE, predicted_kinds=np.ones(3), true_kinds=KINDS)]
    ) == pytest.approx(2 / 3)


def test_a_missed_instance_counts_in_its_own_kind_alone() -> None:
    found = np.where(TRUE == 3, 0, TRUE)
    matched = [matched_kinds(found, TRUE, predicted_kinds=KINDS[:2], true_kinds=KINDS)]
    assert kind_miou(matched) == {1: 1.0, 2: 0.5}
    assert class_accuracy(matched) == 1


def test_badly_found_instances_do_not_tell_of_kinds() -> None:
    poor = MatchedKinds(np.array([1]), np.array([0.2]), np.array([1]))
    assert np.isnan(class_accuracy([poor]))


def test_kinds_follow_labels_in_any_order() -> None:
    order = np.array([0, 3, 1, 2])
    matched = matched_kinds(
        order[TRUE], TRUE, predicted_kinds=np.array([2, 2, 1]), true_kinds=KINDS
    )
    np.testing.assert_array_equal(matched.found, KINDS)
