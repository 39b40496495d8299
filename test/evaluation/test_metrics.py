"""Metrics agree with cases worked by hand and with maintained implementations.

Those are scikit-learn's, pycocotools' and torchmetrics' own. The latter's mean average precision
is not among them: it calls pycocotools.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, jaccard_score

from insegan_ros.evaluation.metrics import (
    ari_foreground,
    average_precision,
    count_is_right,
    false_positives,
    foreground_iou,
    found_instances,
    iou_matrix,
    paper_miou,
    strict_miou,
)

TRUE = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2]])


def test_a_perfect_prediction_is_perfect_whatever_its_ids() -> None:
    predicted = np.where(TRUE == 1, 9, np.where(TRUE == 2, 4, 0))
    assert paper_miou(predicted, TRUE) == strict_miou(predicted, TRUE) == 1
    assert ari_foreground(predicted, TRUE) == 1
    assert false_positives(predicted, TRUE) == 0
    assert count_is_right(predicted, TRUE)


@pytest.mark.parametrize('ids', [(9, 4, 7), (60000, 2, 10**6), (-3, 5, -1)])
@pytest.mark.parametrize('dtype', [np.int32, np.int64])
def test_overlaps_do_not_depend_on_the_ids(ids: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(0)
    plain, true = rng.integers(0, 4, (2, 20, 30))
    named = np.array([0, *sorted(ids)], dtype)[plain]
    np.testing.assert_array_equal(iou_matrix(named, true), iou_matrix(plain, true))


def test_one_mask_over_everything_scores_one_over_n_in_the_paper_s_metric() -> None:
    true = np.repeat(np.arange(1, 6), 10)[None]
    everything = np.ones_like(true)
    assert paper_miou(everything, true) == pytest.approx(1 / 5)
    assert strict_miou(everything, true) == pytest.approx(1 / 25)


def test_the_paper_s_metric_forgives_what_the_strict_one_does_not() -> None:
    # instance 1 is found with all the background and half of instance 2; 2 is otherwise missed
    predicted = np.array([[7, 7, 7, 7, 0], [7, 7, 7, 7, 0]])
    # paper: background removed, 7 covers 4 + 2 px: IoU 4/6 with 1, 2/8 with 2, both from 7
    assert paper_miou(predicted, TRUE) == pytest.approx((4 / 6 + 2 / 8) / 2)
    # strict: 7 covers 8 px: IoU 4/8 with 1, and 2 has no prediction of its own
    assert strict_miou(predicted, TRUE) == pytest.approx((4 / 8 + 0) / 2)


def test_iou_of_halves() -> None:
    predicted = np.array([[1, 2, 0, 3, 3], [1, 2, 0, 3, 3]])
    np.testing.assert_allclose(iou_matrix(predicted, TRUE), [[0.5, 0], [0.5, 0], [0, 1]])
    assert strict_miou(predicted, TRUE) == pytest.approx(0.75)
    assert false_positives(predicted, TRUE) == 1
    assert not count_is_right(predicted, TRUE)


def test_foreground_iou_ignores_which_instance_is_which() -> None:
    assert foreground_iou(np.where(TRUE > 0, 5, 0), TRUE) == 1
    assert foreground_iou(np.ones_like(TRUE), TRUE) == pytest.approx(8 / 10)
    assert np.isnan(foreground_iou(np.zeros_like(TRUE), np.zeros_like(TRUE)))


def test_nothing_predicted_is_zero_and_nothing_true_is_nan() -> None:
    nothing = np.zeros_like(TRUE)
    assert paper_miou(nothing, TRUE) == strict_miou(nothing, TRUE) == 0
    assert np.isnan(paper_miou(TRUE, nothing))
    assert np.isnan(strict_miou(TRUE, nothing))
    assert np.isnan(ari_foreground(TRUE, nothing))
    assert false_positives(TRUE, nothing) == 2


@pytest.mark.parametrize('seed', range(5))
def test_ari_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, 5, (2, 30, 30))
    predicted = np.where(rng.random((30, 30)) < 0.6, true, predicted)
    inside = true > 0
    expected = adjusted_rand_score(true[inside], predicted[inside])
    assert ari_foreground(predicted, true) == pytest.approx(expected)


def random_pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(30, 30) predicted and true labels that agree in part, with merged and split instances."""
    true = np.kron(rng.integers(0, 4, (5, 5)), np.ones((6, 6), int))
    shifted = np.roll(true, rng.integers(0, 3, 2), axis=(0, 1))
    predicted = np.where(rng.random() < 0.8, shifted, rng.permutation(shifted))
    if rng.random() < 0.3:
        predicted = np.where(predicted == 3, 2, predicted)  # merged
    if rng.random() < 0.3:
        predicted = np.where((predicted == 1) & (np.arange(30) < 15), 5, predicted)  # split
    consecutive = [np.unique(image, return_inverse=True)[1] for image in (predicted, true)]
    return consecutive[0].reshape(30, 30), consecutive[1].reshape(30, 30)


