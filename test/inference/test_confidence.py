"""Scores that are probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.inference.confidence import Confidence


def test_scores_are_as_often_right_as_they_say() -> None:
    rng = np.random.default_rng(0)
    cues = rng.uniform(0, 1, (4000, 2))
    chance = 1 / (1 + np.exp(-(6 * cues[:, 0] - 3)))
    right = rng.random(4000) < chance
    scores = Confidence.fit(cues[:2000], right[:2000])(cues[2000:])
    for low in (0.1, 0.4, 0.7):
        inside = (scores > low) & (scores < low + 0.2)
        assert right[2000:][inside].mean() == pytest.approx(scores[inside].mean(), abs=0.08)


def test_when_all_were_right_the_score_is_high_whatever_the_cues() -> None:
    scores = Confidence.fit(np.random.default_rng(0).random((50, 3)), np.ones(50, bool))(
        np.zeros((2, 3))
    )
    assert scores.tolist() == pytest.approx([51 / 52] * 2, abs=1e-3)
