"""How likely an instance is right: a score that means what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True)
class Confidence:
    """Logistic regression of an instance's cues on whether its mask is right.

    Fitted on piles of the learned template, whose labels cost nothing; no real label is used.
    """

    weights: tuple[float, ...]
    bias: float

    @staticmethod
    def fit(cues: NDArray[np.floating], right: NDArray[np.bool_]) -> Confidence:
        """(M, C) cues of instances and (M,) whether each was right."""
        if len(np.unique(right)) < 2:  # nothing to separate: the share itself
            share = (right.sum() + 1) / (len(right) + 2)
            return Confidence((0.0,) * cues.shape[1], float(np.log(share / (1 - share))))
        middle, scale = cues.mean(axis=0), np.maximum(cues.std(axis=0), 1e-6)
        model = LogisticRegression(C=10.0).fit((cues - middle) / scale, right)
        weights = model.coef_[0] / scale
        bias = float(model.intercept_[0] - weights @ middle)
        return Confidence(tuple(round(float(w), 4) for w in weights), round(bias, 4))

    def __call__(self, cues: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, C) -> (N,) probabilities."""
        values = np.clip(cues @ np.array(self.weights) + self.bias, -30, 30)
        return (1 / (1 + np.exp(-values))).astype(np.float32)