@pytest.mark.parametrize('seed', range(5))
def test_iou_agrees_with_scikit_learn(seed: int) -> None:
    predicted, true = random_pair(np.random.default_rng(seed))
    expected = [
        [jaccard_score((true == t).ravel(), (predicted == p).ravel()) for t in ids(true)]
        for p in ids(predicted)
    ]
    np.testing.assert_allclose(iou_matrix(predicted, true), expected)
    together = jaccard_score((true > 0).ravel(), (predicted > 0).ravel())
    assert foreground_iou(predicted, true) == pytest.approx(together)


def ids(labels: np.ndarray) -> range:
    return range(1, labels.max() + 1)


@pytest.mark.parametrize('seed', range(8))
def test_the_mious_agree_with_their_definitions_by_brute_force(seed: int) -> None:
    predicted, true = random_pair(np.random.default_rng(seed))

    def iou(p: int, t: int, where: np.ndarray) -> float:
        return jaccard_score((true == t).ravel(), ((predicted == p) & where).ravel())

    inside, everywhere = true > 0, np.ones_like(true, bool)
    best = [max(iou(p, t, inside) for p in ids(predicted)) for t in ids(true)]
    assert paper_miou(predicted, true) == pytest.approx(np.mean(best))
    spare = [*ids(predicted), *[-1] * len(ids(true))]  # -1: a true instance that is missed
    sums = [
        sum(iou(p, t, everywhere) for p, t in zip(chosen, ids(true)))
        for chosen in set(itertools.permutations(spare, len(ids(true))))
    ]
    assert strict_miou(predicted, true) == pytest.approx(max(sums) / len(ids(true)))


@pytest.mark.parametrize('seed', range(3))
def test_ari_agrees_with_torchmetrics(seed: int) -> None:
    clustering = pytest.importorskip('torchmetrics.functional.clustering')
    import torch

    predicted, true = random_pair(np.random.default_rng(seed))
    inside = true > 0
    expected = clustering.adjusted_rand_score(
        torch.from_numpy(predicted[inside]), torch.from_numpy(true[inside])
    )
    assert ari_foreground(predicted, true) == pytest.approx(float(expected), abs=1e-5)


def test_two_poor_pairs_do_not_hide_a_good_one_from_the_false_positives() -> None:
    # 7 has IoU 2/4 with 1 and 1/3 with 2; 8 has 1/3 with 1
    true = np.array([[1, 1, 1, 2]])
    predicted = np.array([[8, 7, 7, 7]])
    np.testing.assert_allclose(iou_matrix(predicted, true), [[1 / 2, 1 / 3], [1 / 3, 0]])
    assert strict_miou(predicted, true) == pytest.approx(1 / 3)  # two poor pairs: the larger sum
    assert false_positives(predicted, true) == 1  # 7 finds 1, only 8 is left over


