"""The Siléane benchmark's average precision of poses, on scenes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.evaluation.pose_ap import PoseScene, pose_average_precision

LIMIT = 0.1


def scene(
    distances: list[list[float]], scores: list[float], wanted: list[bool] | None = None
) -> PoseScene:
    """Distances in diameters; all instances are wanted unless it is said which."""
    matrix = np.array(distances, float).reshape(len(scores), -1)
    return PoseScene(
        matrix, np.array(scores, float), np.array(wanted or [True] * matrix.shape[1], bool)
    )


def precision(*scenes: PoseScene) -> float:
    return pose_average_precision(scenes, LIMIT)


def test_all_right_is_one_and_none_right_is_zero() -> None:
    assert precision(scene([[0.01, 0.9], [0.9, 0.02]], [0.9, 0.8])) == 1
    assert precision(scene([[0.2, 0.9], [0.9, 0.3]], [0.9, 0.8])) == 0


def test_a_pose_is_right_up_to_the_limit() -> None:
    assert precision(scene([[0.1]], [1.0])) == 1
    assert precision(scene([[0.1001]], [1.0])) == 0


def test_a_wrong_pose_costs_what_follows_it() -> None:
    # right, wrong, right: recall .5 at precision 1, recall 1 at precision 2/3
    three = scene([[0.01, 0.9], [0.5, 0.5], [0.9, 0.01]], [0.9, 0.8, 0.7])
    assert precision(three) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_what_is_missed_is_area_that_is_missed() -> None:
    assert precision(scene([[0.01, 0.9, 0.9, 0.9]], [0.9])) == pytest.approx(0.25)


def test_of_two_poses_of_one_instance_the_nearer_is_right_and_the_other_wrong() -> None:
    # at first the farther one is right: recall 1/2 at precision 1; then the second replaces it
    twice = scene([[0.05, 0.9], [0.01, 0.9], [0.9, 0.01]], [0.9, 0.8, 0.7])
    assert precision(twice) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_instances_that_need_not_be_found_count_neither_for_nor_against() -> None:
    hidden = scene([[0.01, 0.9], [0.9, 0.01]], [0.9, 0.8], [False, True])
    assert precision(hidden) == 1
    missed = scene([[0.9, 0.01]], [0.8], [False, True])
    assert precision(missed) == 1


def test_a_second_pose_of_a_hidden_instance_is_wrong() -> None:
    twice = scene([[0.02, 0.9], [0.01, 0.9], [0.9, 0.01]], [0.9, 0.8, 0.7], [False, True])
    assert precision(twice) == pytest.approx(1 / 2)


def test_precision_and_recall_are_means_over_scenes_and_not_over_poses() -> None:
    good = scene([[0.01]], [0.5])
    poor = scene([[0.5, 0.9], [0.9, 0.5], [0.9, 0.5]], [0.9, 0.8, 0.7])
    # at .9, .8 and .7 the mean precision is (1 + 0) / 2 at recall 0; at .5 recall is (1 + 0) / 2
    assert precision(good, poor) == pytest.approx(0.5 * 0.5)


def test_a_scene_without_instances_is_found_whole_until_something_is_seen_in_it() -> None:
    empty, good = scene([[]], [0.6]), scene([[0.01]], [0.9])
    # recall starts at 1/2 (nothing to find in one scene), with precision 1
    assert precision(empty, good) == pytest.approx(0.5 + 0.5)
    seen_first = scene([[]], [0.95])
    assert precision(seen_first, good) == pytest.approx(0.5 + 0.5 * 0.5)


def test_equal_scores_are_one_step() -> None:
    both = scene([[0.01, 0.9], [0.5, 0.5]], [0.7, 0.7])
    assert precision(both) == pytest.approx(0.5 * 0.5)


def test_nothing_to_find_anywhere_has_no_figure() -> None:
    assert np.isnan(precision(scene([[0.01]], [0.9], [False])))
    assert np.isnan(precision())


def test_nothing_found_is_zero() -> None:
    assert precision(PoseScene(np.zeros((0, 2)), np.zeros(0), np.ones(2, bool))) == 0
