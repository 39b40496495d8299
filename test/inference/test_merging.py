"""Instances that are no parts of their own: told apart, and given to the part they belong to."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.inference.confidence import Confidence
from insegan_ros.inference.found import Found
from insegan_ros.inference.merging import Merging, fit_merging, grouped, own_cues, pair_cues

LENGTH = 0.05
SURE_OF_NOTHING = Confidence((0.0,) * 8, 0.0)


def scene() -> Found:
    """Two parts 80 mm apart, the first in pieces of 200 and 50 px, their votes 10 mm apart."""
    labels = np.zeros((20, 60), np.int32)
    labels[:10, :20], labels[12:17, :10], labels[:10, 30:60] = 1, 2, 3
    centres = np.array([[0.0, 0, 0.5], [0.006, 0, 0.508], [0.08, 0, 0.5]])
    agreement, visible = np.array([0.9, 0.3, 0.9]), np.array([0.7, 0.2, 1.0])
    return Found(labels, centres, agreement.astype(np.float32), visible.astype(np.float32))


def truth() -> np.ndarray:
    true = np.zeros((20, 60), np.uint8)
    true[:, :20], true[:10, 30:60] = 2, 1
    return true


def test_only_near_instances_are_pairs_and_their_cues_do_not_depend_on_the_order() -> None:
    pairs, cues = pair_cues(scene(), LENGTH)
    assert pairs.tolist() == [[0, 1]]
    expected = [0.2, 0.16, 0.2, 0.7, 0.9, 0.3, 0.9, np.log(51)]
    assert cues[0] == pytest.approx(expected, rel=1e-5)
    mirrored = scene()
    swapped = np.array([0, 2, 1, 3], np.int32)[mirrored.labels]
    order = [1, 0, 2]
    other = Found(swapped, *(v[order] for v in list(vars(mirrored).values())[1:]))
    assert np.allclose(pair_cues(other, LENGTH)[1], cues)


def test_of_two_that_may_be_one_the_smaller_is_in_doubt() -> None:
    cues = own_cues(scene(), SURE_OF_NOTHING, LENGTH)
    assert cues[:, 3].tolist() == [0.0, 0.5, 0.0]
    assert np.argsort(cues[:, 2]).tolist() == [1, 0, 2]  # by area


def test_what_is_no_part_of_its_own_goes_to_the_nearest_that_is() -> None:
    agreement_alone = Confidence((10.0, 0.0, 0.0, 0.0), -6.0)  # 0.95 where they agree, 0.05 if not
    found = Merging(SURE_OF_NOTHING, agreement_alone, 0.5)(scene(), LENGTH)
    assert found.labels.max() == 2
    assert np.array_equal(found.labels > 0, scene().labels > 0)
    assert len(np.unique(found.labels[:, :20][found.labels[:, :20] > 0])) == 1
    assert found.visible[0] == pytest.approx(0.9)
    assert found.centres[0] == pytest.approx(0.8 * scene().centres[0] + 0.2 * scene().centres[1])
    assert found.agreement[0] == pytest.approx(0.8 * 0.9 + 0.2 * 0.3)


def test_one_instance_stays_whatever_is_thought_of_it() -> None:
    hopeless = Confidence((0.0, 0.0, 0.0, 0.0), -9.0)
    assert len(Merging(SURE_OF_NOTHING, hopeless, 0.5)(scene(), LENGTH).centres) == 3  # equals
    doubted = Confidence((1.0, 0.0, 0.0, 0.0), -9.0)
    assert len(Merging(SURE_OF_NOTHING, doubted, 0.5)(scene(), LENGTH).centres) >= 1
    nothing = Found(np.zeros((4, 4), np.int32), np.zeros((0, 3)), *[np.zeros(0, np.float32)] * 2)
    assert len(Merging(SURE_OF_NOTHING, hopeless, 0.5)(nothing, LENGTH).centres) == 0


def test_the_rule_is_learned_from_true_labels() -> None:
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(30):
        found = scene()
        noise = rng.normal(0, 0.05, 3).astype(np.float32)
        centres = found.centres + rng.normal(0, 0.002, (3, 3))
        cases.append(
            (Found(found.labels, centres, found.agreement + noise, found.visible), truth(), LENGTH)
        )
    fitted = fit_merging(cases)
    assert fitted is not None
    merged = Merging(*fitted, 0.5)(scene(), LENGTH)
    assert merged.labels.max() == 2
    assert merged.labels[0, 0] == merged.labels[12, 0] != merged.labels[0, 30]
    assert fit_merging([]) is None


def test_grouping_nothing_changes_nothing() -> None:
    found = scene()
    assert grouped(found, np.arange(3)) is found