def coco_evaluation(images: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Any:
    """pycocotools' evaluation of (predicted, scores by id, true) images."""
    pytest.importorskip('pycocotools')
    from pycocotools import mask as rle
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, results = [], []
    for number, (predicted, scores, true) in enumerate(images):
        for k in range(1, true.max() + 1):
            encoded = rle.encode(np.asfortranarray((true == k).astype(np.uint8)))
            area = int((true == k).sum())
            truth.append(
                {
                    'id': len(truth) + 1,
                    'image_id': number,
                    'category_id': 1,
                    'segmentation': encoded,
                    'area': area,
                    'bbox': rle.toBbox(encoded).tolist(),
                    'iscrowd': 0,
                }
            )
        for k in range(1, predicted.max() + 1):
            encoded = rle.encode(np.asfortranarray((predicted == k).astype(np.uint8)))
            results.append(
                {
                    'image_id': number,
                    'category_id': 1,
                    'segmentation': encoded,
                    'score': float(scores[k - 1]),
                }
            )
    coco = COCO()
    coco.dataset = {
        'info': {},
        'images': [{'id': k, 'height': 30, 'width': 30} for k in range(len(images))],
        'categories': [{'id': 1}],
        'annotations': truth,
    }
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(results), 'segm')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


@pytest.fixture
def images() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(predicted, scores by id, true); some images have no prediction, some scores are equal."""
    rng = np.random.default_rng(0)
    pairs = [random_pair(rng) for _ in range(14)]
    pairs[3] = (np.zeros_like(pairs[3][0]), pairs[3][1])
    pairs[5] = (pairs[5][0], np.zeros_like(pairs[5][1]))
    return [(p, rng.integers(0, 20, p.max()) / 20, t) for p, t in pairs]


def test_average_precision_agrees_with_pycocotools(images) -> None:
    matrices = [iou_matrix(predicted, true) for predicted, _, true in images]
    scores = [scores for _, scores, _ in images]
    stats = coco_evaluation(images).stats  # AP@[.5:.95], AP@.5, AP@.75, ...
    assert 0.05 < stats[0] < 0.95
    assert average_precision(matrices, scores) == pytest.approx(stats[0], abs=1e-3)
    for threshold, expected in ((0.5, stats[1]), (0.75, stats[2])):
        ours = average_precision(matrices, scores, np.array([threshold]))
        assert ours == pytest.approx(expected, abs=1e-3)


def test_false_positives_agree_with_pycocotools(images) -> None:
    for predicted, scores, true in images:
        if not predicted.any() or not true.any():
            continue  # it keeps no record of these
        evaluation = coco_evaluation([(predicted, scores, true)])
        record = next(record for record in evaluation.evalImgs if record)  # of all areas
        assert false_positives(predicted, true) == int((record['dtMatches'][0] == 0).sum())


def test_nothing_predicted_anywhere_is_a_precision_of_0() -> None:
    true = [iou_matrix(np.zeros_like(TRUE), TRUE)]
    assert average_precision(true, [np.zeros(0)]) == 0


def test_a_prediction_on_an_ignored_instance_counts_neither_for_nor_against() -> None:
    # a finds the one that counts, b lies on the ignored one, c on nothing: worked out by hand
    matrix = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    hidden = [np.array([False, True])]
    for scores, expected in (([0.9, 0.8, 0.7], 1.0), ([0.7, 0.9, 0.8], 0.5)):
        found = average_precision([matrix], [np.array(scores)], ignored=hidden)
        assert found == pytest.approx(expected)
    plain = average_precision([matrix], [np.array([0.7, 0.9, 0.8])])  # b is right, c is not
    assert plain == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_a_wanted_instance_is_taken_before_an_ignored_one_that_fits_better() -> None:
    matrix = np.array([[0.6, 0.9]])
    hidden = [np.array([False, True])]
    scores, half = [np.array([0.5])], np.array([0.5])
    assert average_precision([matrix], scores, half, ignored=hidden) == pytest.approx(1.0)
    assert average_precision([matrix], scores, half + 0.2, ignored=hidden) == 0.0


def test_each_true_instance_is_found_by_an_instance_of_its_own() -> None:
    # both predictions fit the first well, only the first fits the second: both can be found
    matrix = np.array([[0.9, 0.8, 0.0], [0.8, 0.1, 0.7]])
    assert found_instances(matrix).tolist() == [True, True, False]
    assert found_instances(matrix[:1]).sum() == 1
    assert found_instances(np.zeros((0, 2))).tolist() == [False, False]


def test_ap_where_all_are_ignored_is_not_known() -> None:
    assert np.isnan(average_precision([np.ones((1, 1))], [np.ones(1)], ignored=[np.ones(1, bool)]))
