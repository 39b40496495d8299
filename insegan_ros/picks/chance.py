"""The chance that a pick lifts exactly one part, from its cues, and how honest it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from insegan_ros.picks.pick import Cues


@dataclass(frozen=True, kw_only=True)
class Chance:
    """A logistic regression on the cues: chance = 1 / (1 + exp(-(weights . cues + bias)))."""

    weights: tuple[float, ...]  # one for each of Cues.names()
    bias: float

    def __post_init__(self) -> None:
        if len(self.weights) != len(Cues.names()):
            raise ValueError(
                f'{len(self.weights)} weights: {len(Cues.names())} are expected, for '
                f'{", ".join(Cues.names())}'
            )
        if not np.isfinite([*self.weights, self.bias]).all():
            raise ValueError('weights and bias of a chance: finite numbers are expected')

    def __call__(self, cues: Cues) -> float:
        """In [0, 1]."""
        logit = float(np.dot(self.weights, cues.vector()) + self.bias)
        return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))

    def of_places(self, cues: NDArray[np.floating]) -> NDArray[np.float64]:
        """(M, 6) cues that differ between the places of one instance -> (M,) what ranks them."""
        return np.asarray(cues @ np.array(self.weights[: cues.shape[1]]))


# Until a gripper's own picks have been counted, these order the picks; they promise nothing.
UNCALIBRATED = Chance(weights=(1.0, 2.0, 1.5, 1.5, 0.5, 0.5, 0.5, 1.5), bias=-4.0)


def fit_chance(
    cues: NDArray[np.floating], lifted: NDArray[np.bool_], *, ridge: float = 10.0
) -> Chance:
    """Logistic regression with a quadratic penalty on the weights, none of which is negative.

    Each cue is 0 at worst: one that seems to speak against a pick in a few hundred tries does so
    by accident.

    Args:
        cues: (M, 8), a row for each pick that was tried.
        lifted: (M,) whether exactly one part came up.
        ridge: the penalty's weight, on what a standard deviation of a cue counts for; it keeps
            weights finite where every pick succeeded, and small where few were tried.

    Raises:
        ValueError: fewer than ten picks.
    """
    if len(cues) < 10:
        raise ValueError(f'{len(cues)} picks: at least 10 are needed to calibrate a gripper')
    x = np.concatenate([cues, np.ones((len(cues), 1))], axis=1)
    scale = ridge * np.append(np.maximum(cues.std(axis=0), 1e-3) ** 2, 1e-5)

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = x @ beta
        missed = 1 / (1 + np.exp(-np.clip(logits, -30, 30))) - lifted
        value = (np.logaddexp(0, logits) - lifted * logits).sum() + (scale * beta**2).sum() / 2
        return float(value), x.T @ missed + scale * beta

    bounds = [(0, None)] * cues.shape[1] + [(None, None)]
    found = minimize(loss, np.zeros(x.shape[1]), jac=True, bounds=bounds, method='L-BFGS-B')
    return Chance(weights=tuple(found.x[:-1].tolist()), bias=float(found.x[-1]))


def expected_calibration_error(
    chances: NDArray[np.floating], lifted: NDArray[np.bool_], *, bins: int = 10
) -> float:
    """Mean over picks of |mean chance - share lifted| in bins of equal width (Guo et al. 2017)."""
    if not len(chances):
        return 0.0
    index = np.minimum((np.asarray(chances) * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    promised = np.bincount(index, np.asarray(chances, float), minlength=bins)
    kept = np.bincount(index, np.asarray(lifted, float), minlength=bins)
    return float(np.abs(promised - kept).sum() / count.sum())
