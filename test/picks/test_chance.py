from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.picks.chance import Chance, expected_calibration_error, fit_chance
from insegan_ros.picks.pick import Cues


def test_fitted_chances_keep_what_they_promise():
    rng = np.random.default_rng(0)
    true = Chance(weights=(2.0, 0.0, 1.0, 0.0, 1.5, 0.0, 0.5, 1.0), bias=-1.0)
    cues = rng.random((4000, 8))
    logits = cues @ np.array(true.weights) + true.bias
    lifted = rng.random(4000) < 1 / (1 + np.exp(-logits))
    fitted = fit_chance(cues[:2000], lifted[:2000])
    chances = np.array([fitted(Cues(**dict(zip(Cues.names(), row)))) for row in cues[2000:]])
    assert expected_calibration_error(chances, lifted[2000:]) < 0.04
    np.testing.assert_allclose(fitted.weights, true.weights, atol=0.5)


def test_a_cue_never_speaks_against_a_pick():
    rng = np.random.default_rng(1)
    cues = rng.random((200, 8))
    assert min(fit_chance(cues, cues[:, 0] < 0.5).weights) == 0


def test_a_cue_counts_for_as_much_however_narrow_its_range():
    rng = np.random.default_rng(2)
    cues = rng.random((1000, 8))
    lifted = rng.random(1000) < cues[:, 2]
    wide = fit_chance(cues, lifted).weights[2]
    cues[:, 2] = 0.9 + 0.1 * cues[:, 2]
    assert fit_chance(cues, lifted).weights[2] == pytest.approx(10 * wide, rel=0.05)


def test_a_gripper_that_never_failed_gives_finite_chances():
    cues = np.random.default_rng(0).random((50, 8))
    fitted = fit_chance(cues, np.ones(50, bool))
    assert np.isfinite(fitted.weights).all()
    assert fitted(Cues(**dict(zip(Cues.names(), cues[0])))) > 0.9


def test_calibration_error_by_hand():
    chances, lifted = np.array([0.95, 0.95, 0.15, 0.15]), np.array([True, False, False, False])
    assert expected_calibration_error(chances, lifted) == pytest.approx((0.45 + 0.15) / 2)


def test_too_few_picks_are_refused():
    with pytest.raises(ValueError, match='3 picks'):
        fit_chance(np.zeros((3, 8)), np.zeros(3, bool))
