"""Metrics agree with cases worked by hand and with maintained implementations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from insegan_ros.evaluation.metrics import (
    ari_foreground,
    average_precision,
    count_is_right,
    false_positives,
    foreground_iou,
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


def coco_average_precision(images: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """AP@[.5:.95] by pycocotools for (predicted, scores by id, true) images."""
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
    return float(evaluation.stats[0])


def test_average_precision_agrees_with_pycocotools(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    images = []
    for _ in range(12):
        true = np.kron(rng.integers(0, 4, (5, 5)), np.ones((6, 6), int))
        true = np.unique(true, return_inverse=True)[1].reshape(true.shape)
        shifted = np.roll(true, rng.integers(0, 3, 2), axis=(0, 1))
        predicted = np.where(rng.random() < 0.8, shifted, rng.permutation(shifted))
        predicted = np.unique(predicted, return_inverse=True)[1].reshape(true.shape)
        images.append((predicted, rng.random(predicted.max()), true))
    expected = coco_average_precision(images)
    ours = average_precision(
        [iou_matrix(predicted, true) for predicted, _, true in images],
        [scores for _, scores, _ in images],
    )
    assert 0.05 < expected < 0.95
    assert ours == pytest.approx(expected, abs=1e-3)
